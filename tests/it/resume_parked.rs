//! A connection that breaks in the midst of a word: whoever is back soon has the word whole.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{deepgram, raw_ws::RawSocket};

use crate::{
    harness::{Setup, TestApp},
    oracle::{self, FRAMES_PER_CHUNK, SOON, numbered},
    resume::{AUDIO, Known},
};

/// A chunk of audio that begins with ten milliseconds of silence: each border lies within a word.
fn chunk(number: u32) -> Vec<u8> {
    let frame_bytes = AUDIO.frame_bytes();
    let chunk_bytes = frame_bytes * FRAMES_PER_CHUNK as usize;
    let mut bytes = vec![0; frame_bytes / 2];
    bytes.extend(AUDIO.frames(0, (number + 1) * FRAMES_PER_CHUNK));
    let start = chunk_bytes * number as usize;
    bytes[start..start + chunk_bytes].to_vec()
}

async fn speak(socket: &mut RawSocket, chunks: std::ops::Range<u32>) {
    for number in chunks {
        socket.send_binary(chunk(number)).await.expect("sent");
    }
}

/// Says fifteen chunks, all of which reach the provider.
async fn begin(app: &TestApp) -> (RawSocket, Known) {
    let mut socket = app.websocket().await;
    socket.send_json(&json!({ "type": "start_streaming" })).await.expect("sent");
    let heard = oracle::listen_raw(&mut socket, SOON, |it| it["type"] == "session_started").await;
    let started = heard.last().expect("started").clone();
    speak(&mut socket, 0..15).await;
    let all = |record: &deepgram::Record| record.heard >= Duration::from_millis(1500);
    app.deepgram().wait_for_stream(SOON, all).await.expect("heard");
    (socket, Known { started, heard })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_that_a_broken_connection_cuts_is_said_whole() {
    let apps = Setup::new().deepgram(numbered()).start_many(2).await;
    let (socket, known) = begin(&apps[0]).await;
    drop(socket);
    let mut socket = apps[1].websocket().await;
    socket.send_json(&known.resume(15)).await.expect("sent");
    let answered = |it: &Value| it["type"] == "session_resumed" || it["type"] == "error";
    let resumed = oracle::listen_raw(&mut socket, SOON, answered).await.pop().expect("an answer");
    let from = resumed["next_seq"].as_u64().expect("a number") as u32;
    speak(&mut socket, from..30).await;
    oracle::stop_raw(&mut socket).await;
    let heard = oracle::until_stopped_raw(&mut socket, SOON).await;
    let expected: Vec<_> = (0..30 * FRAMES_PER_CHUNK - 1).collect();
    assert_eq!(oracle::numbers(&oracle::finals(&heard)), expected, "all but the last half");
    oracle::assert_billed(&apps[1], 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_come_back_is_transcribed_and_billed_to_the_end() {
    let app = Setup::new().deepgram(numbered()).start().await;
    let (socket, _) = begin(&app).await;
    drop(socket);
    let ended = async || app.metric("live_sessions", &[]) == 0;
    testkit::wait_until("the session to end", SOON, ended).await.expect("ended");
    let stream = &app.deepgram().streams()[0];
    assert_eq!(stream.final_words().len() as u32, 15 * FRAMES_PER_CHUNK - 1);
    oracle::assert_billed(&app, 15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_leave_is_not_waited_for() {
    let app = Setup::new().deepgram(numbered()).start().await;
    let (mut socket, _) = begin(&app).await;
    let began = Instant::now();
    socket.close(1000, "").await.expect("closed");
    let ended = async || app.metric("live_sessions", &[]) == 0;
    testkit::wait_until("the session to end", SOON, ended).await.expect("ended");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
