//! Any replica takes any request of a session, whoever holds it.

use serde_json::Value;
use testkit::{
    numbered::NumberedAudio,
    raw_ws::{RawSocket, Received},
};
use tokio::time::timeout;

use super::{Session, relayed, session::hear_out, setup};
use crate::{
    harness::{SOON, TestApp},
    oracle,
};

/// One chunk of audio as a message of the namespace.
fn chunk(number: u32) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let audio = STANDARD.encode(oracle::chunk(NumberedAudio::linear16(1, 1), number));
    format!("42/audio-stream,[\"audio_chunk\",{{\"audio_chunk\":\"{audio}\"}}]")
}

/// A packet with an event, as the raw door words it.
fn message(packet: &str) -> Option<Value> {
    let event = packet.strip_prefix("42/audio-stream,")?;
    let (name, mut payload): (String, Value) = serde_json::from_str(event).expect("an event");
    payload["type"] = name.into();
    Some(payload)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_replica_serves_every_session() {
    let [one, two, three] = &setup().start_many(3).await[..] else { panic!("three") };
    let urls = [one.url(), two.url(), three.url()];
    let session = Session::open(&urls[0]).await;
    session.enter(&urls[1], &urls[2]).await;
    for number in 0..30 {
        let said = session.post(&urls[number as usize % 3], &chunk(number)).await;
        assert_eq!(said, (200, "ok".to_owned()));
    }
    let stopped = session.post(&urls[1], "42/audio-stream,[\"stop_streaming\"]").await;
    assert_eq!(stopped.0, 200);
    let (mut heard, mut turn) = (Vec::new(), 0);
    while oracle::named(&heard, "streaming_stopped").next().is_none() {
        turn += 1;
        let (status, body) = session.poll(&urls[turn % 3]).await;
        assert_eq!(status, 200, "{body}");
        heard.extend(body.split('\u{1e}').filter_map(message));
    }
    oracle::assert_whole(&heard, 30);
    assert_eq!(relayed(one, "forwarded"), 0, "what is held here goes nowhere");
    assert!(relayed(two, "forwarded") > 10 && relayed(three, "forwarded") > 10);
}

/// A session of the first replica on a WebSocket, which the second one carries.
async fn carried(replicas: &[TestApp]) -> RawSocket {
    let urls = [replicas[0].url(), replicas[1].url()];
    let session = Session::open(&urls[0]).await;
    session.enter(&urls[1], &urls[0]).await;
    let socket = session.upgrade(&urls[1]).await;
    assert_eq!(relayed(&replicas[1], "tunnelled"), 1);
    socket
}

/// Thirty chunks, which the owner has taken in.
async fn speak(socket: &mut RawSocket, owner: &TestApp) {
    for number in 0..30 {
        socket.send_text(&chunk(number)).await.expect("sent");
    }
    let taken = async || owner.metric("audio_chunks_total", &[]) == 30;
    testkit::wait_until("the audio to be taken in", SOON, taken).await.expect("taken in");
}

async fn assert_no_socket(app: &TestApp) {
    let gone = async || app.metric("sockets", &[]) == 0;
    testkit::wait_until("the socket to be gone", SOON, gone).await.expect("gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_of_the_replica_that_carries_delivers_the_last_words() {
    let mut replicas = setup().with("DRAIN_SECONDS", "8").start_many(2).await;
    let mut socket = carried(&replicas).await;
    speak(&mut socket, &replicas[0]).await;
    replicas.remove(1).running.stop().await;
    let heard = hear_out(&mut socket).await;
    let heard: Vec<_> = heard.lines().filter_map(message).collect();
    oracle::assert_whole(&heard, 30);
    assert!(oracle::named(&heard, "migrate").next().is_some(), "it could have gone on elsewhere");
    assert_eq!(oracle::named(&heard, "closing").next().expect("a notice")["code"], 4000);
    assert_no_socket(&replicas[0]).await;
    // It drains for nobody else.
    let url = replicas[0].url();
    Session::open(&url).await.enter(&url, &url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hard_stop_cuts_what_is_carried() {
    let replicas = setup().start_many(2).await;
    let mut socket = carried(&replicas).await;
    // With a session under way even a word of the drain could end nothing so soon.
    speak(&mut socket, &replicas[0]).await;
    let shutdown = &replicas[1].running.app.shutdown;
    shutdown.abort();
    let heard = hear_out(&mut socket).await;
    assert!(!heard.contains("closing"), "cut, and not by its own replica: {heard}");
    assert_no_socket(&replicas[0]).await;
    timeout(SOON, shutdown.wait()).await.expect("nothing is carried on");
}

/// Only replicas tell each other to let a session go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_cannot_say_what_replicas_say() {
    let replicas = setup().start_many(2).await;
    let mut socket = carried(&replicas).await;
    let session = Session::open(&replicas[0].url()).await;
    for app in &replicas {
        let path =
            format!("{}/socket.io/?EIO=4&transport=websocket&sid={}", app.url(), session.sid);
        let answer = reqwest::Client::new().delete(path).send().await.expect("an answer");
        assert_eq!(answer.status(), 400);
    }
    socket.send_text("42/audio-stream,[\"start_streaming\"]").await.expect("sent");
    let answer = socket.receive(SOON).await.expect("an answer");
    assert!(
        matches!(&answer, Received::Text(text) if text.contains("session_started")),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_ends_what_another_replica_carries() {
    let mut replicas = setup().start_many(2).await;
    let mut socket = carried(&replicas).await;
    let owner = replicas.remove(0);
    owner.running.app.shutdown.drain();
    let heard = hear_out(&mut socket).await;
    assert!(heard.contains("4000"), "{heard}");
    owner.running.stop().await;
}
