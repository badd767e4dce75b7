//! The live page in a real browser, whose microphone hears recorded speech, against the service.

use std::time::Duration;

use testkit::speech;
use tokio::process::Command;

use crate::harness::{Setup, TestApp, binary};

const SETUP: &str = "scripts/setup test";
/// How long the scenarios may take on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(150);

/// Runs some scenarios of `tests/clients/browser`; what they printed.
async fn scenarios(app: &TestApp, names: &str) -> String {
    let node = binary::need("node", SETUP);
    binary::need("ffmpeg", SETUP);
    if std::env::var_os("CHROMIUM").is_none() {
        binary::need("/usr/bin/chromium", SETUP);
    }
    let folder = format!("{}/tests/clients/browser", env!("CARGO_MANIFEST_DIR"));
    binary::need(&format!("{folder}/node_modules/playwright-core"), "tests/clients/setup");
    let mut command = Command::new(node);
    command.arg("live_page.mjs").arg(format!("{}/app/#token={}", app.url(), app.token()));
    command.arg(speech::fixture_path("jfk.wav")).args(["--only", names]).current_dir(folder);
    let finished = binary::run(command, DEADLINE).await;
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
    finished.stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_speaks_and_reads_their_words() {
    let app = Setup::new().local().start().await;
    println!("{}", scenarios(&app, "microphone").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_loses_no_word() {
    let app = Setup::new().local().start().await;
    println!("{}", scenarios(&app, "lost").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_keeps_a_person_from_speaking_is_explained() {
    let app = Setup::new().local().start().await;
    println!("{}", scenarios(&app, "denied,insecure,token").await);
}
