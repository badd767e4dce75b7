//! Live sessions of one account at once: over every replica, through every failure, at both doors.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::{process::Redis, raw_ws::RawSocket, socketio};

use crate::harness::{LONG, SOON, ServiceProcess, Setup, TestApp, doors, postgres};

/// A tenth of a second of audio.
const AUDIO: [u8; 3200] = [0; 3200];
const REFUSAL: &str = "your plan allows 1 live session at once";

/// A setup on a Redis of the test's own, with that cap for everybody.
fn setup(redis: &Redis, cap: &str) -> Setup {
    let database = postgres().create_database().expect("a database");
    let setup = Setup::on(&database, &redis.url()).with("REDIS_PREFIX", "leases");
    setup.with("LIMIT_LIVE_SESSIONS", cap)
}

/// Sessions that Redis knows of.
fn held(redis: &Redis) -> usize {
    let answer = redis.command(&["ZCARD", "leases:{live}:leases"]).expect("told");
    answer.trim().trim_start_matches(':').parse().expect("a number")
}

async fn until_held(redis: &Redis, count: usize, deadline: Duration) {
    let what = format!("{count} leases");
    let is = async || held(redis) == count;
    let waited = testkit::wait_until(&what, deadline, is).await;
    waited.unwrap_or_else(|error| panic!("{error}, but {}", held(redis)));
}

/// Asks for a session and sends audio; the `audio_ack` that says it runs, or the refusal.
async fn open(socket: &mut RawSocket) -> Value {
    socket.send_json(&json!({ "type": "start_streaming" })).await.expect("sent");
    socket.send_binary(AUDIO).await.expect("sent");
    answer(socket).await
}

async fn answer(socket: &mut RawSocket) -> Value {
    let told = |event: &Value| event["type"] == "audio_ack" || event["type"] == "error";
    socket.receive_until(SOON, told).await.expect("an answer")
}

async fn stop(socket: &mut RawSocket) {
    socket.send_json(&json!({ "type": "stop_streaming" })).await.expect("sent");
}

fn assert_refused(event: &Value) {
    let said = (&event["code"], &event["retryable"], &event["message"]);
    assert_eq!(said, (&json!("rate_limited"), &json!(true), &json!(REFUSAL)), "{event}");
    assert!(event["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0), "{event}");
}

/// Tries again and again on one socket until its session runs; how long that took.
async fn until_open(socket: &mut RawSocket, deadline: Duration) -> Duration {
    let began = Instant::now();
    loop {
        let event = open(socket).await;
        if event["type"] == "audio_ack" {
            return began.elapsed();
        }
        assert_refused(&event);
        assert!(began.elapsed() < deadline, "refused for {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_of_opens_never_exceeds_the_cap() {
    let redis = Redis::start().expect("redis");
    let apps = setup(&redis, "5").start_many(2).await;
    let mut sockets = Vec::new();
    for number in 0..50 {
        sockets.push(apps[number % 2].websocket().await);
    }
    let (over, mut most) = (tokio_util::sync::CancellationToken::new(), 0);
    let watched = async {
        while !over.is_cancelled() {
            most = most.max(held(&redis));
            tokio::task::yield_now().await;
        }
    };
    let raced = async {
        let answers = join_all(sockets.iter_mut().map(open)).await;
        over.cancel();
        answers
    };
    let ((), answers) = tokio::join!(watched, raced);
    let running = answers.iter().filter(|event| event["type"] == "audio_ack").count();
    let refused = answers.iter().filter(|event| event["code"] == "rate_limited").count();
    assert_eq!((running, refused), (5, 45));
    assert!(most <= 5, "{most} leases at once");
    assert_eq!(held(&redis), 5);
    let counted = |outcome: &str| -> i64 {
        apps.iter().map(|app| app.metric("leases_total", &[outcome, "redis"])).sum()
    };
    assert_eq!((counted("granted"), counted("refused")), (5, 45));
    // One ends, and one of the refused may run.
    let done = answers.iter().position(|event| event["type"] == "audio_ack").expect("one runs");
    stop(&mut sockets[done]).await;
    until_held(&redis, 4, SOON).await;
    let next = answers.iter().position(|event| event["type"] == "error").expect("one was refused");
    until_open(&mut sockets[next], SOON).await;
    drop(sockets);
    until_held(&redis, 0, SOON).await;
}

/// Asking again and again costs a refused client's socket nothing but its own words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_starts_have_a_pace() {
    let redis = Redis::start().expect("redis");
    let app = setup(&redis, "1").start().await;
    let (mut first, mut second) = (app.websocket().await, app.websocket().await);
    assert_eq!(open(&mut first).await["type"], "audio_ack");
    let began = Instant::now();
    let mut refused = 0;
    while began.elapsed() < Duration::from_millis(2500) {
        assert_refused(&open(&mut second).await);
        refused += 1;
    }
    let asked = app.metric("leases_total", &["refused", "redis"]);
    assert!(refused > 20 && (2..=3).contains(&asked), "{refused} refused, {asked} asked");
    stop(&mut first).await;
    until_open(&mut second, SOON).await;
}

/// The place is free at the stop, while the last words are still to come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_and_a_start_on_one_socket_need_one_place() {
    let redis = Redis::start().expect("redis");
    let app = setup(&redis, "1").start().await;
    let mut socket = app.websocket().await;
    for _ in 0..20 {
        assert_eq!(open(&mut socket).await["type"], "audio_ack");
        stop(&mut socket).await;
    }
    socket.close(1000, "").await.expect("closed");
    let mut client = app.socketio().await;
    for _ in 0..20 {
        client.emit("start_streaming", &[]).await.expect("sent");
        client.emit_binary("audio_chunk", &[&AUDIO]).await.expect("sent");
        let told = |event: &socketio::Event| ["audio_ack", "error"].contains(&event.name.as_str());
        let heard = client.receive_until(SOON, told).await.expect("an answer");
        assert_eq!(heard.name, "audio_ack");
        client.emit("stop_streaming", &[]).await.expect("sent");
    }
    assert_eq!(app.metric("leases_total", &["refused"]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_doors_refuse_alike() {
    let redis = Redis::start().expect("redis");
    let apps = setup(&redis, "1").start_many(2).await;
    let mut first = apps[0].websocket().await;
    assert_eq!(open(&mut first).await["type"], "audio_ack");
    let mut second = apps[1].websocket().await;
    assert_refused(&open(&mut second).await);
    let mut client = apps[1].socketio().await;
    client.emit_binary("audio_chunk", &[&AUDIO]).await.expect("sent");
    let refusal = client.receive_event("error", SOON).await.expect("a refusal").json();
    assert_refused(&refusal);
    assert!(refusal["session_id"].is_string(), "{refusal}");
    assert_eq!(apps[1].metric("live_sessions_ended_total", &["rate_limited"]), 2);
    // A session that nobody has spoken in takes no place.
    let mut silent = apps[1].websocket().await;
    silent.send_json(&json!({ "type": "start_streaming" })).await.expect("sent");
    assert_eq!(held(&redis), 1);
    first.reset().expect("reset");
    until_open(&mut second, SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_replica_gives_its_places_back() {
    let redis = Redis::start().expect("redis");
    let (variables, _deepgram) = setup(&redis, "1").variables().await;
    let mut doomed = ServiceProcess::start(&variables).await;
    let other = ServiceProcess::start(&variables).await;
    let (mut first, _) = doors::websocket(&doomed.url(), &doomed.token()).await.expect("in");
    assert_eq!(open(&mut first).await["type"], "audio_ack");
    let (mut second, _) = doors::websocket(&other.url(), &other.token()).await.expect("in");
    assert_refused(&open(&mut second).await);
    doomed.guard.kill().expect("killed");
    let took = until_open(&mut second, LONG).await;
    assert!(took < Duration::from_secs(12), "{took:?}");
    assert!(took > Duration::from_secs(5), "{took:?}: it was nobody's place");
}

/// A phone that changed networks leaves a socket behind that looks open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_socket_does_not_lock_its_user_out() {
    let redis = Redis::start().expect("redis");
    let apps = setup(&redis, "1").start_many(2).await;
    let mut old = apps[0].websocket().await;
    assert_eq!(open(&mut old).await["type"], "audio_ack");
    let mut new = apps[1].websocket().await;
    assert_refused(&open(&mut new).await);
    let took = until_open(&mut new, LONG).await;
    assert!((8..13).contains(&took.as_secs()), "{took:?}");
    // It comes back to life, but the place is taken: its session is over.
    old.send_binary(AUDIO).await.expect("sent");
    let told = |event: &Value| event["type"] == "error";
    let refusal = old.receive_until(SOON, told).await.expect("a refusal");
    assert_refused(&refusal);
    stop(&mut new).await;
    until_held(&redis, 0, SOON).await;
    // A silence alone ends no session: who speaks again takes the place again.
    assert_eq!(open(&mut old).await["type"], "audio_ack");
    until_held(&redis, 0, LONG).await;
    old.send_binary(AUDIO).await.expect("sent");
    until_held(&redis, 1, SOON).await;
    stop(&mut old).await;
    let stopped = |event: &Value| event["type"] == "streaming_stopped" || event["type"] == "error";
    let heard = old.receive_until(SOON, stopped).await.expect("an end");
    assert_eq!(heard["type"], "streaming_stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_flush_owners_come_first() {
    let redis = Redis::start().expect("redis");
    let apps = setup(&redis, "1").start_many(2).await;
    let mut first = apps[0].websocket().await;
    assert_eq!(open(&mut first).await["type"], "audio_ack");
    // Both have seen a marker, and its owner goes on speaking.
    let speaking = keep_speaking(&mut first, Duration::from_secs(4)).await;
    assert!(speaking, "no refusal");
    redis.command(&["FLUSHALL"]).expect("emptied");
    let mut second = apps[1].websocket().await;
    let began = Instant::now();
    let (refusal, speaking) =
        tokio::join!(open(&mut second), keep_speaking(&mut first, Duration::from_secs(4)));
    assert_refused(&refusal);
    assert!(began.elapsed() > Duration::from_secs(2), "admission paused");
    assert!(speaking, "the owner kept its place");
    assert_eq!(held(&redis), 1);
}

/// Speaks for so long; whether nothing was refused.
async fn keep_speaking(socket: &mut RawSocket, time: Duration) -> bool {
    let until = Instant::now() + time;
    while Instant::now() < until {
        socket.send_binary(AUDIO).await.expect("sent");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    answer(socket).await["type"] == "audio_ack"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_replica_takes_its_share() {
    let mut redis = Redis::start().expect("redis");
    let apps = setup(&redis, "4").start_many(2).await;
    let know = async || apps.iter().all(|app| app.running.app.fleet.replicas() == 2);
    testkit::wait_until("both replicas to know of each other", SOON, know).await.expect("known");
    redis.kill().expect("killed");
    let mut sockets = Vec::new();
    for app in &apps {
        assert_eq!(open_new(app, &mut sockets).await["type"], "audio_ack");
        assert_eq!(open_new(app, &mut sockets).await["type"], "audio_ack");
        let refusal = open_new(app, &mut sockets).await;
        assert_eq!(refusal["code"], "rate_limited", "{refusal}");
        assert_eq!(app.metric("leases_total", &["granted", "share"]), 2);
        assert_eq!(app.metric("leases_total", &["refused", "share"]), 1);
    }
    redis.restart().expect("back");
    until_held(&redis, 4, SOON).await;
}

async fn open_new(app: &TestApp, sockets: &mut Vec<RawSocket>) -> Value {
    let mut socket = app.websocket().await;
    let answer = open(&mut socket).await;
    sockets.push(socket);
    answer
}
