//! A browser's container through a lost provider: the next connection begins after its init segment.

use std::time::Duration;

use serde_json::Value;
use testkit::{
    deepgram::{Action, Fault, Record},
    speech::{Paced, ffmpeg, fixture_path},
};

use crate::harness::{LONG, SOON, TestApp};

fn decoded_seconds(record: &Record) -> f64 {
    ffmpeg(&record.audio, &["-f", "s16le", "-ac", "1", "-ar", "16000"]).expect("ffmpeg").len()
        as f64
        / 32_000.0
}

/// Streams eleven seconds of a container at four times real time, through a provider that is cut
/// off after five of them; returns the finals and what each connection heard.
async fn stream(format: &[&str]) -> (Vec<Value>, Vec<Record>) {
    let speech = std::fs::read(fixture_path("jfk.wav")).expect("the fixture");
    let audio = ffmpeg(&speech, format).expect("ffmpeg");
    let app = TestApp::start().await;
    app.deepgram().plan(vec![Fault::at_audio(Duration::from_secs(5), Action::Drop)]);
    let mut client = app.socketio().await;
    let mut paced = Paced::new(&audio, audio.len() / 11, Duration::from_millis(100), 4.0);
    while let Some(chunk) = paced.next().await {
        client.emit_binary("audio_chunk", &[chunk]).await.expect("sent");
    }
    client.emit("stop_streaming", &[]).await.expect("sent");
    let mut finals = Vec::new();
    loop {
        let event = client.receive_until(LONG, |_| true).await.expect("an event");
        match event.name.as_str() {
            "transcription" if event.json()["is_final"] == true => finals.push(event.json()),
            "streaming_stopped" => break,
            "error" => panic!("{:?}", event.json()),
            _ => {}
        }
    }
    let ended = |records: &[Record]| records.iter().all(|record| record.end.is_some());
    (finals, app.deepgram().wait_for(SOON, ended).await.expect("the streams ended"))
}

async fn survives(format: &[&str]) {
    let (finals, records) = stream(format).await;
    let [first, second] = &records[..] else { panic!("{} connections", records.len()) };
    assert_eq!(second.query.get("encoding"), None);
    let span = |event: &Value| (event["start_ms"].as_u64(), event["end_ms"].as_u64());
    let mut covered = Some(0);
    for event in &finals {
        let (start, end) = span(event);
        assert!(start >= covered && end > start, "{event} after {covered:?}");
        covered = end;
    }
    let end = covered.expect("finals");
    assert!((10_800..=11_300).contains(&end), "the timeline ends at {end}");
    // What the first heard up to its last final and what the second was given are the whole clip.
    let last_final = first.finals.iter().map(|sent| sent.end_us).max().unwrap_or(0);
    let seconds = decoded_seconds(second);
    let expected = 11.0 - last_final as f64 / 1e6;
    assert!((seconds - expected).abs() < 0.35, "{seconds} s were given again, not {expected}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webm_begins_again() {
    survives(&["-c:a", "libopus", "-f", "webm", "-live", "1", "-cluster_time_limit", "5000"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ogg_begins_again() {
    survives(&["-c:a", "libopus", "-page_duration", "100000", "-f", "ogg"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mp3_begins_again() {
    survives(&["-c:a", "libmp3lame", "-f", "mp3"]).await;
}
