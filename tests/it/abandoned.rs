//! A session that nobody comes back to ends for everybody, once; one that somebody has does not.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{numbered::NumberedAudio, raw_ws::RawSocket, wait_until};

use crate::{
    harness::{LONG, Ledger, SOON, ServiceProcess, Setup, TestApp, doors, redis},
    oracle::{self, numbered},
    stored_after_death::hold,
};

const AUDIO: NumberedAudio = NumberedAudio::linear16(4, 1);

/// Keys of a test's own.
struct Due {
    prefix: String,
}

impl Due {
    fn new() -> Self {
        Self { prefix: format!("due-{}", uuid::Uuid::new_v4().simple()) }
    }

    fn setup(&self) -> Setup {
        Setup::new().deepgram(numbered()).with("REDIS_PREFIX", &self.prefix)
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{{live}}:{name}", self.prefix)
    }

    fn redis(words: &[&str]) -> String {
        redis().command(words).expect("an answer")
    }

    /// Lets the time pass after which the session is given up.
    fn pass(&self, session: &str) {
        let member = format!("{session} {session}");
        for name in ["due", "called"] {
            Self::redis(&["ZADD", &self.key(name), "XX", "0", &member]);
        }
    }

    /// Whether it is put off.
    fn is_put_off(&self, session: &str) -> bool {
        self.score("due", session).is_some_and(|at| at > 1e12)
    }

    /// When the session's time has come, by one of the lists.
    fn score(&self, list: &str, session: &str) -> Option<f64> {
        let answer = Self::redis(&["ZSCORE", &self.key(list), &format!("{session} {session}")]);
        // The second line; the first is its length, or that there is none.
        answer.lines().nth(1)?.parse().ok()
    }

    /// Whether nobody waits for it any more.
    fn is_forgotten(&self, session: &str) -> bool {
        ["due", "called"].iter().all(|list| self.score(list, session).is_none())
    }
}

/// Speaks on a socket until there is a final; what the session was told at its start.
async fn speak(socket: &mut RawSocket) -> Value {
    let start = json!({ "type": "start_streaming", "store": true });
    socket.send_json(&start).await.expect("sent");
    let heard = oracle::listen_raw(socket, SOON, |it| it["type"] == "session_started").await;
    let started = heard.last().expect("started").clone();
    oracle::speak_raw(socket, AUDIO, 0..20).await;
    oracle::listen_raw(socket, SOON, |it| it["acked_ms"].as_u64() >= Some(1_000)).await;
    started
}

/// A viewer of the session's room.
async fn watch(mut socket: RawSocket, session: &str) -> RawSocket {
    socket.send_json(&json!({ "type": "join", "room": session })).await.expect("sent");
    oracle::listen_raw(&mut socket, SOON, |it| it["type"] == "joined").await;
    socket
}

async fn ended(viewer: &mut RawSocket) -> Value {
    let heard = oracle::listen_raw(viewer, SOON, |it| it["type"] == "session_ended").await;
    heard.last().expect("an end").clone()
}

fn id(started: &Value) -> String {
    started["session_id"].as_str().expect("an id").to_owned()
}

async fn refusal(socket: &mut RawSocket, started: &Value) -> Value {
    let resume = json!({
        "type": "resume", "session_id": started["session_id"],
        "resume_token": started["resume_token"], "next_seq": 20, "last_n": 0,
    });
    socket.send_json(&resume).await.expect("sent");
    let answered = |it: &Value| it["type"] == "session_resumed" || it["type"] == "error";
    oracle::listen_raw(socket, SOON, answered).await.pop().expect("an answer")["code"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_session_is_given_up_once_and_is_over_for_everybody() {
    let due = Due::new();
    let apps: Vec<TestApp> = due.setup().start_many(2).await;
    let mut socket = apps[0].websocket().await;
    let started = speak(&mut socket).await;
    let session = id(&started);
    let mut viewer = watch(apps[1].websocket().await, &session).await;
    drop(socket);
    let parked = async || apps[0].metric("live_sessions", &[]) == 0;
    wait_until("the session to be parked", SOON, parked).await.expect("parked");
    let open = "SELECT count(*) FROM live_sessions WHERE ended_at IS NULL";
    assert_eq!(apps[0].sql::<i64>(open).await, 1, "it may be gone on with");
    let over = async || {
        due.pass(&session);
        apps[0].sql::<i64>(open).await == 0
    };
    wait_until("the session to be given up", LONG, over).await.expect("given up");
    let end = ended(&mut viewer).await;
    assert_eq!(end["outcome"], "abandoned");
    let outcome = "SELECT count(*) FROM session_transcripts \
                   WHERE outcome = 'abandoned' AND ended_at IS NOT NULL";
    let kept = async || apps[0].sql::<i64>(outcome).await == 1;
    wait_until("the transcript's end", SOON, kept).await.expect("an end");
    assert_eq!(refusal(&mut apps[1].websocket().await, &started).await, "not_found");
    let forgotten = async || {
        due.pass(&session);
        due.is_forgotten(&session)
    };
    wait_until("it to be forgotten", LONG, forgotten).await.expect("forgotten");
    let given_up = |app: &TestApp| app.metric("sessions_abandoned_total", &[]);
    assert_eq!(apps.iter().map(given_up).sum::<i64>(), 1, "by one replica");
    let seconds = "SELECT sum(range_end_ms - range_start_ms)::bigint FROM usage_logs";
    assert_eq!(apps[0].sql::<Option<i64>>(seconds).await, Some(2_000));
    let n = "SELECT max(n)::bigint FROM session_finals";
    let last_n = apps[0].sql::<Option<i64>>(n).await.expect("finals");
    assert_eq!(end["n"].as_i64(), Some(last_n + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_whose_owner_lives_is_left_alone() {
    let due = Due::new();
    let apps: Vec<TestApp> = due.setup().start_many(2).await;
    let mut socket = apps[0].websocket().await;
    let started = speak(&mut socket).await;
    let session = id(&started);
    for _ in 0..3 {
        due.pass(&session);
        // It is due, is called, and is put off by who looks at it then.
        let put_off = async || {
            if due.score("called", &session).is_some() {
                due.pass(&session);
            }
            due.is_put_off(&session)
        };
        wait_until("the session to be put off", LONG, put_off).await.expect("put off");
    }
    oracle::speak_raw(&mut socket, AUDIO, 20..25).await;
    oracle::stop_raw(&mut socket).await;
    let heard = oracle::until_stopped_raw(&mut socket, SOON).await;
    assert_eq!(heard.last().expect("the stop")["report"]["transcribed_ms"], 2_500);
    assert_eq!(apps.iter().map(|app| app.metric("sessions_abandoned_total", &[])).sum::<i64>(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_of_a_killed_replica_ends_and_is_billed_as_far_as_it_was_stored() {
    let due = Due::new();
    let (variables, _deepgram) = due.setup().variables().await;
    let mut owner = ServiceProcess::start(&variables).await;
    let other = ServiceProcess::start(&variables).await;
    let mut socket = doors::websocket(&owner.url(), &owner.token()).await.expect("in").0;
    let held = hold(&variables["DATABASE_URL"]).await;
    let started = speak(&mut socket).await;
    let session = id(&started);
    let viewer = doors::websocket(&other.url(), &other.token()).await.expect("in").0;
    let mut viewer = watch(viewer, &session).await;
    owner.guard.kill().expect("killed");
    drop(held);
    let ledger = Ledger(&variables["DATABASE_URL"]);
    // Its owner was heard of too lately to be given up.
    let ago =
        "UPDATE live_sessions SET marked_at = marked_at - interval '2 minutes' RETURNING fence";
    ledger.rows::<(i64,)>(ago).await.expect("an hour later");
    let over = async || {
        due.pass(&session);
        let open = "SELECT count(*) FROM live_sessions WHERE ended_at IS NULL";
        ledger.rows::<(i64,)>(open).await.is_ok_and(|rows| rows == [(0,)])
    };
    wait_until("the session to be given up", LONG + Duration::from_secs(10), over)
        .await
        .expect("over");
    let end = ended(&mut viewer).await;
    assert_eq!(end["outcome"], "abandoned");
    let stored_ms = end["report"]["transcribed_ms"].as_i64().expect("ms");
    ledger.wait_for(stored_ms, SOON).await;
    let kept = "SELECT count(*) FROM session_finals";
    let whole = async || {
        let rows = ledger.rows::<(i64,)>(kept).await.unwrap_or_default();
        rows.first().map(|(rows,)| rows + 1) == end["n"].as_i64()
    };
    wait_until("what the dead could not store", SOON, whole).await.expect("stored");
}
