//! As many connections as Deepgram allows, over all replicas: who has to wait knows its place, loses
//! no word, and can leave at any time.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    deepgram::{Action, Config, Fault},
    numbered::NumberedAudio,
    raw_ws::RawSocket,
};

use crate::{
    harness::{Setup, TestApp, doors},
    oracle::{self, SOON, numbered},
};

const CHUNKS: u32 = 20;
/// The credential of a second user.
const BOB: Option<&str> = Some("a-static-key-of-the-second-user");
/// The user of the development token, which is each replica's own.
const ANN: Option<&str> = None;

fn setup(cap: &str) -> Setup {
    let setup = Setup::new().deepgram(numbered()).with("DEEPGRAM_MAX_STREAMS", cap);
    setup.with("LIMIT_LIVE_SESSIONS", "unlimited").with("API_KEY", BOB.unwrap_or_default())
}

/// One client, and all that it heard.
struct Talk {
    socket: RawSocket,
    audio: NumberedAudio,
    heard: Vec<Value>,
}

impl Talk {
    async fn new(app: &TestApp, user: Option<&str>) -> Self {
        let own = app.token();
        let token = user.unwrap_or(&own);
        let (socket, _) = doors::websocket(&app.url(), token).await.expect("admitted");
        Self { socket, audio: NumberedAudio::linear16(1, 1), heard: Vec::new() }
    }

    /// Starts a session and speaks.
    async fn begin(app: &TestApp, user: Option<&str>) -> Self {
        let mut talk = Self::new(app, user).await;
        talk.send(&json!({ "type": "start_streaming" })).await;
        talk.speak(0..CHUNKS).await;
        talk
    }

    /// The same, until something of it is transcribed.
    async fn run(app: &TestApp, user: Option<&str>) -> Self {
        let mut talk = Self::begin(app, user).await;
        talk.until(|it| it["type"] == "transcription").await;
        talk
    }

    /// The same, until it waits at that place.
    async fn wait(app: &TestApp, user: Option<&str>, position: u32) -> Self {
        let mut talk = Self::begin(app, user).await;
        talk.until(|it| it["type"] == "queued" && it["position"] == position).await;
        talk
    }

    async fn send(&mut self, message: &Value) {
        self.socket.send_json(message).await.expect("sent");
    }

    async fn speak(&mut self, chunks: std::ops::Range<u32>) {
        oracle::speak_raw(&mut self.socket, self.audio, chunks).await;
    }

    async fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        let heard = oracle::listen_raw(&mut self.socket, SOON, fits).await;
        self.heard.extend(heard);
        self.heard.last().expect("something").clone()
    }

    /// Waits until its turn has come.
    async fn served(&mut self) {
        self.until(|it| it["type"] == "queued" && it["position"] == 0).await;
    }

    async fn stop(&mut self) {
        oracle::stop_raw(&mut self.socket).await;
    }

    /// Stops, and looks whether everything was said once; its places in the line.
    async fn finish(mut self) -> Vec<u64> {
        self.stop().await;
        self.until(|it| it["type"] == "streaming_stopped").await;
        oracle::assert_whole(&self.heard, CHUNKS);
        let told = oracle::named(&self.heard, "queued");
        told.map(|it| it["position"].as_u64().expect("a place")).collect()
    }

    /// Goes on with its session on a new socket, and sends again what is asked for.
    async fn resume(&self, app: &TestApp) -> Self {
        let started = oracle::named(&self.heard, "session_started").next().expect("started");
        let mut talk = Self::new(app, ANN).await;
        talk.send(&json!({
            "type": "resume",
            "session_id": started["session_id"],
            "resume_token": started["resume_token"],
            "next_seq": CHUNKS,
            "last_n": 0,
        }))
        .await;
        let answered = |it: &Value| it["type"] == "session_resumed" || it["type"] == "error";
        let resumed = talk.until(answered).await;
        assert_eq!(resumed["next_seq"], json!(0), "{resumed}");
        talk.speak(0..CHUNKS).await;
        talk
    }
}

fn sum(apps: &[TestApp], name: &str, labels: &[&str]) -> i64 {
    apps.iter().map(|app| app.metric(name, labels)).sum()
}

async fn until_sum(apps: &[TestApp], name: &str, labels: &[&str], wanted: i64) {
    let is = async || sum(apps, name, labels) == wanted;
    let waited = testkit::wait_until(&format!("{wanted} {name} {labels:?}"), SOON, is).await;
    waited.unwrap_or_else(|error| panic!("{error}, but {}", sum(apps, name, labels)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_told_its_place_and_served_in_turn() {
    let apps = setup("2").start_many(2).await;
    let mut running = vec![Talk::run(&apps[0], ANN).await, Talk::run(&apps[1], BOB).await];
    let mut waiting = Vec::new();
    for (place, user) in (1..).zip([ANN, BOB, ANN, BOB]) {
        waiting.push(Talk::wait(&apps[place as usize % 2], user, place).await);
    }
    assert_eq!(sum(&apps, "upstream_slots_waiting", &[]), 4);
    // Who stops while it waits is served all the same.
    waiting[3].stop().await;
    for mut next in waiting {
        assert_eq!(sum(&apps, "upstream_slots_held", &["deepgram"]), 2);
        assert!(apps[0].deepgram().open_streams() <= 2);
        running.remove(0).finish().await;
        next.served().await;
        running.push(next);
    }
    for (talk, first) in running.into_iter().zip([3, 4]) {
        let places = talk.finish().await;
        assert!(places.first() == Some(&first) && places.last() == Some(&0), "{places:?}");
        assert!(places.is_sorted_by(|one, next| one > next), "{places:?}");
    }
    until_sum(&apps, "upstream_slots_held", &[], 0).await;
    assert_eq!(sum(&apps, "upstream_slots_total", &["waited", "redis"]), 4);
    assert_eq!(sum(&apps, "upstream_slot_wait_ms_count", &["granted"]), 4);
    let refused: Vec<_> =
        apps[0].deepgram().requests().into_iter().filter(|it| it.status == 429).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_sends_who_waits_elsewhere_with_its_place() {
    let mut apps = setup("1").with("DRAIN_SECONDS", "8").start_many(2).await;
    let stays = apps.pop().expect("a replica");
    let leaves = apps.pop().expect("another");
    let running = Talk::run(&stays, ANN).await;
    let mut first = Talk::wait(&leaves, ANN, 1).await;
    let mut second = Talk::wait(&stays, ANN, 2).await;
    let TestApp { running: replica, deepgram: _deepgram, .. } = leaves;
    let talk = async {
        first.until(|it| it["type"] == "migrate").await;
        let mut resumed = first.resume(&stays).await;
        let closing = first.until(|it| it["type"] == "closing").await;
        assert_eq!(closing["code"], json!(4501));
        resumed.until(|it| it["type"] == "queued").await;
        running.finish().await;
        resumed.served().await;
        assert!(resumed.finish().await.starts_with(&[1]), "it is where it was");
        second.served().await;
        second.finish().await;
    };
    tokio::join!(replica.stop(), talk);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_while_it_waits_leaves_the_line_at_once() {
    let apps = setup("1").start_many(2).await;
    let running = Talk::run(&apps[0], ANN).await;
    let leaves = Talk::wait(&apps[0], ANN, 1).await;
    let mut next = Talk::wait(&apps[1], ANN, 2).await;
    let started = leaves.heard.clone();
    drop(leaves.socket);
    next.until(|it| it["type"] == "queued" && it["position"] == 1).await;
    until_sum(&apps, "upstream_slot_wait_ms_count", &["left"], 1).await;
    until_sum(&apps, "audio_dropped_total", &["unserved"], i64::from(CHUNKS)).await;
    running.finish().await;
    next.served().await;
    next.finish().await;
    // Nothing of it was heard, so all of it is asked for.
    let gone = Talk { heard: started, ..Talk::new(&apps[1], ANN).await };
    gone.resume(&apps[1]).await.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_the_bound_of_the_line_a_session_is_refused_and_can_go_on_later() {
    let apps = setup("1").start_many(2).await;
    let running = Talk::run(&apps[0], ANN).await;
    let first = Talk::wait(&apps[0], ANN, 1).await;
    let second = Talk::wait(&apps[1], ANN, 2).await;
    let mut third = Talk::begin(&apps[1], ANN).await;
    let error = third.until(|it| it["type"] == "error").await;
    assert_eq!((&error["code"], &error["retryable"]), (&json!("overloaded"), &json!(true)));
    assert!(error["retry_after_ms"].as_u64() >= Some(1000), "{error}");
    assert!(error["session_id"].is_string(), "{error}");
    for mut talk in [running, first, second] {
        if oracle::named(&talk.heard, "queued").next().is_some() {
            talk.served().await;
        }
        talk.finish().await;
    }
    third.resume(&apps[0]).await.finish().await;
    assert_eq!(sum(&apps, "upstream_slots_total", &["full"]), 1);
}

/// Whoever is silent for long has no connection, and holds no slot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_session_leaves_its_slot_to_others_and_finds_another() {
    let apps = setup("1").with("LIVE_IDLE_SECONDS", "5").start_many(2).await;
    let mut silent = Talk::run(&apps[0], ANN).await;
    let mut next = Talk::wait(&apps[1], ANN, 1).await;
    next.served().await;
    silent.speak(CHUNKS..CHUNKS + 10).await;
    silent.until(|it| it["type"] == "queued" && it["position"] == 1).await;
    next.finish().await;
    silent.served().await;
    silent.stop().await;
    silent.until(|it| it["type"] == "streaming_stopped").await;
    oracle::assert_whole(&silent.heard, CHUNKS + 10);
    let opened = apps[0].metric("upstream_connects_total", &["opened"]);
    assert!(opened == 2, "{opened} connections, one before the silence and one after");
}

/// What a broken connection missed is made up for beside it, where there is a slot for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_connection_needs_a_slot_of_its_own() {
    let config = || Config { longest_segment: Duration::from_secs(600), ..numbered() };
    for cap in [1, 2] {
        let app = setup(&cap.to_string()).deepgram(config()).start().await;
        app.deepgram().plan(vec![Fault::at_audio(Duration::from_millis(3990), Action::Drop)]);
        let mut talk = Talk::new(&app, ANN).await;
        let mut most = (0, 0);
        for number in 0..90 {
            talk.speak(number..number + 1).await;
            most.0 = most.0.max(app.deepgram().open_streams() as i64);
            most.1 = most.1.max(app.metric("upstream_slots_held", &[]));
            if number >= 40 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        assert_eq!(most, (cap, cap));
        until_sum(std::slice::from_ref(&app), "upstream_slots_held", &[], 1).await;
        talk.stop().await;
        talk.until(|it| it["type"] == "streaming_stopped").await;
        oracle::assert_whole(&talk.heard, 90);
    }
}
