//! A session whose task panics: only that one is restarted, by its client, and loses no word.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use serde_json::{Value, json};
use testkit::{numbered::NumberedAudio, raw_ws::RawSocket};
use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use crate::{
    harness::{LONG, Setup, TestApp, doors},
    oracle::{self, numbered},
    resume::Known,
    rooms::Stream,
};

/// The key of somebody else.
const OTHER: &str = "a-static-key-of-somebody-else";
/// What a door logs when it closes a socket.
const CLOSED: &str = "WebSocket closed by the service";
/// What a door logs of audio with nothing in it.
const EMPTY: &str = "Empty audio chunk received";

/// A log that panics once, in the task that writes a certain line: nothing in the service is made to
/// fail, and no other task of it is touched.
struct Trap {
    line: &'static str,
    armed: AtomicBool,
}

impl Visit for &Trap {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let trodden = field.name() == "message" && format!("{value:?}").contains(self.line);
        let springs = trodden && self.armed.swap(false, Ordering::SeqCst);
        assert!(!springs, "a log that cannot be written");
    }
}

impl Subscriber for Trap {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::INFO
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

async fn begin(app: &TestApp, token: &str, audio: NumberedAudio) -> (RawSocket, Known) {
    let (mut socket, _) = doors::websocket(&app.url(), token).await.expect("admitted");
    socket.send_json(&json!({ "type": "start_streaming" })).await.expect("sent");
    let heard = oracle::listen_raw(&mut socket, LONG, |it| it["type"] == "session_started").await;
    let started = heard.last().expect("started").clone();
    oracle::speak_raw(&mut socket, audio, 0..15).await;
    (socket, Known { started, heard })
}

/// Goes on with the session, once its first bookmark has come to Redis.
async fn resume(app: &TestApp, known: &Known) -> (RawSocket, Value) {
    let until = Instant::now() + LONG;
    loop {
        let (mut socket, _) = doors::websocket(&app.url(), &app.token()).await.expect("admitted");
        socket.send_json(&known.resume(15)).await.expect("sent");
        let answered = |it: &Value| it["type"] == "session_resumed" || it["type"] == "error";
        let answer = oracle::listen_raw(&mut socket, LONG, answered).await.pop().expect("one");
        if answer["code"] != "not_found" || Instant::now() > until {
            return (socket, answer);
        }
    }
}

#[tokio::test]
async fn only_the_session_that_panics_is_restarted() {
    Box::pin(one_session_panics()).await;
}

/// Two speak, and the session of one panics; what came of it. On one thread, whose log is the trap.
pub async fn one_session_panics() -> String {
    let line = "connection started for user: dev-user ";
    // Of a log that is the only one, each line asks the thread that comes to it first; those of other
    // tests have none, and would answer for all.
    let _other_log = Dispatch::new(Trap { line, armed: AtomicBool::new(false) });
    let trap = Arc::new(Trap { line, armed: AtomicBool::new(true) });
    let _log = tracing::subscriber::set_default(trap.clone());
    let app = Setup::new().deepgram(numbered()).with("API_KEY", OTHER).start().await;
    let (doomed, spared) = (NumberedAudio::linear16(1, 1), NumberedAudio::linear16(2, 2));
    let (mut other, _) = begin(&app, OTHER, spared).await;
    let (mut socket, known) = begin(&app, &app.token(), doomed).await;
    let heard = oracle::listen_raw(&mut socket, LONG, |it| it["type"] == "closing").await;
    let closing = heard.last().expect("a farewell");
    assert_eq!(
        (&closing["code"], &closing["reason"], &closing["reconnect"]),
        (&json!(4004), &json!("restart"), &json!(true))
    );
    assert!(!trap.armed.load(Ordering::SeqCst));
    assert_eq!(app.metric("live_sessions_ended_total", &[r#"outcome="died""#]), 1);
    assert_eq!(app.metric("live_sessions", &[]), 1, "the other's");
    let (mut again, resumed) = resume(&app, &known).await;
    assert_eq!(resumed["next_seq"], 0, "nothing of it was said: {resumed}");
    for (socket, audio, from) in [(&mut again, doomed, 0), (&mut other, spared, 15)] {
        oracle::speak_raw(socket, audio, from..30).await;
        oracle::stop_raw(socket).await;
        oracle::assert_whole(&oracle::until_stopped_raw(socket, LONG).await, 30);
    }
    let billed = "SELECT sum(range_end_ms - range_start_ms)::bigint FROM usage_logs";
    let is_billed = async || app.sql::<Option<i64>>(billed).await == Some(6000);
    testkit::wait_until("both to be billed once", LONG, is_billed).await.expect("billed");
    assert_eq!(app.metric("live_sessions", &[]), 0);
    let words = 2 * 30 * oracle::FRAMES_PER_CHUNK;
    format!("told 4004; {words} words in 2 sessions, 1 resumes, 6000 ms billed")
}

/// On one thread, whose log is the trap: a door that panics takes its session and its place along.
#[tokio::test]
async fn a_door_that_panics_leaves_nothing_behind() {
    let trap = Arc::new(Trap { line: EMPTY, armed: AtomicBool::new(true) });
    let _log = tracing::subscriber::set_default(trap.clone());
    let app = Setup::new().deepgram(numbered()).start().await;
    let (mut socket, _) = begin(&app, &app.token(), NumberedAudio::linear16(1, 1)).await;
    oracle::listen_raw(&mut socket, LONG, |it| it["is_final"] == true).await;
    assert_eq!((app.metric("sockets", &[]), app.metric("live_sessions", &[])), (1, 1));
    socket.send_binary(Vec::new()).await.expect("sent");
    let gone = async || app.metric("sockets", &[]) == 0 && app.metric("live_sessions", &[]) == 0;
    testkit::wait_until("the socket to be forgotten", LONG, gone).await.expect("forgotten");
    assert!(!trap.armed.load(Ordering::SeqCst));
}

/// On one thread, whose log is the trap: a stream of events that panics is no viewer any more.
#[tokio::test]
async fn a_stream_of_events_that_panics_leaves_nothing_behind() {
    let trap = Arc::new(Trap { line: CLOSED, armed: AtomicBool::new(true) });
    let _log = tracing::subscriber::set_default(trap.clone());
    let app = Setup::new().start().await;
    let shares = format!("{}/rooms/stage/shares", app.url());
    let client = reqwest::Client::new();
    let made = client.post(&shares).bearer_auth(app.token()).send().await.expect("an answer");
    let share: Value = made.json().await.expect("JSON");
    let token = share["token"].as_str().expect("a token");
    let url = format!("{}/rooms/stage/events", app.url());
    let stream = Stream::open(&url, &[("x-share-token", token)]).await;
    let mut stream = stream.map_err(|refused| refused.0).expect("admitted");
    stream.next(LONG).await.expect("joined");
    let streams = || app.metric("sockets", &[r#"door="sse""#]);
    assert_eq!(streams(), 1);
    let id = share["id"].as_str().expect("an id");
    let taken_back = client.delete(format!("{shares}/{id}")).bearer_auth(app.token()).send();
    assert_eq!(taken_back.await.expect("an answer").status(), 204);
    let gone = async || !trap.armed.load(Ordering::SeqCst) && streams() == 0;
    testkit::wait_until("the stream to be forgotten", LONG, gone).await.expect("forgotten");
    let viewers = async || app.running.app.rooms.viewers(&"stage".parse().expect("a name")).await;
    let left = async || viewers().await.ok() == Some(0);
    testkit::wait_until("its viewer to be gone", LONG, left).await.expect("gone");
}
