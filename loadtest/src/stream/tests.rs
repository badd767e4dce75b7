//! One stream against a service of a few lines: what is measured, and what counts as a failure.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::Stream;
use crate::audio::Audio;
use crate::measure::{Measures, Time};
use crate::scenario::{DoorKind, Scenario};
use crate::socketio;

const STALL: Duration = Duration::from_millis(400);
const CHUNKS: u64 = 50;

/// How the service behaves.
#[derive(Clone, Copy, PartialEq)]
enum Service {
    /// Reads nothing for a while after the tenth chunk.
    Stalls,
    /// Closes the socket after the tenth chunk.
    Leaves,
    /// Refuses the namespace.
    Refuses,
}

impl Service {
    async fn serve(self, tcp: TcpStream) {
        let mut socket = accept_async(tcp).await.unwrap();
        say(&mut socket, "0{}").await;
        let mut chunks = 0;
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            if text.starts_with("40") && self == Self::Refuses {
                say(&mut socket, r#"44/audio-stream,{"message":"no"}"#).await;
            } else if text.starts_with("40") {
                say(&mut socket, &socketio::event("connected", Some(&json!({})))).await;
            } else if text.starts_with("451-") {
                say(&mut socket, &format!("43/audio-stream,{chunks}[]")).await;
                chunks += 1;
                match self {
                    Self::Leaves if chunks == 10 => return,
                    Self::Stalls if chunks == 10 => tokio::time::sleep(STALL).await,
                    _ => {}
                }
            } else {
                let last = json!({"is_final": true, "n": 1, "end_ms": 1000, "transcript": "x"});
                say(&mut socket, &socketio::event("transcription", Some(&last))).await;
                say(&mut socket, &socketio::event("streaming_stopped", Some(&json!({})))).await;
            }
        }
    }
}

async fn say(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
}

fn scenario() -> Scenario {
    Scenario {
        name: "test".to_owned(),
        door: DoorKind::Socketio,
        streams: 1,
        ramp_ms: 0,
        seconds: 1,
        chunk_ms: 20,
        language: "en".to_owned(),
        wav: None,
        min_finals: 1,
        connect_deadline_ms: 5_000,
        stop_deadline_ms: 5_000,
        options: None,
    }
}

async fn run_against(service: Service, scenario: Scenario) -> (Result<(), String>, Arc<Measures>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let measures = Arc::new(Measures::new().unwrap());
    let stream = Stream {
        url: format!("http://{}", listener.local_addr().unwrap()),
        token: String::new(),
        audio: Arc::new(Audio::load(None, scenario.chunk_ms).unwrap()),
        scenario: Arc::new(scenario),
        measures: Arc::clone(&measures),
    };
    let serve = async { service.serve(listener.accept().await.unwrap().0).await };
    let outcome = tokio::select! {
        outcome = stream.run() => outcome,
        () = async { serve.await; std::future::pending().await } => unreachable!(),
    };
    (outcome.map_err(|error| error.to_string()), measures)
}

#[tokio::test]
async fn a_stall_is_seen_by_every_chunk_it_holds_up() {
    let (outcome, measures) = run_against(Service::Stalls, scenario()).await;
    assert_eq!(outcome, Ok(()));
    let accepted = measures.histogram(Time::Accepted).clone();
    assert_eq!(accepted.len(), CHUNKS);
    // A closed loop would have seen one slow chunk; here about twenty were due during the stall.
    let micros = u64::try_from(STALL.as_micros()).unwrap();
    let held_up = accepted.count_between(micros / 4, micros * 10);
    assert!(held_up >= 10, "{held_up} of {CHUNKS} chunks waited");
    assert_eq!(measures.counts().chunks, CHUNKS);
    assert_eq!(measures.counts().finals_out_of_order, 0);
    assert_eq!(measures.histogram(Time::Final).len(), 1);
    assert_eq!(measures.histogram(Time::Stop).len(), 1);
}

#[tokio::test]
async fn a_service_that_leaves_or_refuses_fails_the_stream() {
    let (outcome, _) = run_against(Service::Leaves, scenario()).await;
    assert!(outcome.is_err());
    let (outcome, _) = run_against(Service::Refuses, scenario()).await;
    assert_eq!(outcome, Err("no".to_owned()));
}

#[tokio::test]
async fn too_few_finals_fail_the_stream() {
    let (outcome, _) = run_against(Service::Stalls, Scenario { min_finals: 2, ..scenario() }).await;
    assert_eq!(outcome, Err("too few finals".to_owned()));
}
