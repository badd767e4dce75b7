//! The service does what its OpenAPI document says, and nothing else: Schemathesis asks it.

use std::time::Duration;

use testkit::{
    recorded::Recorders,
    speech,
    translators::{self, Translators},
};
use tokio::process::Command;

use crate::{
    access_matrix::AUDIENCE,
    harness::binary,
    recorded::{CLIP, clip, setup},
};

const RUN: Duration = Duration::from_secs(600);
/// They stream for as long as somebody listens.
const ENDLESS: [&str; 4] = ["/audio-stream", "/v1/listen", "/rooms/{id}/events", "/metrics"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_answered_that_is_not_documented() {
    let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
    let texts = Translators::start().await.expect("the translators start");
    let tenant = testkit::auth0::Auth0::start().await.expect("a tenant");
    let setup = setup(&recorders)
        .with("DEEPSEEK_API_KEY", translators::KEY)
        .with("DEEPSEEK_BASE_URL", texts.base_url())
        .with("AUTH0_ISSUER_URL", tenant.issuer())
        .with("AUTH0_DOMAIN", "transcripts.eu.auth0.com")
        .with("AUTH0_AUDIENCE", AUDIENCE)
        .with("EDGE_RATE", "1000000")
        .with("EDGE_BURST", "1000000");
    let unlimited =
        ["LIMIT_LOGINS", "LIMIT_REGISTRATIONS", "LIMIT_REFRESHES", "LIMIT_SOCKET_OPENS"];
    let setup = unlimited.into_iter().fold(setup, |setup, name| setup.with(name, "unlimited"));
    let app = setup.start().await;
    let root = env!("CARGO_MANIFEST_DIR");
    let folder = format!("{root}/tests/clients/schemathesis");
    let program = binary::need(
        &format!("{root}/.dev/venv-schemathesis/bin/schemathesis"),
        "tests/clients/setup",
    );
    // It keeps what it found where it is run.
    let scratch = std::env::temp_dir().join(format!("described-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&scratch).expect("a folder");
    let mut command = Command::new(program);
    command.args(["--config-file", &format!("{folder}/schemathesis.toml"), "run"]);
    command.arg(format!("{}/openapi.json", app.url()));
    // One commit has one verdict, as with property tests.
    let seed = std::env::var("PROPTEST_RNG_SEED").unwrap_or_else(|_| "1".into());
    let examples = std::env::var("DESCRIBED_EXAMPLES").unwrap_or_else(|_| "25".into());
    command.args(["--max-examples", &examples, "--workers", "1", "--seed", &seed]);
    for path in ENDLESS {
        command.args(["--exclude-path", path]);
    }
    command.env("SCHEMATHESIS_HOOKS", "hooks").env("DESCRIBED_AUDIO", speech::fixture_path(CLIP));
    command.current_dir(&scratch).env("PYTHONPATH", &folder).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("DESCRIBED_TOKEN", app.token());
    command.env("DESCRIBED_TENANT_TOKEN", tenant.token("auth0|ada", AUDIENCE).expect("a token"));
    let finished = binary::run(command, RUN).await;
    std::fs::remove_dir_all(&scratch).expect("removed");
    println!("{}{}", finished.stdout, finished.stderr);
    assert_eq!(finished.code, Some(0));
    let heard: i64 = app.sql("SELECT count(*) FROM usage_logs").await;
    assert!(heard > 10, "only {heard} recordings and texts were answered: it asked for too little");
}
