//! What every stream of numbered audio must come to: each frame's word once, in order, in its place.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use serde_json::{Value, json};
use testkit::{
    deepgram::{self, Record, Script},
    numbered::{FRAME_MS, Mark, NumberedAudio},
    raw_ws::RawSocket,
    socketio,
};

pub use crate::harness::SOON;
use crate::harness::{Setup, TestApp};

/// Five frames of 20 ms make one chunk of 100 ms.
pub const FRAMES_PER_CHUNK: u32 = 5;
/// Milliseconds of one chunk.
pub const CHUNK_MS: u64 = FRAMES_PER_CHUNK as u64 * FRAME_MS;

/// A Deepgram that says the marks that it finds in the audio.
pub fn numbered() -> deepgram::Config {
    deepgram::Config::speaking(Script::numbered_audio())
}

/// A replica with such a Deepgram.
pub async fn numbered_app() -> TestApp {
    Setup::new().deepgram(numbered()).start().await
}

/// The chunk of that number.
pub fn chunk(audio: NumberedAudio, number: u32) -> Vec<u8> {
    audio.frames(number * FRAMES_PER_CHUNK, FRAMES_PER_CHUNK)
}

/// Sends chunks through Socket.IO as binary.
pub async fn speak(
    client: &mut socketio::Client,
    audio: NumberedAudio,
    chunks: std::ops::Range<u32>,
) {
    for number in chunks {
        client.emit_binary("audio_chunk", &[&chunk(audio, number)]).await.expect("sent");
    }
}

/// Sends chunks through the raw door.
pub async fn speak_raw(socket: &mut RawSocket, audio: NumberedAudio, chunks: std::ops::Range<u32>) {
    for number in chunks {
        socket.send_binary(chunk(audio, number)).await.expect("sent");
    }
}

/// Asks Socket.IO's door to stop.
pub async fn stop(client: &mut socketio::Client) {
    client.emit("stop_streaming", &[]).await.expect("sent");
}

/// Asks the raw door to stop.
pub async fn stop_raw(socket: &mut RawSocket) {
    socket.send_json(&json!({ "type": "stop_streaming" })).await.expect("sent");
}

/// Everything until a message fits, that among it, as messages of the raw door.
pub async fn listen(
    client: &mut socketio::Client,
    deadline: Duration,
    fits: impl Fn(&Value) -> bool,
) -> Vec<Value> {
    let until = Instant::now() + deadline;
    let mut heard: Vec<Value> = Vec::new();
    while !heard.last().is_some_and(&fits) {
        let left = until.saturating_duration_since(Instant::now());
        let event = client.receive_until(left, |_| true).await;
        let event = event.unwrap_or_else(|error| panic!("{error}; heard {heard:#?}"));
        let mut json = event.json();
        json["type"] = event.name.into();
        heard.push(json);
    }
    heard
}

/// The same through the raw door.
pub async fn listen_raw(
    socket: &mut RawSocket,
    deadline: Duration,
    fits: impl Fn(&Value) -> bool,
) -> Vec<Value> {
    let until = Instant::now() + deadline;
    let mut heard: Vec<Value> = Vec::new();
    while !heard.last().is_some_and(&fits) {
        let left = until.saturating_duration_since(Instant::now());
        let message = socket.receive_json(left).await;
        heard.push(message.unwrap_or_else(|error| panic!("{error}; heard {heard:#?}")));
    }
    heard
}

/// Everything until `streaming_stopped`.
pub async fn until_stopped(client: &mut socketio::Client, deadline: Duration) -> Vec<Value> {
    listen(client, deadline, |message| message["type"] == "streaming_stopped").await
}

/// The same through the raw door.
pub async fn until_stopped_raw(socket: &mut RawSocket, deadline: Duration) -> Vec<Value> {
    listen_raw(socket, deadline, |message| message["type"] == "streaming_stopped").await
}

/// The messages of that type.
pub fn named<'a>(heard: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    heard.iter().filter(move |message| message["type"] == name)
}

/// The finals.
pub fn finals(heard: &[Value]) -> Vec<Value> {
    named(heard, "transcription").filter(|text| text["is_final"] == true).cloned().collect()
}

/// The frames that finals spell.
pub fn numbers(finals: &[Value]) -> Vec<u32> {
    let words = finals.iter().flat_map(|text| text["words"].as_array().expect("words"));
    words.map(|word| mark(word).number).collect()
}

fn mark(word: &Value) -> Mark {
    Mark::parse(word["word"].as_str().expect("a word")).expect("a mark")
}

/// Every frame of `chunks` chunks once, ascending, each where it was spoken; finals counted from 1.
pub fn assert_whole(heard: &[Value], chunks: u32) {
    let finals = finals(heard);
    assert_eq!(numbers(&finals), (0..chunks * FRAMES_PER_CHUNK).collect::<Vec<_>>());
    let ns: Vec<_> = finals.iter().map(|text| text["n"].as_u64().expect("n")).collect();
    assert_eq!(ns, (1..=finals.len() as u64).collect::<Vec<_>>());
    for text in &finals {
        assert_placed(text);
    }
    let errors: Vec<_> = named(heard, "error").collect();
    assert!(errors.is_empty(), "{errors:?}");
}

/// Each word stands where its frame was spoken, and the segment around it.
pub fn assert_placed(text: &Value) {
    for word in text["words"].as_array().expect("words") {
        let begins = u64::from(mark(word).number) * FRAME_MS;
        let near = |field: &str, ms: u64| word[field].as_u64().expect("ms").abs_diff(ms) <= 1;
        assert!(near("start_ms", begins) && near("end_ms", begins + FRAME_MS), "{word}");
        assert!(text["start_ms"].as_u64() <= word["start_ms"].as_u64(), "{text}");
        assert!(text["end_ms"].as_u64() >= word["end_ms"].as_u64(), "{text}");
    }
}

/// Each millisecond of the one session is billed once, without holes, up to its end.
pub async fn assert_billed(app: &TestApp, chunks: u32) {
    let whole = i64::from(chunks) * CHUNK_MS as i64;
    let billed = async || {
        app.sql::<Option<i64>>("SELECT sum(range_end_ms - range_start_ms)::bigint FROM usage_logs")
            .await
    };
    let waited =
        testkit::wait_until("the usage", SOON, async || billed().await == Some(whole)).await;
    let sum = billed().await;
    waited.unwrap_or_else(|error| panic!("{error}: {whole} ms were spoken, {sum:?} billed"));
    let holes: i64 = app
        .sql(
            "SELECT count(*) FROM (SELECT range_start_ms, lag(range_end_ms, 1, 0::bigint) \
             OVER (PARTITION BY session_id ORDER BY range_start_ms) AS before FROM usage_logs) r \
             WHERE range_start_ms <> before",
        )
        .await;
    assert_eq!(holes, 0, "ranges tile the timeline");
}

/// Runs cases that mostly wait side by side; one that fails is named.
pub async fn side_by_side(
    cases: impl IntoIterator<Item = (&'static str, LocalBoxFuture<'static, ()>)>,
) {
    let named = async |(what, case)| {
        let ended = AssertUnwindSafe::<LocalBoxFuture<'_, ()>>(case).catch_unwind().await;
        ended.unwrap_or_else(|_| panic!("it was: {what}"));
    };
    futures_util::future::join_all(cases.into_iter().map(named)).await;
}

/// The stream of that number, once the provider has seen its end.
pub async fn ended(app: &TestApp, index: usize) -> Record {
    let find = |record: &Record| record.index == index && record.end.is_some();
    app.deepgram().wait_for_stream(SOON, find).await.expect("the stream ended")
}
