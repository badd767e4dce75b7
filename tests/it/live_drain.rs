//! A replica that goes away: last words first, then the notice, then the cut; nobody new meanwhile.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    deepgram::{Action, Config, Fault},
    numbered::NumberedAudio,
    process::Signal,
    raw_ws::{RawSocket, Received, Refused},
    socketio::{self, ConnectError, Heard},
};

use crate::{
    harness::{ServiceProcess, Setup, doors},
    oracle::{self, SOON, numbered},
};

const AUDIO: NumberedAudio = NumberedAudio::linear16(1, 1);
const CHUNKS: u32 = 12;

fn assert_notice(notice: &Value) {
    assert_eq!((&notice["code"], &notice["reconnect"]), (&json!(4000), &json!(true)), "{notice}");
    assert!(notice["reconnect_after_ms"].is_u64(), "{notice}");
}

/// What came through Socket.IO until the end, as messages of the raw door.
async fn to_the_end(client: &mut socketio::Client) -> Vec<Value> {
    let (events, end) = client.drain(Duration::from_secs(15)).await.expect("an end");
    assert!(matches!(end, Heard::Closed(..)), "a stock client reconnects after {end:?}");
    let message = |event: socketio::Event| {
        let mut json = event.json();
        json["type"] = event.name.into();
        json
    };
    events.into_iter().map(message).collect()
}

/// Everything was said, then the stop, then the notice, and nothing after it.
fn assert_farewell(heard: &[Value]) {
    oracle::assert_whole(heard, CHUNKS);
    let types: Vec<_> = heard.iter().rev().take(2).map(|message| &message["type"]).collect();
    assert_eq!(types, ["closing", "streaming_stopped"]);
    assert_notice(heard.last().expect("the notice"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_delivers_the_last_words() {
    // Slow enough for others to knock while the last words are on their way.
    let config = Config { latency: Duration::from_secs(2), ..numbered() };
    let app = Setup::new().with("DRAIN_SECONDS", "8").deepgram(config).start().await;
    let mut client = app.socketio().await;
    let mut socket = app.websocket().await;
    let mut idle = app.socketio().await;
    let mut idle_raw = app.websocket().await;
    oracle::speak(&mut client, AUDIO, 0..CHUNKS).await;
    oracle::speak_raw(&mut socket, AUDIO, 0..CHUNKS).await;
    let heard_both = |streams: &[testkit::deepgram::Record]| {
        streams.len() == 2 && streams.iter().all(|s| s.heard >= Duration::from_millis(1200))
    };
    app.deepgram().wait_for(SOON, heard_both).await.expect("heard");
    let (url, token) = (app.url(), app.token());
    let running = app.running;
    let talk = async {
        let (events, _) = idle.drain(SOON).await.expect("an end");
        assert_notice(&events.last().expect("a notice").json());
        let (messages, end) = idle_raw.drain(SOON).await.expect("an end");
        assert_notice(messages.last().expect("a notice"));
        assert!(matches!(end, Received::Closed(4000, _)), "{end:?}");
        assert_nobody_new(&url, &token).await;
        assert_farewell(&to_the_end(&mut client).await);
        let (messages, end) = socket.drain(SOON).await.expect("an end");
        assert_farewell(&messages);
        assert!(matches!(end, Received::Closed(4000, _)), "{end:?}");
    };
    let stopped = tokio::time::timeout(Duration::from_secs(20), running.stop());
    let (stopped, ()) = tokio::join!(stopped, talk);
    stopped.expect("stopped well within its limit");
    let refused = reqwest::get(format!("{url}/health")).await;
    assert!(refused.is_err_and(|error| error.is_connect()), "nobody listens any more");
}

/// The listener is open and says why it takes nobody; liveness stays.
async fn assert_nobody_new(url: &str, token: &str) {
    let options = socketio::Options {
        namespace: "/audio-stream".into(),
        auth: json!({ "token": token }),
        ..Default::default()
    };
    let error = socketio::Client::connect(url, options).await.expect_err("refused");
    let told: &ConnectError = error.downcast_ref().expect("a connect_error");
    assert_eq!(told.0, json!({ "message": "Connection rejected by server" }));
    let bearer = format!("Bearer {token}");
    let raw = format!("{url}/audio-stream");
    let error = RawSocket::connect(&raw, &[("authorization", &bearer)]).await.expect_err("refused");
    let refused: &Refused = error.downcast_ref().expect("an HTTP answer");
    let body: Value = serde_json::from_str(&refused.body).expect("JSON");
    assert_eq!((refused.status, &body["code"]), (503, &json!("shutting_down")));
    assert!(refused.header("retry-after").is_some());
    let status = async |path: &str| {
        reqwest::get(format!("{url}{path}")).await.expect("an answer").status().as_u16()
    };
    assert_eq!((status("/health").await, status("/ready").await), (200, 503));
}

/// A provider that never finishes cannot hold a replica beyond its limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_at_its_limit() {
    let app = Setup::new().with("DRAIN_SECONDS", "2").deepgram(numbered()).start().await;
    app.deepgram().plan_every(vec![Fault::at_open(Action::IgnoreCloseStream)]);
    let mut client = app.socketio().await;
    oracle::speak(&mut client, AUDIO, 0..CHUNKS).await;
    app.deepgram().wait_for_stream(SOON, |record| record.audio_bytes > 0).await.expect("heard");
    let stopped = tokio::time::timeout(SOON, app.running.stop());
    let (stopped, end) = tokio::join!(stopped, client.drain(SOON));
    stopped.expect("stopped soon after its limit");
    assert!(matches!(end.expect("an end").1, Heard::Closed(..)));
}

/// A client that reads nothing cannot hold a replica either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_waits_for_no_reader() {
    let app = Setup::new().with("DRAIN_SECONDS", "5").deepgram(numbered()).start().await;
    let mut client = app.socketio().await;
    let mut socket = app.websocket().await;
    oracle::speak(&mut client, AUDIO, 0..CHUNKS).await;
    oracle::speak_raw(&mut socket, AUDIO, 0..CHUNKS).await;
    app.deepgram().wait_for(SOON, |streams| streams.len() == 2).await.expect("heard");
    tokio::time::timeout(SOON, app.running.stop()).await.expect("stopped");
}

/// Whoever searches the log for why a socket went finds it, once for each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closes_of_the_service_are_logged() {
    let (variables, _deepgram) = Setup::new().variables().await;
    let service = ServiceProcess::start(&variables).await;
    let (url, token) = (service.url(), service.token());
    let (mut client, _) = doors::socketio(&url, &token).await.expect("admitted");
    let (mut socket, _) = doors::websocket(&url, &token).await.expect("admitted");
    service.guard.signal(Signal::Terminate).expect("told to stop");
    client.drain(SOON).await.expect("an end");
    socket.drain(SOON).await.expect("an end");
    let line = "WebSocket closed by the service: user_id=dev-user";
    let log = service.log();
    let lines: Vec<_> = log.lines().filter(|entry| entry.contains(line)).collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines.iter().all(|line| line.contains("4000") && line.contains("draining")));
}
