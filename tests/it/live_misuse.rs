//! Messages that cannot be meant: each has its documented answer, and the socket lives on.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    deepgram::{Action, Fault},
    numbered::NumberedAudio,
    socketio::{self, placeholder},
};

use crate::{
    harness::TestApp,
    oracle::{self, SOON, numbered_app},
};

const AUDIO: NumberedAudio = NumberedAudio::linear16(1, 1);
const INVALID: &str = "Invalid audio data format";
const UNREADABLE: &str = "Error processing audio data";

async fn answer(client: &mut socketio::Client, event: &str, arguments: &[Value]) -> Value {
    client.emit(event, arguments).await.expect("sent");
    client.receive_event("error", SOON).await.expect("an answer").json()
}

/// A chunk goes through after whatever came before.
async fn assert_alive(app: &TestApp, mut client: socketio::Client) {
    let index = app.deepgram().streams().len();
    oracle::speak(&mut client, AUDIO, 0..5).await;
    oracle::stop(&mut client).await;
    let heard = oracle::until_stopped(&mut client, SOON).await;
    oracle::assert_whole(&heard, 5);
    assert_eq!(oracle::ended(app, index).await.audio, AUDIO.frames(0, 25));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payloads_of_the_wrong_shape() {
    let app = numbered_app().await;
    let mut client = app.socketio().await;
    for (event, argument, text) in [
        ("audio_chunk", json!("AAAA"), UNREADABLE),
        ("audio_chunk", json!(7), UNREADABLE),
        ("audio_chunk", json!(null), UNREADABLE),
        ("audio_chunk", json!(true), UNREADABLE),
        ("audio_chunk", json!([]), UNREADABLE),
        ("audio_chunk", json!(["AAAA"]), UNREADABLE),
        ("audio_chunk", json!({ "audio_chunk": 7 }), UNREADABLE),
        ("audio_chunk", json!({ "audio_chunk": {} }), UNREADABLE),
        ("audio_chunk", json!({ "audio_chunk": "A" }), INVALID),
        ("audio_chunk", json!({ "audio_chunk": "AAA" }), INVALID),
        ("audio_chunk", json!({ "audio_chunk": "AAAAä===" }), INVALID),
        ("audio_chunk", placeholder(0), UNREADABLE),
        ("audio_chunk", json!({ "audio_chunk": placeholder(0) }), UNREADABLE),
        ("audio_data", json!("A"), INVALID),
        ("audio_data", json!(7), UNREADABLE),
        ("start_streaming", json!("en"), "start_streaming takes an object of options"),
        ("start_streaming", json!([]), "start_streaming takes an object of options"),
    ] {
        let error = answer(&mut client, event, std::slice::from_ref(&argument)).await;
        assert_eq!(error["message"], text, "{event} {argument}");
        assert_eq!(
            (&error["code"], &error["retryable"]),
            (&json!("invalid_request"), &json!(false))
        );
        assert!(error["timestamp"].is_string());
    }
    assert!(app.deepgram().requests().is_empty(), "none of it opened a stream");
    assert_eq!(app.metric("audio_dropped_total", &["invalid"]), 15);
    assert_alive(&app, client).await;
}

/// Nothing in it: ignored without a word, as it always was; it opens nothing either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_payloads_are_ignored() {
    let app = numbered_app().await;
    let mut client = app.socketio().await;
    for arguments in [
        vec![],
        vec![json!({})],
        vec![json!({ "audio_chunk": null })],
        vec![json!({ "audio_chunk": "" })],
        vec![json!({ "audio_chunk": "\n -_" })],
        vec![json!({ "timestamp": "now" })],
    ] {
        client.emit("audio_chunk", &arguments).await.expect("sent");
    }
    client.emit_binary("audio_chunk", &[&[]]).await.expect("sent");
    // The answer to what comes next is the first that comes.
    oracle::stop(&mut client).await;
    let heard = oracle::until_stopped(&mut client, SOON).await;
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(app.deepgram().requests().is_empty());
}

/// Python's decoder skipped what is not in the alphabet; clients rely on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn base64_is_read_leniently() {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let app = numbered_app().await;
    let mut client = app.socketio().await;
    for number in 0..5 {
        let base64 = BASE64_STANDARD.encode(oracle::chunk(AUDIO, number));
        let lines: Vec<_> =
            base64.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line)).collect();
        let argument = json!({ "audio_chunk": lines.join("\r\n-") });
        client.emit("audio_chunk", &[argument]).await.expect("sent");
    }
    oracle::stop(&mut client).await;
    oracle::assert_whole(&oracle::until_stopped(&mut client, SOON).await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_events_are_ignored() {
    let app = numbered_app().await;
    let mut client = app.socketio().await;
    for event in ["reboot", "", "connect", "disconnect", "error", "transcription", "__proto__"] {
        client.emit(event, &[json!({ "token": "x" })]).await.expect("sent");
        client.emit_binary(event, &[b"bytes"]).await.expect("sent");
    }
    assert_alive(&app, client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_connect_changes_nothing() {
    let app = numbered_app().await;
    let mut client = app.socketio().await;
    for token in [app.token(), "nonsense".into()] {
        let connect = format!("40/audio-stream,{}", json!({ "token": token }));
        client.send_frame(&connect).await.expect("sent");
    }
    client.send_frame("40").await.expect("sent");
    let mut transport = client;
    // The root's refusal is an error of the packet, not of this namespace.
    let refused = transport.receive(SOON).await.expect_err("the root's connect_error");
    assert!(refused.to_string().contains("Invalid namespace"), "{refused}");
    assert_alive(&app, transport).await;
    let left = async || app.metric("sockets", &[]) == 0;
    testkit::wait_until("the socket to be forgotten", SOON, left).await.expect("counted once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_messages_at_the_raw_door() {
    let app = numbered_app().await;
    let mut socket = app.websocket().await;
    let deep = "[".repeat(200_000);
    for text in [
        "",
        "hello",
        "7",
        "null",
        "[]",
        "{}",
        "{",
        r#"{"type":7}"#,
        r#"{"type":null}"#,
        r#"{"type":"reboot"}"#,
        r#"{"type":"audio_chunk","audio_chunk":"AAAA"}"#,
        &deep,
    ] {
        socket.send_text(text).await.expect("sent");
        let error = socket.receive_json(SOON).await.expect("an answer");
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("invalid_request")));
        assert!(error["message"].as_str().is_some_and(|text| text.len() < 100), "{error}");
    }
    oracle::speak_raw(&mut socket, AUDIO, 0..3).await;
    // Text among the audio: answered, and the audio goes on.
    socket.send_text("what?").await.expect("sent");
    oracle::speak_raw(&mut socket, AUDIO, 3..6).await;
    oracle::stop_raw(&mut socket).await;
    let mut heard = oracle::until_stopped_raw(&mut socket, SOON).await;
    assert_eq!(oracle::named(&heard, "error").count(), 1);
    heard.retain(|message| message["type"] != "error");
    oracle::assert_whole(&heard, 6);
}

/// Audio that the provider cannot decode is never sent to it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undecodable_audio_is_poison() {
    for action in [
        Action::Close(1008, "DATA-0000".into()),
        Action::Close(1008, "https://dpgr.am/data0000".into()),
        Action::Close(1011, "could not decode, see https://dpgr.am/data0000".into()),
    ] {
        let app = numbered_app().await;
        app.deepgram().plan_every(vec![Fault::at_audio(Duration::from_secs(1), action)]);
        let mut client = app.socketio().await;
        oracle::speak(&mut client, AUDIO, 0..300).await;
        let heard = oracle::listen(&mut client, SOON, |message| message["type"] == "error").await;
        let error = heard.last().expect("an error");
        assert_eq!(
            (&error["code"], &error["retryable"]),
            (&json!("unsupported_media"), &json!(false)),
            "{error}"
        );
        assert_eq!(app.deepgram().requests().len(), 1, "one attempt");
        assert_eq!(app.metric("upstream_failures_total", &["poison"]), 1);
    }
}
