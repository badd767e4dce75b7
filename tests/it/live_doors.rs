//! The same audio through every door: every word once, in order, byte for byte.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    deepgram::{self, Record, Script},
    numbered::{Mark, NumberedAudio},
    raw_ws::RawSocket,
    socketio::{self, placeholder},
};

use crate::harness::{SOON, Setup, TestApp};

/// Five frames of 20 ms make one chunk of 100 ms.
const FRAMES_PER_CHUNK: u32 = 5;
const CHUNKS: u32 = 60;

async fn numbered_app() -> TestApp {
    let config = deepgram::Config::speaking(Script::numbered_audio());
    Setup::new().deepgram(config).start().await
}

fn chunk(audio: NumberedAudio, number: u32) -> Vec<u8> {
    audio.frames(number * FRAMES_PER_CHUNK, FRAMES_PER_CHUNK)
}

/// The numbers that a session's finals spell, which must be those that were sent.
fn numbers(finals: &[Value]) -> Vec<u32> {
    let words = finals.iter().flat_map(|event| event["words"].as_array().expect("words"));
    words
        .map(|word| Mark::parse(word["word"].as_str().expect("a word")).expect("a mark").number)
        .collect()
}

fn assert_whole(finals: &[Value], record: &Record, sent: &[u8]) {
    assert_eq!(numbers(finals), (0..CHUNKS * FRAMES_PER_CHUNK).collect::<Vec<_>>());
    let ns: Vec<_> = finals.iter().map(|event| event["n"].as_u64().expect("n")).collect();
    assert_eq!(ns, (1..=finals.len() as u64).collect::<Vec<_>>());
    assert_eq!(record.audio, sent, "the provider heard what was sent");
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

/// Collects finals until the session says that it stopped.
async fn finals(client: &mut socketio::Client) -> Vec<Value> {
    let mut finals = Vec::new();
    loop {
        let event = client.receive_until(SOON, |_| true).await.expect("an event");
        match event.name.as_str() {
            "transcription" => {
                assert_contract(&event.json());
                if event.json()["is_final"] == true {
                    finals.push(event.json());
                }
            }
            "streaming_stopped" => return finals,
            "error" => panic!("{:?}", event.json()),
            _ => {}
        }
    }
}

async fn raw_finals(socket: &mut RawSocket) -> Vec<Value> {
    let mut finals = Vec::new();
    loop {
        let message = socket.receive_json(SOON).await.expect("a message");
        match message["type"].as_str().expect("a type") {
            "transcription" => {
                assert_contract(&message);
                if message["is_final"] == true {
                    finals.push(message);
                }
            }
            "streaming_stopped" => return finals,
            "error" => panic!("{message}"),
            _ => {}
        }
    }
}

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
    let finals = finals(&mut client).await;
    let record = ended(&app).await;
    assert_whole(&finals, &record, &sent);
    let query = &record.query;
    assert_eq!(query.get("encoding"), Some("linear16"));
    assert_eq!(query.get("model"), Some("nova-2"));
    assert_eq!(query.get("language"), Some("en"));
    assert_eq!(query.get("interim_results"), Some("true"));
    assert_eq!(record.header("authorization"), Some("Token test-deepgram-key"));
}

/// The one stream of this test, once the provider has seen its end.
async fn ended(app: &TestApp) -> Record {
    let find = |record: &Record| record.end.is_some();
    app.deepgram().wait_for_stream(SOON, find).await.expect("the stream ended")
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
    let mut sent = Vec::new();
    for number in 0..CHUNKS {
        let bytes = chunk(audio, number);
        socket.send_binary(bytes.clone()).await.expect("sent");
        sent.extend(bytes);
    }
    socket.send_json(&json!({ "type": "stop_streaming" })).await.expect("sent");
    let finals = raw_finals(&mut socket).await;
    assert_whole(&finals, &ended(&app).await, &sent);
}

/// Fifty clients at once on two threads, each with thousands of numbered chunks.
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
        client.emit("stop_streaming", &[]).await.expect("sent");
        let finals = finals(&mut client).await;
        assert_eq!(numbers(&finals), (0..EVENTS).collect::<Vec<_>>(), "session {session}");
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
    let audio = NumberedAudio::linear16(1, 3);
    for number in 0..CHUNKS {
        client.emit_binary("audio_chunk", &[&chunk(audio, number)]).await.expect("sent");
    }
    client.emit("stop_streaming", &[]).await.expect("sent");
    finals(&mut client).await;
    let billed = async || {
        app.sql::<Option<i64>>("SELECT sum(range_end_ms - range_start_ms)::bigint FROM usage_logs")
            .await
    };
    let whole = i64::from(CHUNKS) * 100;
    testkit::wait_until("the usage to be written", Duration::from_secs(10), async || {
        billed().await == Some(whole)
    })
    .await
    .expect("billed");
    let seconds: f64 = app.sql("SELECT sum(audio_duration_seconds) FROM usage_logs").await;
    assert!((seconds - whole as f64 / 1000.0).abs() < 1e-6);
}
