//! What one socket may cost: options have a size, starts a pace, and the log hears of each fault once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use testkit::raw_ws::{RawSocket, Refused};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use crate::{
    harness::{Setup, TestApp},
    oracle::{self, SOON, numbered},
    resume::{AUDIO, begin},
};

/// A log that counts lines which say that.
struct Tally {
    line: &'static str,
    count: AtomicUsize,
}

impl Visit for &Tally {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" && format!("{value:?}").contains(self.line) {
            self.count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Subscriber for Tally {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut &*self);
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What a start is answered on a fresh socket.
async fn answer(app: &TestApp, mut options: Value) -> Value {
    options["type"] = json!("start_streaming");
    let mut socket = app.websocket().await;
    socket.send_json(&options).await.expect("sent");
    let answered = |it: &Value| it["type"] == "session_started" || it["type"] == "error";
    oracle::listen_raw(&mut socket, SOON, answered).await.pop().expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_are_sealed_as_far_as_they_count_and_have_a_size() {
    let app = Setup::new().deepgram(numbered()).start().await;
    let plain = answer(&app, json!({})).await;
    let stamped = answer(&app, json!({ "timestamp": "x".repeat(500_000) })).await;
    let length = |started: &Value| started["resume_token"].as_str().expect("a token").len();
    assert_eq!(length(&stamped), length(&plain), "what is ignored is not kept");
    let refused = answer(&app, json!({ "lang": "x".repeat(24 * 1024) })).await;
    assert_eq!(refused["code"], "invalid_request", "{refused}");
    assert!(refused["message"].as_str().is_some_and(|text| text.contains("24576")), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_every_key_term_can_be_gone_on_with() {
    let app = Setup::new().deepgram(numbered()).start().await;
    let terms: Vec<String> = (0..100).map(|at| format!("{at:0>100}")).collect();
    let (socket, known) = begin(&app, 20, json!({ "keyterm": terms, "model": "nova-3" })).await;
    drop(socket);
    let mut socket = app.websocket().await;
    socket.send_json(&known.resume(20)).await.expect("sent");
    let answered = |it: &Value| it["type"] == "session_resumed" || it["type"] == "error";
    let resumed = oracle::listen_raw(&mut socket, SOON, answered).await.pop().expect("an answer");
    assert_eq!(resumed["type"], "session_resumed", "{resumed}");
    let from = resumed["next_seq"].as_u64().expect("a number") as u32;
    oracle::speak_raw(&mut socket, AUDIO, from..25).await;
    oracle::stop_raw(&mut socket).await;
    oracle::until_stopped_raw(&mut socket, SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_socket_starts_so_many_sessions_at_once_and_then_a_few() {
    let app = TestApp::start().await;
    let mut socket = app.websocket().await;
    let mut started = 0;
    let refused = loop {
        socket.send_json(&json!({ "type": "start_streaming" })).await.expect("sent");
        oracle::stop_raw(&mut socket).await;
        let mut heard = oracle::until_stopped_raw(&mut socket, SOON).await;
        heard.retain(|it| it["type"] == "error");
        match heard.pop() {
            Some(error) => break error,
            None => started += 1,
        }
        assert!(started < 1000, "nothing holds it back");
    };
    assert!(started >= 16, "{started}");
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("rate_limited"), &json!(true)));
    assert!(refused["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{refused}");
    let again = async || {
        socket.send_json(&json!({ "type": "start_streaming" })).await.expect("sent");
        let answered = |it: &Value| it["type"] == "session_started" || it["type"] == "error";
        oracle::listen_raw(&mut socket, SOON, answered).await.pop().expect("an answer")["type"]
            == "session_started"
    };
    testkit::wait_until("another start to be taken", SOON, again).await.expect("started");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_and_a_share_have_so_many_sockets_open_at_once() {
    let limits = Setup::new().with("LIMIT_OPEN_SOCKETS", "2").with("LIMIT_SHARE_SOCKETS", "1");
    let app = limits.start().await;
    let url = format!("{}/audio-stream", app.url());
    let shares = app.running.app.rooms.shares();
    let room = "stage".parse().expect("a name");
    let share = shares.issue(&room, "user-8", SOON).await.expect("a token").0;
    let share = secrecy::ExposeSecret::expose_secret(&share).to_owned();
    let bearer = format!("Bearer {}", app.token());
    let first = app.socketio().await;
    for (header, room_for) in [(("authorization", bearer), 1), (("x-share-token", share), 1)] {
        let header = (header.0, header.1.as_str());
        let mut open = Vec::new();
        for _ in 0..room_for {
            open.push(RawSocket::connect(&url, &[header]).await.expect("admitted"));
        }
        let refused = RawSocket::connect(&url, &[header]).await.expect_err("one too many");
        let refused = refused.downcast_ref::<Refused>().expect("a refusal");
        assert_eq!(refused.status, 429, "{header:?}");
        drop(open);
        let again = async || RawSocket::connect(&url, &[header]).await.is_ok();
        testkit::wait_until("room for another", SOON, again).await.expect("admitted");
    }
    drop(first);
    let left = async || app.metric("sockets", &[]) == 0;
    testkit::wait_until("every socket to be forgotten", SOON, left).await.expect("forgotten");
}

/// On one thread, whose log is counted.
#[tokio::test]
async fn the_log_hears_of_idle_stops_and_strange_languages_once_a_socket() {
    for (line, message) in [
        ("Stop streaming called for unknown connection", json!({ "type": "stop_streaming" })),
        ("Invalid language", json!({ "type": "start_streaming", "lang": "xx" })),
    ] {
        let tally = Arc::new(Tally { line, count: AtomicUsize::new(0) });
        let _log = tracing::subscriber::set_default(tally.clone());
        let app = Setup::new().deepgram(numbered()).start().await;
        let mut socket = app.websocket().await;
        for _ in 0..8 {
            socket.send_json(&message).await.expect("sent");
            oracle::stop_raw(&mut socket).await;
            oracle::until_stopped_raw(&mut socket, SOON).await;
        }
        assert_eq!(tally.count.load(Ordering::SeqCst), 1, "{line}");
    }
}
