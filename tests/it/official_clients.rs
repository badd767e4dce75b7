//! The client libraries that people really use, as programs of their own, against the service.

use serde_json::{Value, json};
use testkit::{
    auth0::Auth0,
    deepgram::{self, Script},
    speech::{self, Wav},
};
use tokio::process::Command;

use crate::harness::{LONG, SOON, Setup, TestApp, binary};

/// The client of npm.
pub const NODE_CLIENT: &str = "stream.mjs";
/// The client of PyPI.
pub const PYTHON_CLIENT: &str = "stream.py";
const NODE_RETURN: &str = "reconnect.mjs";
/// What is said.
pub const CLIP: &str = "jfk.wav";
const WEBSOCKETS: [&str; 2] = ["default", "websocket"];
const FORMS: [&str; 3] = ["base64", "binary", "alias"];

async fn speaking_app() -> TestApp {
    let script = Script::fixture(CLIP).expect("a script");
    Setup::new().deepgram(deepgram::Config::speaking(script)).start().await
}

/// A script of `tests/clients/socketio` with its interpreter.
fn script(name: &str) -> Command {
    let root = env!("CARGO_MANIFEST_DIR");
    let folder = format!("{root}/tests/clients/socketio");
    let interpreter = if name == NODE_CLIENT || name == NODE_RETURN {
        binary::need(&format!("{folder}/node_modules/socket.io-client"), "tests/clients/setup");
        binary::need("node", "scripts/setup test")
    } else {
        binary::need(&format!("{root}/.dev/venv-clients/bin/python"), "tests/clients/setup")
    };
    let mut command = Command::new(interpreter);
    command.arg(name).current_dir(folder);
    command
}

/// Streams the clip through a client, at four times its pace; what the client saw.
pub async fn stream(name: &str, url: &str, token: &str, options: &[&str]) -> Value {
    let mut command = script(name);
    command.args(["--url", url, "--token", token, "--realtime-factor", "4", "--wav"]);
    command.arg(speech::fixture_path(CLIP)).args(options);
    let finished = binary::run(command, LONG).await;
    serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|error| panic!("{name} {options:?}: {error}: {finished:?}"))
}

fn payloads<'a>(seen: &'a Value, name: &str) -> Vec<&'a Value> {
    let events = seen["events"].as_array().expect("events");
    events.iter().filter(|event| event["name"] == name).map(|event| &event["payload"]).collect()
}

/// The transcript of the clip, and its words as a recogniser says them.
fn said() -> (String, Vec<String>) {
    let text = std::fs::read_to_string(speech::fixture_path("transcripts.json")).expect("read");
    let clips: Vec<Value> = serde_json::from_str(&text).expect("transcripts");
    let clip = clips.iter().find(|clip| clip["file"] == CLIP).expect("the clip");
    let words = clip["words"].as_array().expect("words").iter();
    let words = words.map(|word| word["word"].as_str().expect("a word").to_owned()).collect();
    (clip["transcript"].as_str().expect("a transcript").to_owned(), words)
}

/// Holds what a client of that user saw to the contract: each event's payload, and every word once,
/// in order.
pub fn assert_contract(seen: &Value, user: &str) {
    assert_eq!(seen["outcome"], "stopped", "{seen}");
    assert_eq!(seen["chunks_sent"], 110);
    assert!(payloads(seen, "error").is_empty(), "{seen}");
    let [connected] = payloads(seen, "connected")[..] else { panic!("one greeting: {seen}") };
    assert_eq!(connected["message"], "Successfully connected to audio streaming service");
    assert_eq!((&connected["user_id"], &connected["language"]), (&json!(user), &json!("en")));
    assert!(connected["auth_type"].is_string() && is_time(&connected["timestamp"]), "{connected}");
    let [stopped] = payloads(seen, "streaming_stopped")[..] else { panic!("one stop: {seen}") };
    assert_eq!(stopped["message"], "Streaming stopped successfully");
    assert!(is_time(&stopped["timestamp"]), "{stopped}");
    let texts = payloads(seen, "transcription");
    for text in &texts {
        assert!(text["transcript"].as_str().is_some_and(|text| !text.is_empty()), "{text}");
        assert!(text["confidence"].is_number() && is_time(&text["timestamp"]), "{text}");
        assert!(text["is_final"].is_boolean(), "{text}");
    }
    let finals = || texts.iter().filter(|text| text["is_final"] == true);
    let (transcript, words) = said();
    let heard: Vec<_> = finals().map(|text| text["transcript"].as_str().expect("text")).collect();
    assert_eq!(heard.join(" "), transcript);
    let heard = finals().flat_map(|text| text["words"].as_array().expect("words"));
    let heard: Vec<_> = heard.map(|word| word["word"].as_str().expect("a word")).collect();
    assert_eq!(heard, words);
    assert!(texts.len() > finals().count(), "interims came too");
}

fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|time| time.len() >= 20 && time.ends_with('Z'))
}

/// The provider heard so many streams, each of them the clip byte for byte.
pub async fn assert_heard(app: &TestApp, streams: usize) {
    let ended = |records: &[deepgram::Record]| {
        records.iter().filter(|record| record.end.is_some()).count() == streams
    };
    let pcm = Wav::fixture(CLIP).expect("the clip").pcm;
    for record in app.deepgram().wait_for(SOON, ended).await.expect("streams ended") {
        assert!(record.audio == pcm, "{} of {} bytes", record.audio_bytes, pcm.len());
    }
}

/// Every transport and every form of audio through one of the Socket.IO libraries.
async fn every_way(name: &str) {
    let app = speaking_app().await;
    let ways = WEBSOCKETS.iter().flat_map(|way| FORMS.map(|form| (*way, form)));
    futures_util::future::join_all(ways.map(|way| one_way(name, &app, way))).await;
    assert_heard(&app, WEBSOCKETS.len() * FORMS.len()).await;
}

async fn one_way(name: &str, app: &TestApp, (transport, form): (&str, &str)) {
    let options = ["--transport", transport, "--encoding", form];
    let seen = stream(name, &app.url(), &app.token(), &options).await;
    assert_contract(&seen, "dev-user");
    assert_eq!(seen["transport"], "websocket", "{transport} {form}");
    let acks = json!({ "expected": 110, "received": 110, "with_arguments": 0 });
    assert_eq!(seen["acks"], acks, "{transport} {form}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn npm_socketio_client() {
    every_way(NODE_CLIENT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pypi_socketio_client() {
    every_way(PYTHON_CLIENT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pypi_websockets() {
    let app = speaking_app().await;
    let seen = stream("raw_ws.py", &app.url(), &app.token(), &[]).await;
    assert_contract(&seen, "dev-user");
    assert_heard(&app, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_token_is_rejected_with_the_contracts_message() {
    let app = speaking_app().await;
    let url = app.url();
    let rejected = async |name: &str, transport: &str| {
        let seen = stream(name, &url, "forged", &["--transport", transport]).await;
        assert_eq!(seen["outcome"], "rejected", "{seen}");
        let message = &seen["connect_errors"][0]["message"];
        assert_eq!(message, "Connection rejected by server", "{name} {transport}: {seen}");
        assert!(payloads(&seen, "connected").is_empty(), "{seen}");
    };
    tokio::join!(
        rejected(NODE_CLIENT, "default"),
        rejected(NODE_CLIENT, "websocket"),
        rejected("stream.py", "default"),
        rejected("stream.py", "websocket"),
    );
    let seen = stream("raw_ws.py", &url, "forged", &[]).await;
    let error = &seen["connect_errors"][0]["data"];
    assert_eq!((&seen["outcome"], &error["status"]), (&json!("rejected"), &json!(401)), "{seen}");
    assert!(app.deepgram().requests().is_empty(), "no stream was opened for strangers");
}

/// A stock client that is closed for its token comes back by itself, with a new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn npm_socketio_client_comes_back() {
    let tenant = Auth0::start().await.expect("a tenant");
    let audience = "https://api.transcripts.io";
    let setup = Setup::new().with("AUTH0_ISSUER_URL", tenant.issuer());
    let setup = setup.with("AUTH0_DOMAIN", "transcripts.eu.auth0.com");
    let app = setup.with("AUTH0_AUDIENCE", audience).start().await;
    let end = (chrono::Utc::now().timestamp_millis() + 3000) as f64 / 1000.0;
    let claims = tenant.claims("auth0|ada", audience).with("exp", end);
    let first = tenant.mint(&claims).expect("a token");
    let mut command = script(NODE_RETURN);
    command.args([&app.url(), &first, &app.token()]);
    let finished = binary::run(command, SOON).await;
    let seen: Value = serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: {finished:?}"));
    assert_eq!(seen["users"], json!(["auth0|ada", "dev-user"]), "{seen}");
    assert_eq!(seen["transport"], "websocket", "it had gone over: {seen}");
    assert_eq!((&seen["code"], &seen["reason"]), (&json!(4003), &json!("transport close")));
}
