//! What AssemblyAI does not take, and how it turns a stream away.

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use testkit::assemblyai::{Config, Refusal, Simulator};

use super::{AUDIO, brisk, start};
use crate::{
    harness::{ASSEMBLYAI_KEY, ServiceProcess, Setup, doors},
    oracle::{self, SOON},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_does_not_know_is_refused_by_name() {
    let (app, simulator) = start(Config::default()).await;
    let cases = [
        ("lang", json!("el"), "unsupported_language", json!(["en", "es", "fr", "it", "de", "pt"])),
        ("encoding", json!("alaw"), "invalid_request", json!(["linear16", "mulaw"])),
        ("channels", json!(2), "invalid_request", json!({ "min": 1, "max": 1 })),
        ("diarize", json!(true), "invalid_request", json!([false])),
        ("multichannel", json!(true), "invalid_request", json!([false])),
        ("numerals", json!(true), "invalid_request", json!([false])),
        (
            "model",
            json!("nova-3"),
            "invalid_request",
            json!(["universal-streaming-english", "universal-streaming-multilingual"]),
        ),
        (
            "keyterm",
            json!("x".repeat(51)),
            "invalid_request",
            json!({
                "type": "string or list of strings", "max_terms": 100, "max_chars": 50,
                "max_bytes": 10_000, "control_characters": false,
            }),
        ),
    ];
    for (option, value, code, allowed) in cases {
        let mut client = app.socketio().await;
        client.emit("start_streaming", &[json!({ option: value })]).await.expect("sent");
        let error = client.receive_event("error", SOON).await.expect("refused").json();
        assert_eq!((&error["code"], &error["option"]), (&json!(code), &json!(option)), "{error}");
        assert_eq!(error["allowed"], allowed);
    }
    assert!(simulator.sessions().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_model_must_know_the_language() {
    let (app, simulator) = start(Config::default()).await;
    let start_with = async |model: &str| {
        let mut client = app.socketio().await;
        let options = json!({ "lang": "fr", "model": model, "keyterm": "Zürich" });
        client.emit("start_streaming", &[options]).await.expect("sent");
        client.emit_binary("audio_chunk", &[&[0; 3200]]).await.expect("sent");
        let fits =
            |message: &Value| message["type"] == "error" || message["type"] == "session_started";
        let mut heard = oracle::listen(&mut client, SOON, fits).await;
        (client, heard.pop().expect("an answer"))
    };
    let (_, refused) = start_with("universal-streaming-english").await;
    assert_eq!(refused["code"], "unsupported_language");
    let (_client, started) = start_with("universal-streaming-multilingual").await;
    assert_eq!(started["model"], "universal-streaming-multilingual");
    let record = simulator.wait_for_session(SOON, |_| true).await.expect("a session");
    assert_eq!(record.query.get("keyterms_prompt"), Some(r#"["Zürich"]"#));
}

/// A container shows only with the first audio.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_is_refused_once_it_is_seen() {
    let (app, simulator) = start(Config::default()).await;
    let mut client = app.socketio().await;
    let webm = [&[0x1A, 0x45, 0xDF, 0xA3][..], &[0; 200]].concat();
    client.emit_binary("audio_chunk", &[&webm]).await.expect("sent");
    let error = client.receive_event("error", SOON).await.expect("refused").json();
    assert_eq!(error["code"], "unsupported_media", "{error}");
    let sentence = "provider assemblyai takes raw linear16 or mulaw audio of one channel only";
    assert_eq!(error["message"], sentence);
    assert!(simulator.sessions().is_empty());
}

async fn refused_for_good(refusal: Refusal, code: &str) {
    let (app, simulator) = start(brisk()).await;
    simulator.refuse(100, &refusal);
    let mut client = app.socketio().await;
    oracle::speak(&mut client, AUDIO, 0..3).await;
    let heard = oracle::listen(&mut client, SOON, |message| message["type"] == "error").await;
    let error = heard.last().expect("the error");
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&json!(code), &json!(code != "provider_rejected"))
    );
    assert!(heard.iter().all(|event| !event.to_string().contains(ASSEMBLYAI_KEY)), "{heard:?}");
    assert_eq!(simulator.refused(), 1, "one attempt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_fatal_is_tried_once() {
    let status = |status, body: &str| Refusal::Status(status, body.to_owned());
    let close = |code, reason: &str| Refusal::Close(code, reason.to_owned());
    let cases = [
        ("a bad request", status(400, r#"{"error":"bad"}"#), "provider_rejected"),
        ("a bad key", status(401, ASSEMBLYAI_KEY), "provider_unavailable"),
        ("no credit", status(400, r#"{"error":"balance is negative"}"#), "provider_unavailable"),
        ("a bad key, told late", close(1008, "Unauthorized Connection"), "provider_unavailable"),
        ("no credit, told late", close(4002, "Insufficient Funds"), "provider_unavailable"),
        ("a bad message", close(3006, "Invalid Message Type"), "provider_rejected"),
    ];
    let cases =
        cases.map(|(what, refusal, code)| (what, refused_for_good(refusal, code).boxed_local()));
    oracle::side_by_side(cases).await;
}

async fn survive(refusal: Refusal) {
    let (app, simulator) = start(brisk()).await;
    simulator.refuse(1, &refusal);
    let mut client = app.socketio().await;
    oracle::speak(&mut client, AUDIO, 0..20).await;
    oracle::stop(&mut client).await;
    let heard = oracle::until_stopped(&mut client, Duration::from_secs(20)).await;
    oracle::assert_whole(&heard, 20);
    assert_eq!(simulator.sessions().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_pass_is_tried_again() {
    let cases = [
        ("429", Refusal::Status(429, String::new())),
        ("503", Refusal::Status(503, "away".into())),
        ("too many sessions", Refusal::Close(1008, "Too many concurrent sessions".into())),
        ("server error", Refusal::Close(3005, "Server error".into())),
        ("no answer to the upgrade's end", Refusal::Hang),
    ];
    let cases = cases.map(|(what, refusal)| (what, survive(refusal).boxed_local()));
    oracle::side_by_side(cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_key_is_in_no_log() {
    let keys = Some(vec!["another key".to_owned()]);
    let simulator = Simulator::start(Config { keys, ..Config::default() }).await.expect("starts");
    simulator.refuse(1, &Refusal::Close(3005, format!("key {ASSEMBLYAI_KEY} is odd")));
    simulator.refuse(1, &Refusal::Status(503, format!("key {ASSEMBLYAI_KEY} is odd")));
    let setup = Setup::new().with("LIVE_PROVIDER", "assemblyai").with("LOG_LEVEL", "DEBUG");
    let (variables, _deepgram) = setup.assemblyai(&simulator).variables().await;
    let service = ServiceProcess::start(&variables).await;
    let (mut client, _) = doors::socketio(&service.url(), &service.token()).await.expect("in");
    oracle::speak(&mut client, AUDIO, 0..3).await;
    oracle::listen(&mut client, SOON, |message| message["type"] == "error").await;
    let logged = async || service.log().contains("AssemblyAI error: provider_unavailable");
    testkit::wait_until("the refusal in the log", SOON, logged).await.expect("logged");
    let log = service.log();
    assert!(log.contains("[redacted] is odd"), "{log}");
    assert!(!log.contains(ASSEMBLYAI_KEY), "{log}");
}
