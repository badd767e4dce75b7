//! A Redis that dies, comes back and forgets, and a replica that is killed, under viewers.

use std::collections::BTreeMap;

use super::*;
use crate::harness::{ServiceProcess, postgres};

struct Stage {
    redis: testkit::process::Redis,
    apps: Vec<TestApp>,
    voice: Voice,
    raw: RawSocket,
    client: socketio::Client,
    stream: Stream,
}

/// Three viewers on two replicas who have seen three finals.
async fn stage() -> Stage {
    let redis = testkit::process::Redis::start().expect("a redis");
    let database = postgres().create_database().expect("a database");
    let apps = Setup::on(&database, &redis.url()).start_many(2).await;
    let mut voice = Voice::begin(&apps[0], "stage", DEVELOPMENT).await;
    voice.say(3).await;
    let (raw, _) = viewer(&apps[1], "stage", json!({})).await;
    let (client, _) = socketio_viewer(&apps[0], "stage", json!({})).await;
    let bearer = format!("Bearer {}", apps[1].token());
    let url = format!("{}/rooms/stage/events", apps[1].url());
    let mut stream =
        Stream::open(&url, &[("authorization", &bearer)]).await.map_err(|it| it.0).expect("in");
    stream.next(SOON).await.expect("joined");
    Stage { redis, apps, voice, raw, client, stream }
}

fn statuses(heard: &[Value]) -> Vec<bool> {
    oracle::named(heard, "room_status").map(|it| it["degraded"] == true).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_dies_delays_viewers_and_they_are_told() {
    let mut stage = Box::pin(stage()).await;
    stage.redis.kill().expect("killed");
    assert!(!stage.voice.try_to_say().await);
    let degraded = |it: &Value| it["type"] == "room_status" && it["degraded"] == true;
    oracle::listen_raw(&mut stage.raw, SOON, degraded).await;
    oracle::listen(&mut stage.client, SOON, degraded).await;
    stage.stream.until(SOON, degraded).await;
    // Who comes now is served from memory, or told to ask again.
    let mut late = stage.apps[1].websocket().await;
    assert_eq!(snapshot(&join(&mut late, "stage", json!({})).await), [1, 2, 3]);
    let other = join(&mut late, "elsewhere", json!({})).await;
    let told = (&other["code"], &other["retryable"]);
    assert_eq!(told, (&json!("dependency_unavailable"), &json!(true)), "{other}");
    stage.redis.restart().expect("restarted");
    stage.voice.flush().await;
    stage.voice.say(1).await;
    let heard = [
        oracle::listen_raw(&mut stage.raw, LONG, is_final(5)).await,
        oracle::listen(&mut stage.client, LONG, is_final(5)).await,
        stage.stream.until(LONG, is_final(5)).await,
        oracle::listen_raw(&mut late, LONG, is_final(5)).await,
    ];
    for heard in &heard {
        assert_eq!(numbers(heard), [4, 5]);
        assert_eq!(statuses(heard).last(), Some(&false), "{heard:?}");
        assert_eq!(oracle::named(heard, "history_gap").count(), 0, "{heard:?}");
    }
    let counted =
        async || stage.apps[0].running.app.rooms.viewers(stage.voice.room()).await.ok() == Some(4);
    testkit::wait_until("everybody to be counted again", LONG, counted).await.expect("counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_flush_viewers_miss_nothing_of_who_speaks_and_are_told_of_the_rest() {
    let mut stage = Box::pin(stage()).await;
    let seen = stage.voice.last_n;
    stage.redis.command(&["FLUSHALL"]).expect("flushed");
    stage.voice.say(2).await;
    let heard = oracle::listen_raw(&mut stage.raw, LONG, is_final(5)).await;
    assert_eq!(numbers(&heard), [4, 5]);
    assert_eq!(oracle::named(&heard, "history_gap").count(), 0, "{heard:?}");
    let last = heard.last().expect("a final");
    assert_eq!(last["offset"], 5, "the session was told again");
    // Across epochs, for who says what it heard last; and not, for who says only where that stood.
    let old = json!({ "resume": { "epoch": 7, "offset": seen, "session_id": stage.voice.session_id(), "n": seen } });
    let (mut again, joined) = viewer(&stage.apps[0], "stage", old).await;
    assert_eq!(joined["recovered"], true, "{joined}");
    assert_eq!(hear(&mut again, 5).await, [4, 5]);
    let (_socket, joined) =
        viewer(&stage.apps[0], "stage", json!({"resume": {"epoch": 7, "offset": seen}})).await;
    assert_eq!((&joined["recovered"], &joined["reason"]), (&json!(false), &json!("epoch_gone")));
    assert_eq!(snapshot(&joined), upwards(1..=5));
    // Another session begins with nothing left of this one.
    stage.redis.command(&["FLUSHALL"]).expect("flushed");
    let mut next = Voice::begin(&stage.apps[1], "stage", DEVELOPMENT).await;
    next.say(2).await;
    for heard in [
        oracle::listen_raw(&mut stage.raw, LONG, is_final(2)).await,
        stage.stream.until(LONG, is_final(2)).await,
    ] {
        let gap = oracle::named(&heard, "history_gap").next().expect("a gap");
        assert_eq!((&gap["room"], &gap["reason"]), (&json!("stage"), &json!("epoch_gone")));
        assert!(numbers(&heard).ends_with(&[1, 2]), "{heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_of_a_killed_replica_are_forgotten_and_come_back_elsewhere() {
    let (variables, _deepgram) = Setup::new().variables().await;
    let variables: BTreeMap<String, String> = variables;
    let processes =
        [ServiceProcess::start(&variables).await, ServiceProcess::start(&variables).await];
    let [mut doomed, staying] = processes;
    let open = async |process: &ServiceProcess| {
        harness_doors::websocket(&process.url(), &process.token()).await.expect("in").0
    };
    let mut here = open(&staying).await;
    join(&mut here, "stage", json!({})).await;
    let mut there = [open(&doomed).await, open(&doomed).await];
    for socket in &mut there {
        join(socket, "stage", json!({})).await;
    }
    let is = |count: u64| move |it: &Value| it["type"] == "viewers" && it["viewers"] == count;
    oracle::listen_raw(&mut here, SOON, is(3)).await;
    let mut speaker = open(&staying).await;
    speaker.send_json(&json!({ "type": "start_streaming", "room": "stage" })).await.expect("sent");
    for _ in 0..20 {
        speaker.send_binary(vec![0; 3200]).await.expect("sent");
    }
    let mut seen = Vec::new();
    for socket in &mut there {
        let heard = oracle::listen_raw(socket, LONG, |it| it["is_final"] == true).await;
        seen.push(heard.last().expect("a final").clone());
    }
    doomed.guard.kill().expect("killed");
    let killed = std::time::Instant::now();
    oracle::listen_raw(&mut here, LONG, is(1)).await;
    assert!(killed.elapsed() < std::time::Duration::from_secs(30), "{:?}", killed.elapsed());
    oracle::stop_raw(&mut speaker).await;
    let said = oracle::until_stopped_raw(&mut speaker, LONG).await;
    for last in &seen {
        let mut socket = open(&staying).await;
        let joined = join(&mut socket, "stage", resume(last)).await;
        assert_eq!(joined["recovered"], true, "{joined}");
        let ended = |it: &Value| it["type"] == "session_ended";
        let heard = oracle::listen_raw(&mut socket, LONG, ended).await;
        let after: Vec<u64> =
            numbers(&said).into_iter().filter(|n| Some(*n) > last["n"].as_u64()).collect();
        assert!(numbers(&heard).ends_with(&after), "{after:?} of {heard:?}");
    }
}
