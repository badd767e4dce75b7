//! Real recorded speech through the real service with its embedded engine, at real time.

use std::{io::Write, time::Duration};

use serde_json::{Value, json};
use testkit::{
    socketio,
    speech::{self, Wav, word_error_rate},
};
use tokio::process::Command;

use crate::harness::{LONG, SOON, Setup, Speech, TestApp, binary, doors};

/// Clean recordings of one speaker each.
const CLIPS: [&str; 4] = [
    "jfk.wav",
    "librivox_austen/sense_and_sensibility_01_austen_64kb-0870.wav",
    "librivox_austen/sense_and_sensibility_01_austen_64kb-0880.wav",
    "librivox_austen/sense_and_sensibility_01_austen_64kb-0930.wav",
];
const CHUNK: Duration = Duration::from_millis(100);
/// Wrong words for each that was said.
const MAX_ERROR_RATE: f64 = 0.1;

/// What was said in a clip.
fn said(clip: &str) -> String {
    let text = std::fs::read_to_string(speech::fixture_path("transcripts.json")).expect("read");
    let clips: Vec<Value> = serde_json::from_str(&text).expect("transcripts");
    let found = clips.iter().find(|entry| entry["file"] == clip).expect("the clip");
    found["transcript"].as_str().expect("a transcript").to_owned()
}

/// Error rate where a title may be spelt out or not.
fn error_rate(said: &str, heard: &str) -> f64 {
    word_error_rate(said, &heard.replace("Mr.", "mister"))
}

async fn client(app: &TestApp) -> socketio::Client {
    doors::socketio(&app.url(), &app.token()).await.expect("admitted").0
}

/// Tells a figure also where the output of passing tests is kept back.
fn report(figure: &str) {
    writeln!(std::io::stderr(), "{figure}").expect("standard error");
}

async fn recite(app: &TestApp, clip: &'static str) -> (&'static str, Speech) {
    let wav = Wav::fixture(clip).expect("a clip");
    let chunks: Vec<_> = wav.chunks(CHUNK).collect();
    (clip, Speech::of(&mut client(app).await, &chunks, CHUNK).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_most_one_word_in_ten_is_wrong_and_text_comes_while_somebody_speaks() {
    let app = Setup::new().local().start().await;
    let recited = CLIPS.map(|clip| recite(&app, clip));
    let (mut wrong, mut of) = (0.0, 0.0);
    for (clip, speech) in futures_util::future::join_all(recited).await {
        let (said, heard) = (said(clip), speech.transcript());
        let words = speech::normalize(&said).len() as f64;
        let rate = error_rate(&said, &heard);
        let (first, during) = (speech.first_text_after(), speech.texts_while_speaking());
        report(&format!(
            "{clip}: word error rate {rate:.3}; first text after {first:?}, {during} while speaking: {heard}"
        ));
        assert!(during > 0, "no text of {clip} before its last chunk was sent");
        wrong += rate * words;
        of += words;
    }
    report(&format!("all: {wrong:.0} of {of:.0} words wrong, {:.1} %", 100.0 * wrong / of));
    assert!(wrong <= of * MAX_ERROR_RATE, "{wrong} of {of} words are wrong");
    assert_eq!(app.metric("live_sessions_ended_total", &["finished"]), 4);
    assert_eq!(app.metric("audio_dropped_total", &[]), 0);
}

/// As a browser's recorder writes it: each chunk holds what was said in the last 100 ms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webm_opus_is_recognised_live() {
    let clip = CLIPS[0];
    let ffmpeg = binary::need("ffmpeg", "scripts/setup");
    let file = std::env::temp_dir().join(format!("jfk-{}.webm", std::process::id()));
    let mut command = Command::new(ffmpeg);
    command.args(["-v", "error", "-y", "-i"]).arg(speech::fixture_path(clip));
    command.args(["-c:a", "libopus", "-f", "webm", "-cluster_time_limit", "100"]).arg(&file);
    let made = binary::run(command, LONG).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let bytes = std::fs::read(&file).expect("the recording");
    std::fs::remove_file(&file).expect("removed");

    let app = Setup::new().local().start().await;
    let chunks: Vec<_> = bytes.chunks(bytes.len().div_ceil(110)).collect();
    let speech = Speech::of(&mut client(&app).await, &chunks, CHUNK).await;
    let rate = error_rate(&said(clip), &speech.transcript());
    let (first, during) = (speech.first_text_after(), speech.texts_while_speaking());
    report(&format!(
        "webm: word error rate {rate:.3}; first text after {first:?}, {during} while speaking"
    ));
    assert!(rate <= MAX_ERROR_RATE, "{}", speech.transcript());
    assert!(during > 0, "text comes while the recording streams");
}

/// A language that the engine does not know is refused, with those it does, before any audio.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spanish_is_refused_before_audio_is_taken() {
    let app = Setup::new().local().start().await;
    let assert_told = |error: &Value| {
        assert_eq!(error["code"], "unsupported_language", "{error}");
        assert_eq!((&error["retryable"], &error["allowed"]), (&json!(false), &json!(["en"])));
        assert!(error["message"].as_str().is_some_and(|text| text.contains("es")), "{error}");
    };
    let mut asked = client(&app).await;
    asked.emit("start_streaming", &[json!({ "lang": "es" })]).await.expect("sent");
    assert_told(&asked.receive_event("error", SOON).await.expect("told").json());
    // In the address it is told with the greeting, and audio does not start a session.
    let options = socketio::Options {
        namespace: "/audio-stream".into(),
        auth: json!({ "token": app.token() }),
        query: vec![("lang".into(), "es".into())],
        ..Default::default()
    };
    let mut hinted = socketio::Client::connect(&app.url(), options).await.expect("admitted");
    assert_told(&hinted.receive_event("error", SOON).await.expect("told").json());
    for client in [&mut asked, &mut hinted] {
        client.emit_binary("audio_chunk", &[&[0; 3200]]).await.expect("sent");
        client.receive_event("error", SOON).await.expect("told again");
    }
    assert_eq!(app.metric("audio_chunks_total", &[]), 0);
    assert_eq!(app.metric("live_sessions_ended_total", &[]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_engine_refuses_and_takes_the_next_once_there_is_room() {
    let app = Setup::new().local().with("ASR_MAX_STREAMS", "1").start().await;
    let silence = [0; 3200];
    let mut first = client(&app).await;
    first.emit_binary("audio_chunk", &[&silence]).await.expect("sent");
    let running = async || app.metric("upstream_connects_total", &["opened"]) > 0;
    testkit::wait_until("the first stream", SOON, running).await.expect("runs");
    let mut second = client(&app).await;
    second.emit_binary("audio_chunk", &[&silence]).await.expect("sent");
    let error = second.receive_event("error", SOON).await.expect("told").json();
    assert_eq!((&error["code"], &error["retryable"]), (&json!("overloaded"), &json!(true)));
    first.emit("stop_streaming", &[]).await.expect("sent");
    first.receive_event("streaming_stopped", SOON).await.expect("stopped");
    // The place is free a moment after the last word.
    let mut third = client(&app).await;
    let taken = async || {
        third.emit("start_streaming", &[json!({})]).await.expect("sent");
        third.emit_binary("audio_chunk", &[&silence]).await.expect("sent");
        third.emit("stop_streaming", &[]).await.expect("sent");
        let end =
            |event: &socketio::Event| matches!(event.name.as_str(), "streaming_stopped" | "error");
        third.receive_until(SOON, end).await.expect("an end").name == "streaming_stopped"
    };
    testkit::wait_until("room for a third", SOON, taken).await.expect("room");
}
