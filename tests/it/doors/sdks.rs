//! The official clients, unmodified: against the simulated providers, which proves those right, and
//! against our doors.

use std::{path::Path, time::Duration};

use axum::{Router, routing::get};
use testkit::{
    deepgram::{self, Script},
    recorded::{KEY, Recorders},
    speech,
    translators::{self, Translators},
};
use tokio::{net::TcpListener, process::Command};

use crate::{
    harness::{LONG, Setup, binary},
    recorded::{clip, said, setup},
};

const CLIP: &str = "jfk.wav";
/// Five of Deepgram's, one after the other; the one in Rust may have to be built.
const DRIVEN: Duration = Duration::from_secs(300);

/// Runs a client of `tests/clients/rest`; every line that it prints has to say that it passed.
async fn drive(script: &str, url: &str, key: &str, settings: &[(&str, &str)]) {
    let root = env!("CARGO_MANIFEST_DIR");
    let folder = format!("{root}/tests/clients/rest");
    let interpreter = if Path::new(script).extension().is_some_and(|ending| ending == "mjs") {
        binary::need(&format!("{folder}/node_modules/openai"), "tests/clients/setup");
        binary::need("node", "scripts/setup test")
    } else {
        binary::need(&format!("{root}/.dev/venv-rest/bin/python"), "tests/clients/setup")
    };
    let mut command = Command::new(interpreter);
    command.arg(script).current_dir(folder);
    command.env("SDK_URL", url).env("SDK_KEY", key).env("SDK_EXPECTED", said());
    command.env("SDK_AUDIO", speech::fixture_path(CLIP)).envs(settings.iter().copied());
    let finished = binary::run(command, LONG).await;
    let passed = finished.stdout.lines().filter(|line| line.starts_with("PASS ")).count();
    assert!(finished.code == Some(0) && passed > 2, "{script}: {finished:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_know_the_simulated_providers_of_recordings() {
    let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
    let url = recorders.base_url();
    drive("openai_speech.py", &url, KEY, &[]).await;
    drive("openai_speech.mjs", &url, KEY, &[]).await;
    drive("assemblyai_speech.py", &url, KEY, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_know_the_simulated_translators() {
    let translators = Translators::start().await.expect("the translators start");
    let (url, key) = (translators.base_url(), translators::KEY);
    drive("openai_chat.py", &url, key, &[("SDK_PATH", "/v1")]).await;
    drive("openai_chat.py", &url, key, &[("SDK_PATH", "")]).await;
    let account = translators.service_account().to_string();
    drive("google_text.py", &url, key, &[("SDK_ACCOUNT", &account)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_of_openai_take_our_door_for_openai() {
    let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
    let app = setup(&recorders).start().await;
    drive("openai_speech.py", &app.url(), &app.token(), &[("SDK_DOOR", "true")]).await;
    drive("openai_speech.mjs", &app.url(), &app.token(), &[("SDK_DOOR", "true")]).await;
}

/// A server of the clip, for who names it by its address.
async fn clips() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let wav = async || std::fs::read(speech::fixture_path(CLIP)).expect("the clip");
    let routes = Router::new().route("/jfk.wav", get(wav));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    port
}

/// Live and recorded, each as its client's own protocol has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_of_deepgram_take_our_door_for_deepgram() {
    let transcripts = speech::fixture_path("transcripts.json");
    let script = Script::fixture(CLIP).expect("a script");
    let deepgram = deepgram::Config::speaking(script).with_recordings(&transcripts);
    let port = clips().await;
    let app = Setup::new()
        .deepgram(deepgram.expect("recordings"))
        .with("AUDIO_URL_ALLOW", format!("127.0.0.1:{port}"))
        .start()
        .await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/deepgram-sdk/run");
    let mut command = Command::new(script);
    command.args(["--url", &app.url(), "--key", &app.token(), "--no-grants"]);
    command.args(["--audio-url", &format!("http://127.0.0.1:{port}/jfk.wav")]);
    let finished = binary::run(command, DRIVEN).await;
    let lines = |mark: &str| finished.stdout.lines().filter(|line| line.starts_with(mark)).count();
    assert!(finished.code == Some(0) && lines("ok ") == 5, "{finished:?}");
    assert!(lines("PASS ") > 30 && lines("FAIL") == 0, "{finished:?}");
}
