//! Who speaks beside somebody whose files burn the decoder.

use std::{
    ops::Range,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use reqwest::Client;
use serde_json::Value;
use testkit::{
    deepgram::Simulator, numbered::NumberedAudio, raw_ws::RawSocket, recorded::Recorders,
};
use tokio::runtime::Runtime;

use super::{CLIP, clip, file, form, hostile::DECODED, setup};
use crate::{
    harness::{SOON, ServiceProcess, doors},
    oracle::{assert_whole, chunk, listen_raw, numbered, stop_raw, until_stopped_raw},
};

/// Chunks of 100 ms that are spoken alone, and as many beside the bombs.
const SPOKEN: u32 = 150;
const CHUNK: Duration = Duration::from_millis(100);
/// Bombs at once.
const BOMBS: usize = 4;

/// Half an hour of silence in a few hundred kilobytes.
fn silence() -> Vec<u8> {
    let path = std::env::temp_dir().join(format!("{}.flac", uuid::Uuid::new_v4()));
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-f", "lavfi"]);
    command.args(["-i", "anullsrc=r=8000:cl=mono", "-t", "1800"]).arg(&path);
    assert!(command.status().expect("ffmpeg runs").success());
    let bytes = std::fs::read(&path).expect("a file");
    std::fs::remove_file(&path).expect("removed");
    bytes
}

/// Somebody who speaks, and what they heard.
struct Speaker {
    socket: RawSocket,
    heard: Vec<Value>,
}

impl Speaker {
    /// Speaks at the pace of speech, and asks for finals after each chunk: how long after it was
    /// due each was all final, in milliseconds, ascending.
    async fn speak(&mut self, chunks: Range<u32>) -> Vec<f64> {
        let (begun, first) = (Instant::now(), chunks.start);
        let mut took = Vec::new();
        for number in chunks {
            let due = begun + CHUNK * (number - first);
            tokio::time::sleep_until(due.into()).await;
            let audio = chunk(NumberedAudio::linear16(1, 1), number);
            self.socket.send_binary(audio).await.expect("sent");
            self.socket.send_text(r#"{"type":"finalize"}"#).await.expect("sent");
            let finalized = |told: &Value| told["type"] == "finalized";
            self.heard.extend(listen_raw(&mut self.socket, SOON, finalized).await);
            took.push(due.elapsed().as_secs_f64() * 1000.0);
        }
        took.sort_by(f64::total_cmp);
        took
    }
}

/// Sends bombs, one after the other, for as long as it is let; they are refused, or heard as silence.
async fn bomb(service: &ServiceProcess, bytes: &[u8], sent: &AtomicUsize) {
    loop {
        let upload = form(&[DECODED]).part("audio", file(bytes.to_vec(), "speech.flac"));
        let request = Client::new().post(format!("{}/transcriptions/whisper", service.url()));
        let request = request.bearer_auth(service.token()).multipart(upload);
        let answer = request.send().await.expect("an answer");
        assert!([200, 400, 503].contains(&answer.status().as_u16()), "{answer:?}");
        sent.fetch_add(1, Ordering::Relaxed);
    }
}

/// How long it took is printed, and judged by whoever reads it: a busy machine is no fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_beside_bombs_is_heard_word_for_word() {
    // On threads of their own: what they do with large pieces must not hold up who measures.
    let elsewhere = Runtime::new().expect("a runtime");
    let started = elsewhere.spawn(Recorders::start(clip(CLIP)));
    let recorders = started.await.expect("started").expect("the providers start");
    let deepgram = Simulator::start(numbered()).await.expect("the simulator starts");
    let (variables, _) = setup(&recorders)
        .with("DEEPGRAM_BASE_URL", deepgram.base_url())
        .with("LIMIT_LIVE_SESSIONS", "unlimited")
        .variables()
        .await;
    let service = ServiceProcess::start(&variables).await;
    let (socket, _) = doors::websocket(&service.url(), &service.token()).await.expect("admitted");
    let mut speaker = Speaker { socket, heard: Vec::new() };
    let alone = speaker.speak(0..SPOKEN).await;
    let (bytes, sent) = (silence(), AtomicUsize::new(0));
    let bombs = futures_util::future::join_all((0..BOMBS).map(|_| bomb(&service, &bytes, &sent)));
    let beside = tokio::select! {
        took = speaker.speak(SPOKEN..2 * SPOKEN) => took,
        _ = bombs => unreachable!("they go on"),
    };
    stop_raw(&mut speaker.socket).await;
    speaker.heard.extend(until_stopped_raw(&mut speaker.socket, SOON).await);
    assert_whole(&speaker.heard, 2 * SPOKEN);
    let at = |took: &[f64], part: usize| took[took.len() * part / 100];
    for (name, took) in [("alone", &alone), ("beside bombs", &beside)] {
        println!("{name}: p50 {:.1} ms, p99 {:.1} ms", at(took, 50), at(took, 99));
    }
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent > 0, "none of them burned");
    println!("{sent} bombs of {} bytes were answered meanwhile", bytes.len());
    elsewhere.shutdown_background();
}
