//! The life of a session: when it begins, what a stop means, and what comes after.

use serde_json::{Value, json};
use testkit::{
    deepgram::{Record, Request},
    numbered::NumberedAudio,
    socketio,
};

use crate::{
    harness::{Setup, TestApp},
    oracle::{self, SOON, numbered_app},
};

const AUDIO: NumberedAudio = NumberedAudio::linear16(1, 1);

async fn next_error(client: &mut socketio::Client) -> Value {
    client.receive_event("error", SOON).await.expect("an error").json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_chunk_opens_the_upstream() {
    let app = numbered_app().await;
    let mut client = app.socketio().await;
    let mut socket = app.websocket().await;
    // Both are served: their own words come back.
    client.emit("start_streaming", &[json!("no object")]).await.expect("sent");
    assert_eq!(next_error(&mut client).await["code"], "invalid_request");
    socket.send_text("{}").await.expect("sent");
    socket.receive_until(SOON, |event| event["type"] == "error").await.expect("an error");
    assert!(app.deepgram().requests().is_empty(), "no stream before audio");
    oracle::speak(&mut client, AUDIO, 0..1).await;
    app.deepgram().wait_for_stream(SOON, |_| true).await.expect("a stream");
    let started = client.receive_event("session_started", SOON).await.expect("started").json();
    assert_eq!((&started["provider"], &started["model"]), (&json!("deepgram"), &json!("nova-2")));
    let one = |requests: &[Request]| requests.len() == 1;
    app.deepgram().wait_for_requests(SOON, one).await.expect("one request");
}

/// A session that was asked for opens nothing either until it hears something.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_started_session_waits_for_audio() {
    let app = numbered_app().await;
    let mut client = app.socketio().await;
    client.emit("start_streaming", &[json!({ "lang": "it" })]).await.expect("sent");
    let started = client.receive_event("session_started", SOON).await.expect("started").json();
    assert_eq!(started["language"], "it");
    oracle::stop(&mut client).await;
    let heard = oracle::until_stopped(&mut client, SOON).await;
    let stopped = heard.last().expect("stopped");
    assert_eq!(stopped["session_id"], started["session_id"]);
    assert!(oracle::named(&heard, "error").next().is_none());
    assert!(app.deepgram().requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_words_come_before_the_stop() {
    let app = numbered_app().await;
    for payload in [vec![], vec![json!({})], vec![json!("now")], vec![json!(null), json!(1)]] {
        let mut client = app.socketio().await;
        oracle::speak(&mut client, AUDIO, 0..7).await;
        client.emit("stop_streaming", &payload).await.expect("sent");
        let heard = oracle::until_stopped(&mut client, SOON).await;
        oracle::assert_whole(&heard, 7);
        let stopped = heard.last().expect("stopped");
        assert_eq!(stopped["message"], "Streaming stopped successfully");
        assert!(stopped["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_answered_whenever_it_comes() {
    let app = numbered_app().await;
    let mut client = app.socketio().await;
    for _ in 0..2 {
        oracle::stop(&mut client).await;
        let heard = oracle::until_stopped(&mut client, SOON).await;
        assert_eq!(heard.len(), 1, "{heard:?}");
    }
    let mut client = app.socketio().await;
    oracle::speak(&mut client, AUDIO, 0..5).await;
    oracle::stop(&mut client).await;
    oracle::stop(&mut client).await;
    oracle::assert_whole(&oracle::until_stopped(&mut client, SOON).await, 5);
    // The second stop met a session that was stopping: one answer is enough.
    oracle::speak(&mut client, AUDIO, 5..6).await;
    let late = oracle::listen(&mut client, SOON, |message| message["type"] == "error").await;
    assert!(oracle::named(&late, "streaming_stopped").count() <= 1, "{late:?}");
    assert_eq!(app.deepgram().streams().len(), 1);
}

/// A late chunk must not open a stream that somebody pays for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audio_after_a_stop_is_refused() {
    let app = numbered_app().await;
    let mut client = app.socketio().await;
    oracle::speak(&mut client, AUDIO, 0..2).await;
    oracle::stop(&mut client).await;
    oracle::until_stopped(&mut client, SOON).await;
    oracle::speak(&mut client, AUDIO, 2..7).await;
    let error = next_error(&mut client).await;
    assert_eq!(error["message"], "Transcription service not ready");
    assert_eq!((&error["code"], &error["retryable"]), (&json!("conflict"), &json!(false)));
    // Told once: no answer to each chunk.
    oracle::stop(&mut client).await;
    let heard = oracle::until_stopped(&mut client, SOON).await;
    assert_eq!(oracle::named(&heard, "error").count(), 0, "{heard:?}");
    // And once again after another start.
    client.emit("start_streaming", &[json!({})]).await.expect("sent");
    oracle::stop(&mut client).await;
    oracle::until_stopped(&mut client, SOON).await;
    oracle::speak(&mut client, AUDIO, 7..8).await;
    assert_eq!(next_error(&mut client).await["message"], "Transcription service not ready");

    let mut socket = app.websocket().await;
    oracle::stop_raw(&mut socket).await;
    oracle::until_stopped_raw(&mut socket, SOON).await;
    oracle::speak_raw(&mut socket, AUDIO, 0..1).await;
    let error = socket.receive_json(SOON).await.expect("an error");
    assert_eq!(error["message"], "Transcription service not ready");
    assert_eq!(app.deepgram().requests().len(), 1);
    assert_eq!(app.metric("audio_dropped_total", &["no_session"]), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_session_begins_only_when_asked_for() {
    let app = numbered_app().await;
    let mut client = app.socketio().await;
    oracle::speak(&mut client, AUDIO, 0..6).await;
    oracle::stop(&mut client).await;
    let first = oracle::until_stopped(&mut client, SOON).await;
    oracle::assert_whole(&first, 6);
    client.emit("start_streaming", &[json!({ "lang": "de" })]).await.expect("sent");
    oracle::speak(&mut client, AUDIO, 0..8).await;
    oracle::stop(&mut client).await;
    let second = oracle::until_stopped(&mut client, SOON).await;
    oracle::assert_whole(&second, 8);
    let id = |heard: &[Value]| heard.last().expect("stopped")["session_id"].clone();
    assert_ne!(id(&first), id(&second));
    let languages: Vec<_> = app.deepgram().streams().into_iter().map(|s| s.query).collect();
    assert_eq!(
        (languages[0].get("language"), languages[1].get("language")),
        (Some("en"), Some("de"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_session_at_a_time() {
    let app = numbered_app().await;
    let mut client = app.socketio().await;
    oracle::speak(&mut client, AUDIO, 0..3).await;
    client.emit("start_streaming", &[json!({ "lang": "it" })]).await.expect("sent");
    let error = next_error(&mut client).await;
    assert_eq!((&error["code"], &error["retryable"]), (&json!("conflict"), &json!(false)));
    oracle::speak(&mut client, AUDIO, 3..6).await;
    oracle::stop(&mut client).await;
    oracle::assert_whole(&oracle::until_stopped(&mut client, SOON).await, 6);
    assert_eq!(app.deepgram().streams().len(), 1);
}

/// Means accepted, and carries nothing, as it always did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_has_no_arguments() {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let app = numbered_app().await;
    let mut client = app.socketio().await;
    for event in ["audio_chunk", "audio_data"] {
        let base64 = json!(BASE64_STANDARD.encode(AUDIO.frame(0)));
        let argument =
            if event == "audio_data" { base64 } else { json!({ "audio_chunk": base64 }) };
        let id = client.emit_with_ack(event, &[argument]).await.expect("sent");
        let ack = client.receive_ack(id, SOON).await.expect("acknowledged");
        assert!(ack.arguments.is_empty(), "{:?}", ack.arguments);
    }
}

/// A client that leaves in any way leaves nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_is_forgotten() {
    let app = numbered_app().await;
    for way in 0..4 {
        let mut client = app.socketio().await;
        let mut socket = app.websocket().await;
        oracle::speak(&mut client, AUDIO, 0..2).await;
        oracle::speak_raw(&mut socket, AUDIO, 0..2).await;
        let both = 2 * (way + 1);
        let hearing = |streams: &[Record]| streams.len() == both;
        app.deepgram().wait_for(SOON, hearing).await.expect("both stream");
        match way {
            0 => client.disconnect().await.expect("left"),
            1 => client.send_frame("41/audio-stream,").await.expect("left the namespace"),
            2 => client.socket().close(1000, "").await.expect("closed"),
            _ => client.reset().expect("reset"),
        }
        if way % 2 == 0 {
            socket.close(1000, "").await.expect("closed");
        } else {
            socket.reset().expect("reset");
        }
        forgotten(&app).await;
    }
}

async fn forgotten(app: &TestApp) {
    let nobody = async || {
        app.metric("sockets", &[]) == 0
            && app.metric("live_sessions", &[]) == 0
            && app.deepgram().open_streams() == 0
    };
    testkit::wait_until("nobody to be left", SOON, nobody).await.expect("forgotten");
}

/// Audio that comes while the provider cannot be reached is kept, and said by and by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audio_before_the_upstream_is_open_is_kept() {
    let config = testkit::deepgram::Config {
        latency: std::time::Duration::from_millis(300),
        ..oracle::numbered()
    };
    let app = Setup::new().deepgram(config).start().await;
    app.deepgram().go_down();
    let mut client = app.socketio().await;
    oracle::speak(&mut client, AUDIO, 0..10).await;
    let tried = async || app.metric("upstream_connects_total", &["unavailable"]) >= 1;
    testkit::wait_until("an attempt", SOON, tried).await.expect("tried");
    app.deepgram().come_back().await.expect("back");
    oracle::speak(&mut client, AUDIO, 10..12).await;
    oracle::stop(&mut client).await;
    oracle::assert_whole(&oracle::until_stopped(&mut client, SOON).await, 12);
}
