//! A stop whose answer was lost: the end is told again, on any replica, and billed once.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{deepgram, raw_ws::RawSocket};

use crate::{
    harness::{Setup, TestApp},
    oracle::{self, SOON, numbered},
    resume::{AUDIO, Known, begin, refusal},
};

/// Asks for the session on a fresh socket; the answer.
async fn ask(app: &TestApp, known: &Known, next_seq: u32) -> (RawSocket, Value) {
    let mut socket = app.websocket().await;
    socket.send_json(&known.resume(next_seq)).await.expect("sent");
    let answered = |it: &Value| it["type"] == "session_resumed" || it["type"] == "error";
    let answer = oracle::listen_raw(&mut socket, SOON, answered).await.pop().expect("an answer");
    (socket, answer)
}

/// Stops, and loses the socket before anything of the end is read.
async fn stop_and_vanish(mut socket: RawSocket) {
    oracle::stop_raw(&mut socket).await;
    drop(socket);
}

fn bills(app: &TestApp, ms: i64) -> impl AsyncFn() -> bool + '_ {
    let billed = "SELECT sum(range_end_ms - range_start_ms)::bigint FROM usage_logs";
    async move || app.sql::<Option<i64>>(billed).await == Some(ms)
}

async fn is_over(app: &TestApp) {
    let over = async || app.metric("live_sessions_ended_total", &["finished"]) == 1;
    testkit::wait_until("the session to be over", SOON, over).await.expect("over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_is_told_again_on_any_replica() {
    let apps = Setup::new().deepgram(numbered()).start_many(2).await;
    let (socket, known) = begin(&apps[0], 23, json!({})).await;
    stop_and_vanish(socket).await;
    is_over(&apps[0]).await;
    for app in [&apps[1], &apps[0], &apps[1]] {
        let (mut socket, resumed) = ask(app, &known, 23).await;
        assert_eq!((&resumed["stopped"], &resumed["next_seq"]), (&json!(true), &json!(23)));
        assert_eq!((&resumed["recovered"], &resumed["from_ms"]), (&json!(true), &json!(2300)));
        let mut heard = oracle::finals(&known.heard);
        heard.extend(oracle::until_stopped_raw(&mut socket, SOON).await);
        oracle::assert_whole(&heard, 23);
        assert_eq!(oracle::finals(&heard).last().expect("a final")["n"], resumed["last_n"]);
        let stopped = heard.last().expect("the stop");
        assert_eq!(stopped["session_id"], known.started["session_id"]);
        let report = json!({
            "received_ms": 2300, "transcribed_ms": 2300, "lost_ms": 0, "lost": {},
        });
        assert_eq!(stopped["report"], report);
        let ack = oracle::listen_raw(&mut socket, SOON, |it| it["type"] == "audio_ack").await;
        let ack = ack.last().expect("an acknowledgement");
        assert_eq!((&ack["acked_seq"], &ack["acked_ms"]), (&json!(22), &json!(2300)));
        // The socket has no session: another begins there at once.
        socket.send_json(&json!({ "type": "start_streaming" })).await.expect("sent");
        let started = |it: &Value| it["type"] == "session_started" || it["type"] == "error";
        let heard = oracle::listen_raw(&mut socket, SOON, started).await;
        assert_eq!(heard.last().expect("an answer")["type"], "session_started");
    }
    testkit::wait_until("the bill", SOON, bills(&apps[1], 2300)).await.expect("billed once");
    assert_eq!(apps[1].metric("resumes_total", &["stopped"]), 2);
}

/// Whoever comes while the last words are on their way gets the session, or its end, whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_while_the_last_words_come_loses_none() {
    let latency = Duration::from_millis(400);
    let config = deepgram::Config { latency, ..numbered() };
    let apps = Setup::new().deepgram(config).start_many(2).await;
    let (socket, known) = begin(&apps[0], 20, json!({})).await;
    stop_and_vanish(socket).await;
    let (mut socket, resumed) = ask(&apps[1], &known, 20).await;
    assert_eq!(resumed["type"], "session_resumed", "{resumed}");
    if resumed["stopped"] != true {
        let from = resumed["next_seq"].as_u64().expect("a number") as u32;
        oracle::speak_raw(&mut socket, AUDIO, from..20).await;
        oracle::stop_raw(&mut socket).await;
    }
    let counts = |it: &Value| it["n"].as_u64() <= resumed["last_n"].as_u64();
    let mut heard: Vec<Value> = oracle::finals(&known.heard).into_iter().filter(counts).collect();
    heard.extend(oracle::until_stopped_raw(&mut socket, SOON).await);
    oracle::assert_whole(&heard, 20);
    testkit::wait_until("the bill", SOON, bills(&apps[1], 2000)).await.expect("billed once");
}

/// A container cannot be gone on with, but its end can be heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_other_audio_is_told_again_too() {
    let apps = Setup::new().deepgram(numbered()).start_many(2).await;
    let mut socket = apps[0].websocket().await;
    let start = json!({ "type": "start_streaming", "encoding": "opus" });
    socket.send_json(&start).await.expect("sent");
    let heard = oracle::listen_raw(&mut socket, SOON, |it| it["type"] == "session_started").await;
    let known = Known { started: heard.last().expect("started").clone(), heard };
    for _ in 0..5 {
        socket.send_binary(vec![7; 500]).await.expect("sent");
    }
    stop_and_vanish(socket).await;
    is_over(&apps[0]).await;
    let (mut socket, resumed) = ask(&apps[1], &known, 5).await;
    assert_eq!((&resumed["stopped"], &resumed["next_seq"]), (&json!(true), &json!(5)), "{resumed}");
    oracle::until_stopped_raw(&mut socket, SOON).await;
}

/// A session that failed is over, and what it did not transcribe is for another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_failed_is_not_told_as_stopped() {
    let apps = Setup::new().deepgram(numbered()).start_many(2).await;
    let (mut socket, known) = begin(&apps[0], 20, json!({})).await;
    oracle::speak_raw(&mut socket, AUDIO, 20..25).await;
    let heard = |stream: &deepgram::Record| stream.heard >= Duration::from_millis(2500);
    apps[0].deepgram().wait_for_stream(SOON, heard).await.expect("heard");
    let rejected = deepgram::Action::Close(1008, "DATA-0000".to_owned());
    apps[0].deepgram().inject(None, &rejected);
    oracle::listen_raw(&mut socket, SOON, |it| it["type"] == "error").await;
    drop(socket);
    let over =
        async || refusal(&mut apps[1].websocket().await, &known.resume(25)).await == "conflict";
    testkit::wait_until("the session to be over", SOON, over).await.expect("over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_session_may_begin_at_once_where_a_resume_was_refused() {
    let app = Setup::new().deepgram(numbered()).start().await;
    let (_first, known) = begin(&app, 12, json!({})).await;
    let mut wanted = known.resume(12);
    wanted["resume_token"] = json!("forged");
    let mut socket = app.websocket().await;
    assert_eq!(refusal(&mut socket, &wanted).await, "forbidden");
    socket.send_json(&json!({ "type": "start_streaming" })).await.expect("sent");
    let answered = |it: &Value| it["type"] == "session_started" || it["type"] == "error";
    let heard = oracle::listen_raw(&mut socket, SOON, answered).await;
    assert_eq!(heard.last().expect("an answer")["type"], "session_started", "{heard:?}");
}
