//! What a client claims when it goes on with a session: numbers that cannot be meant are refused, and
//! audio that it lets go of is never billed.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{deepgram, raw_ws::RawSocket};

use crate::{
    harness::{LONG, Setup, TestApp},
    oracle::{self, SOON, numbered},
    resume::{AUDIO, Known, begin, refusal},
};

/// Goes on with a session of which chunks 20 to 30 are lost; the socket, and the answer.
async fn go_on_after_a_gap(app: &TestApp, known: &Known) -> (RawSocket, Value) {
    let mut wanted = known.resume(30);
    (wanted["first_seq"], wanted["first_ms"]) = (json!(30), json!(36_000_000));
    resume(app, &wanted).await
}

async fn resume(app: &TestApp, wanted: &Value) -> (RawSocket, Value) {
    let mut socket = app.websocket().await;
    socket.send_json(wanted).await.expect("sent");
    let answered = |it: &Value| it["type"] == "session_resumed" || it["type"] == "error";
    let answer = oracle::listen_raw(&mut socket, SOON, answered).await.pop().expect("an answer");
    assert_eq!(answer["type"], "session_resumed", "{answer}");
    (socket, answer)
}

/// Waits until a session has that outcome, and all that it owed is in the table; how much that is.
async fn billed(app: &TestApp, outcome: &'static str) -> i64 {
    let over = async || app.metric("live_sessions_ended_total", &[outcome]) == 1;
    testkit::wait_until("the session to be over", SOON, over).await.expect("over");
    let written = async || app.metric("usage_pending", &[]) == 0;
    testkit::wait_until("usage to be written", SOON, written).await.expect("written");
    let billed = "SELECT sum(range_end_ms - range_start_ms)::bigint FROM usage_logs";
    app.sql::<Option<i64>>(billed).await.unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_cannot_be_meant_are_refused() {
    let app = Setup::new().deepgram(numbered()).start().await;
    let (socket, known) = begin(&app, 20, json!({})).await;
    drop(socket);
    let mut claims = Vec::new();
    for number in [json!(1_u64 << 53), json!(u64::MAX), json!(1e30), json!(-1), json!("7")] {
        for name in ["next_seq", "last_n", "first_seq", "first_ms"] {
            let mut wanted = known.resume(20);
            (wanted["first_seq"], wanted["first_ms"]) = (json!(20), json!(2000));
            wanted[name] = number.clone();
            claims.push(wanted);
        }
    }
    let mut far = known.resume(30);
    (far["first_seq"], far["first_ms"]) = (json!(30), json!(86_400_000 + 2_001));
    claims.push(far);
    let mut greatest = known.resume(20);
    (greatest["next_seq"], greatest["first_seq"]) = (json!(u64::MAX), json!(u64::MAX));
    greatest["first_ms"] = json!(u64::MAX);
    claims.push(greatest);
    for wanted in claims {
        let mut socket = app.websocket().await;
        assert_eq!(refusal(&mut socket, &wanted).await, "invalid_request", "{wanted}");
    }
    let (mut socket, resumed) = resume(&app, &known.resume(20)).await;
    let from = resumed["next_seq"].as_u64().expect("a number") as u32;
    oracle::speak_raw(&mut socket, AUDIO, from..30).await;
    oracle::stop_raw(&mut socket).await;
    let counts = |it: &Value| it["n"].as_u64() <= resumed["last_n"].as_u64();
    let mut heard: Vec<Value> = oracle::finals(&known.heard).into_iter().filter(counts).collect();
    heard.extend(oracle::until_stopped_raw(&mut socket, SOON).await);
    oracle::assert_whole(&heard, 30);
    drop(socket);
    let left = async || app.metric("sockets", &[]) == 0;
    testkit::wait_until("every socket to be forgotten", SOON, left).await.expect("forgotten");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_that_nothing_follows_is_told_and_unbilled() {
    let apps = Setup::new().deepgram(numbered()).start_many(2).await;
    let (socket, known) = begin(&apps[0], 20, json!({})).await;
    drop(socket);
    let (mut socket, resumed) = go_on_after_a_gap(&apps[1], &known).await;
    oracle::stop_raw(&mut socket).await;
    let heard = oracle::until_stopped_raw(&mut socket, SOON).await;
    let gap = oracle::named(&heard, "gap").next().expect("a gap");
    assert_eq!((&gap["to_ms"], &gap["reason"]), (&json!(36_000_000), &json!("client_buffer")));
    assert_eq!(gap["n"].as_u64(), resumed["last_n"].as_u64().map(|n| n + 1));
    let lost_ms = 36_000_000 - gap["from_ms"].as_u64().expect("ms");
    let report = &heard.last().expect("the stop")["report"];
    assert_eq!(report["lost"]["client_buffer"], lost_ms, "{report}");
    assert_eq!(report["transcribed_ms"], gap["from_ms"], "{report}");
    assert_eq!(billed(&apps[1], "finished").await, gap["from_ms"].as_i64().expect("ms"));
}

/// Whoever goes on after that begins behind the gap, which is told to the room once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_outlives_a_socket_that_dies_at_once() {
    let apps = Setup::new().deepgram(numbered()).start_many(2).await;
    let (socket, known) = begin(&apps[0], 20, json!({})).await;
    drop(socket);
    let (socket, first) = go_on_after_a_gap(&apps[1], &known).await;
    drop(socket);
    billed(&apps[1], "silent").await;
    let (mut socket, again) = resume(&apps[0], &known.resume(30)).await;
    assert_eq!((&again["next_seq"], &again["from_ms"]), (&json!(30), &json!(36_000_000)));
    assert_eq!(again["last_n"].as_u64(), first["last_n"].as_u64().map(|n| n + 1), "the gap's");
    oracle::speak_raw(&mut socket, AUDIO, 30..40).await;
    oracle::stop_raw(&mut socket).await;
    let heard = oracle::until_stopped_raw(&mut socket, SOON).await;
    let gap = oracle::named(&heard, "gap").next().expect("the gap is told again");
    let lost_ms = 36_000_000 - gap["from_ms"].as_u64().expect("ms");
    let report = &heard.last().expect("the stop")["report"];
    assert_eq!(report["lost"]["client_buffer"], lost_ms, "{report}");
    let written = 1000 + gap["from_ms"].as_i64().expect("ms");
    let bill = "SELECT sum(range_end_ms - range_start_ms)::bigint FROM usage_logs";
    let is_billed = async || apps[0].sql::<Option<i64>>(bill).await == Some(written);
    testkit::wait_until("all but the gap to be billed", SOON, is_billed).await.expect("billed");
}

/// However much is missed: it does not fill the queue of a reader that reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_finals_that_were_missed_are_told_again() {
    const CHUNKS: u32 = 400;
    let config = deepgram::Config { longest_segment: Duration::from_millis(100), ..numbered() };
    let apps = Setup::new().deepgram(config).start_many(2).await;
    let (mut socket, mut known) = begin(&apps[0], CHUNKS, json!({})).await;
    let all = |it: &Value| it["is_final"] == true && it["end_ms"].as_u64() >= Some(39_900);
    oracle::listen_raw(&mut socket, LONG, all).await;
    drop(socket);
    known.heard.clear();
    let (mut socket, resumed) = resume(&apps[1], &known.resume(CHUNKS)).await;
    assert!(resumed["last_n"].as_u64() > Some(300), "{resumed}");
    assert_eq!(resumed["recovered"], true);
    let from = resumed["next_seq"].as_u64().expect("a number") as u32;
    oracle::speak_raw(&mut socket, AUDIO, from..CHUNKS + 10).await;
    oracle::stop_raw(&mut socket).await;
    let heard = oracle::until_stopped_raw(&mut socket, LONG).await;
    oracle::assert_whole(&heard, CHUNKS + 10);
}
