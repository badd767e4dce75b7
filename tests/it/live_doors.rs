//! The same audio through every door: every word once, in order, byte for byte.

use serde_json::{Value, json};
use testkit::{
    numbered::NumberedAudio,
    socketio::{self, placeholder},
};

use crate::{
    harness::{LONG, SOON, TestApp},
    oracle::{self, assert_billed, assert_whole, chunk, ended, numbered_app, numbers},
};

const CHUNKS: u32 = 60;

#[derive(Clone, Copy, Debug)]
enum Form {
    Base64,
    BinaryInObject,
    BareBinary,
    Alias,
}

async fn send(client: &mut socketio::Client, form: Form, audio: &[u8]) {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let sent = match form {
        Form::Base64 => {
            let argument = json!({ "audio_chunk": BASE64_STANDARD.encode(audio) });
            client.emit("audio_chunk", &[argument]).await
        }
        Form::Alias => client.emit("audio_data", &[json!(BASE64_STANDARD.encode(audio))]).await,
        Form::BareBinary => client.emit_binary("audio_chunk", &[audio]).await,
        Form::BinaryInObject => {
            let argument = json!({ "audio_chunk": placeholder(0), "timestamp": "ignored" });
            client.send_event("audio_chunk", &[argument], &[audio], None).await.map(drop)
        }
    };
    sent.expect("sent");
}

fn assert_contract(event: &Value) {
    for (field, is) in [
        ("transcript", event["transcript"].is_string()),
        ("is_final", event["is_final"].is_boolean()),
        ("confidence", event["confidence"].is_number()),
        ("timestamp", event["timestamp"].as_str().is_some_and(|time| time.ends_with('Z'))),
        ("speech_final", event["speech_final"].is_boolean()),
        ("session_id", event["session_id"].is_string()),
        ("start_ms", event["start_ms"].is_u64()),
        ("end_ms", event["end_ms"].is_u64()),
    ] {
        assert!(is, "{field} in {event}");
    }
}

/// What a door must have brought about: the words, the payloads, the bytes, the parameters.
async fn assert_carried(app: &TestApp, heard: &[Value], sent: &[u8]) {
    assert_whole(heard, CHUNKS);
    oracle::named(heard, "transcription").for_each(assert_contract);
    let record = ended(app, 0).await;
    assert_eq!(record.audio, sent, "the provider heard what was sent");
    let query = &record.query;
    for (name, value) in [
        ("encoding", "linear16"),
        ("sample_rate", "16000"),
        ("model", "nova-2"),
        ("language", "en"),
        ("interim_results", "true"),
        ("punctuate", "true"),
        ("smart_format", "true"),
    ] {
        assert_eq!(query.get(name), Some(value), "{name}");
    }
    assert_eq!(record.header("authorization"), Some("Token test-deepgram-key"));
}

async fn through_socketio(form: Form) {
    let app = numbered_app().await;
    let mut client = app.socketio().await;
    let audio = NumberedAudio::linear16(1, 1);
    let mut sent = Vec::new();
    for number in 0..CHUNKS {
        let bytes = chunk(audio, number);
        send(&mut client, form, &bytes).await;
        sent.extend(bytes);
    }
    client.emit("stop_streaming", &[json!({})]).await.expect("sent");
    let heard = oracle::until_stopped(&mut client, SOON).await;
    assert_carried(&app, &heard, &sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn base64_in_an_object() {
    through_socketio(Form::Base64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binary_in_an_object() {
    through_socketio(Form::BinaryInObject).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bare_binary() {
    through_socketio(Form::BareBinary).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn base64_under_the_old_name() {
    through_socketio(Form::Alias).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_websocket() {
    let app = numbered_app().await;
    let mut socket = app.websocket().await;
    let audio = NumberedAudio::linear16(1, 2);
    oracle::speak_raw(&mut socket, audio, 0..CHUNKS).await;
    oracle::stop_raw(&mut socket).await;
    let heard = oracle::until_stopped_raw(&mut socket, SOON).await;
    let sent: Vec<u8> = (0..CHUNKS).flat_map(|number| chunk(audio, number)).collect();
    assert_carried(&app, &heard, &sent).await;
}

/// Fifty clients at once on two threads, each with hundreds of numbered chunks: 30 000 events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_streams_keep_their_order() {
    const STREAMS: u16 = 50;
    const EVENTS: u32 = 600;
    let app = numbered_app().await;
    let stream = async |session: u16| {
        let mut client = app.socketio().await;
        let audio = NumberedAudio::linear16(7, session);
        for number in 0..EVENTS {
            client.emit_binary("audio_chunk", &[&audio.frame(number)]).await.expect("sent");
        }
        oracle::stop(&mut client).await;
        let heard = oracle::until_stopped(&mut client, LONG).await;
        let numbers = numbers(&oracle::finals(&heard));
        assert_eq!(numbers, (0..EVENTS).collect::<Vec<_>>(), "session {session}");
    };
    futures_util::future::join_all((0..STREAMS).map(stream)).await;
    let heard = app.metric("audio_chunks_total", &["socketio"]);
    assert_eq!(heard, i64::from(STREAMS) * i64::from(EVENTS));
    assert_eq!(app.metric("audio_dropped_total", &[]), 0);
}

/// Billing follows the finals: one row a checkpoint, each millisecond once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_billed_once() {
    let app = numbered_app().await;
    let mut client = app.socketio().await;
    oracle::speak(&mut client, NumberedAudio::linear16(1, 3), 0..CHUNKS).await;
    oracle::stop(&mut client).await;
    oracle::until_stopped(&mut client, SOON).await;
    assert_billed(&app, CHUNKS).await;
    let seconds: f64 = app.sql("SELECT sum(audio_duration_seconds) FROM usage_logs").await;
    let micros: i64 = app.sql("SELECT sum(cost_micros)::bigint FROM usage_logs").await;
    let dollars: f64 = app.sql("SELECT sum(cost_usd) FROM usage_logs").await;
    assert!((seconds - f64::from(CHUNKS) / 10.0).abs() < 1e-6, "{seconds}");
    // nova-2 streams at 0.0058 USD a minute.
    assert_eq!(micros, 580);
    assert!((dollars - 0.000_580).abs() < 1e-9, "{dollars}");
}
