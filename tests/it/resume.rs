//! A session goes on on another replica: every word once, whatever became of the one before.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    deepgram::{self, Record},
    numbered::NumberedAudio,
    raw_ws::RawSocket,
};

use crate::{
    harness::{Setup, TestApp},
    oracle::{self, FRAMES_PER_CHUNK, SOON, numbered},
};

pub const AUDIO: NumberedAudio = NumberedAudio::linear16(3, 1);

/// What a client knows of its session.
pub struct Known {
    pub started: Value,
    pub heard: Vec<Value>,
}

impl Known {
    fn last_n(&self) -> u64 {
        let last = oracle::finals(&self.heard).last().map(|text| text["n"].as_u64().expect("n"));
        last.unwrap_or(0)
    }

    pub fn resume(&self, next_seq: u32) -> Value {
        json!({
            "type": "resume",
            "session_id": self.started["session_id"],
            "resume_token": self.started["resume_token"],
            "next_seq": next_seq,
            "last_n": self.last_n(),
        })
    }
}

/// Says chunks on a fresh socket and waits for some final.
pub async fn begin(app: &TestApp, chunks: u32, options: Value) -> (RawSocket, Known) {
    let mut socket = app.websocket().await;
    let mut start = options;
    start["type"] = json!("start_streaming");
    socket.send_json(&start).await.expect("sent");
    let heard = oracle::listen_raw(&mut socket, SOON, |it| it["type"] == "session_started").await;
    let started = heard.last().expect("started").clone();
    oracle::speak_raw(&mut socket, AUDIO, 0..chunks).await;
    let heard = oracle::listen_raw(&mut socket, SOON, |it| it["is_final"] == true).await;
    (socket, Known { started, heard })
}

/// Resumes, sends again what is asked for and more, and stops; what counts of all that was said.
async fn go_on(app: &TestApp, known: Known, sent: u32, more: u32) -> (Value, Vec<Value>) {
    let mut socket = app.websocket().await;
    socket.send_json(&known.resume(sent)).await.expect("sent");
    let answered = |it: &Value| it["type"] == "session_resumed" || it["type"] == "error";
    let resumed = oracle::listen_raw(&mut socket, SOON, answered).await.pop().expect("an answer");
    assert_eq!(resumed["type"], "session_resumed", "{resumed}");
    let from = resumed["next_seq"].as_u64().expect("a number") as u32;
    oracle::speak_raw(&mut socket, AUDIO, from..sent + more).await;
    oracle::stop_raw(&mut socket).await;
    let after = oracle::until_stopped_raw(&mut socket, SOON).await;
    let counts = |it: &Value| it["n"].as_u64() <= resumed["last_n"].as_u64();
    let mut heard: Vec<Value> = oracle::finals(&known.heard).into_iter().filter(counts).collect();
    heard.extend(after);
    (resumed, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_socket_is_gone_on_with_on_another_replica() {
    let apps = Setup::new().deepgram(numbered()).start_many(2).await;
    let (socket, known) = begin(&apps[0], 20, json!({})).await;
    drop(socket);
    let (resumed, heard) = go_on(&apps[1], known, 20, 15).await;
    assert_eq!(resumed["recovered"], true);
    oracle::assert_whole(&heard, 35);
    let report = &heard.last().expect("the stop")["report"];
    assert_eq!((&report["transcribed_ms"], &report["lost_ms"]), (&json!(3500), &json!(0)));
    let billed = "SELECT sum(range_end_ms - range_start_ms)::bigint FROM usage_logs";
    let is_billed = async || apps[1].sql::<Option<i64>>(billed).await == Some(3500);
    testkit::wait_until("everything to be billed once", SOON, is_billed).await.expect("billed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_socket_wins_and_the_first_is_told() {
    let apps = Setup::new().deepgram(numbered()).start_many(2).await;
    for other in [&apps[0], &apps[1]] {
        let (mut first, known) = begin(&apps[0], 20, json!({})).await;
        let (_, heard) = go_on(other, known, 20, 5).await;
        oracle::assert_whole(&heard, 25);
        let end = oracle::listen_raw(&mut first, SOON, |it| it["type"] == "closing").await;
        let closing = end.last().expect("a notice");
        assert_eq!((&closing["code"], &closing["reconnect"]), (&json!(4501), &json!(false)));
        assert!(oracle::named(&end, "streaming_stopped").next().is_none(), "it goes on elsewhere");
    }
    assert_eq!(apps[0].metric("live_sessions", &[]) + apps[1].metric("live_sessions", &[]), 0);
}

/// A word at the end of the audio is left to the next owner, and so is whatever comes after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_word_that_was_left_is_left_too() {
    let config = deepgram::Config {
        longest_segment: Duration::from_secs(1),
        latency: Duration::from_millis(500),
        ..numbered()
    };
    let apps = Setup::new().deepgram(config).start_many(2).await;
    let (mut socket, known) = begin(&apps[0], 10, json!({})).await;
    // The next final ends 200 ms before the audio does, and is on its way when the session is asked
    // for.
    oracle::speak_raw(&mut socket, AUDIO, 10..22).await;
    let bytes = oracle::chunk(AUDIO, 0).len() as u64 * 22;
    let heard = |records: &[Record]| records.iter().any(|record| record.audio_bytes == bytes);
    apps[0].deepgram().wait_for(SOON, heard).await.expect("all of it is sent");
    let (_, heard) = go_on(&apps[1], known, 22, 8).await;
    oracle::assert_whole(&heard, 30);
}

/// Whether an acknowledgement says of its last chunk that it ends no later than all of it.
fn is_whole(ack: &Value) -> bool {
    let chunks = ack["acked_seq"].as_u64().map_or(0, |seq| seq + 1);
    ack["acked_ms"].as_u64() >= Some(chunks * oracle::CHUNK_MS)
}

/// Also while usage is behind: who begins anew after its `acked_ms` would say the rest twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_go_on_where_the_session_does() {
    let apps = Setup::new().deepgram(numbered()).start_many(2).await;
    let (socket, known) = begin(&apps[0], 20, json!({})).await;
    drop(socket);
    let mut socket = apps[1].websocket().await;
    socket.send_json(&known.resume(20)).await.expect("sent");
    let answered = |it: &Value| it["type"] == "session_resumed";
    let resumed = oracle::listen_raw(&mut socket, SOON, answered).await.pop().expect("an answer");
    let from = resumed["next_seq"].as_u64().expect("a number") as u32;
    assert!(from > 0, "{resumed}");
    let pool = apps[1].running.app.database.pool();
    let mut lock = pool.begin().await.expect("a transaction");
    sqlx::query("LOCK TABLE usage_logs").execute(&mut *lock).await.expect("locked");
    oracle::speak_raw(&mut socket, AUDIO, from..30).await;
    let acked = |it: &Value| it["type"] == "audio_ack";
    let mut acks = oracle::listen_raw(&mut socket, SOON, acked).await;
    lock.rollback().await.expect("unlocked");
    oracle::stop_raw(&mut socket).await;
    acks.extend(oracle::until_stopped_raw(&mut socket, SOON).await);
    acks.extend(oracle::listen_raw(&mut socket, SOON, acked).await);
    acks.retain(acked);
    let (first, last) = (&acks[0], &acks[acks.len() - 1]);
    assert!(first["acked_ms"].as_u64() >= resumed["from_ms"].as_u64(), "{first}");
    assert!(acks.iter().all(is_whole), "{acks:?}");
    assert!(acks.is_sorted_by_key(|ack| ack["acked_ms"].as_u64()), "{acks:?}");
    assert_eq!((&last["acked_seq"], &last["acked_ms"]), (&json!(29), &json!(3000)));
}

/// The old socket is left only once the new one has the session, and the drain waits no longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_sends_sessions_elsewhere() {
    let mut apps =
        Setup::new().with("DRAIN_SECONDS", "20").deepgram(numbered()).start_many(2).await;
    let stays = apps.pop().expect("a replica");
    let leaves = apps.pop().expect("another");
    let (mut socket, mut known) = begin(&leaves, 20, json!({})).await;
    let TestApp { running, deepgram: _deepgram, .. } = leaves;
    let began = std::time::Instant::now();
    let talk = async {
        let told = oracle::listen_raw(&mut socket, SOON, |it| it["type"] == "migrate").await;
        let deadline_ms = told.last().expect("told")["deadline_ms"].as_u64().expect("ms");
        assert!((5_000..20_000).contains(&deadline_ms), "{deadline_ms}");
        known.heard.extend(told);
        let (_, heard) = go_on(&stays, known, 20, 10).await;
        oracle::assert_whole(&heard, 30);
        let end = oracle::listen_raw(&mut socket, SOON, |it| it["type"] == "closing").await;
        assert_eq!(end.last().expect("a notice")["code"], json!(4501));
    };
    tokio::join!(running.stop(), talk);
    assert!(began.elapsed() < Duration::from_secs(15), "nobody was left to wait for");
}

/// Channels have their finals one after the other, and are covered together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_are_gone_on_with_each_at_its_own_place() {
    let apps = Setup::new().deepgram(numbered()).start_many(2).await;
    let options = json!({ "channels": 2, "multichannel": true });
    let stereo = NumberedAudio { bytes_per_second: 64_000, ..AUDIO };
    let mut socket = apps[0].websocket().await;
    let mut start = options;
    start["type"] = json!("start_streaming");
    socket.send_json(&start).await.expect("sent");
    let heard = oracle::listen_raw(&mut socket, SOON, |it| it["type"] == "session_started").await;
    let started = heard.last().expect("started").clone();
    oracle::speak_raw(&mut socket, stereo, 0..20).await;
    let heard = oracle::listen_raw(&mut socket, SOON, |it| it["is_final"] == true).await;
    drop(socket);
    let known = Known { started, heard };
    let mut socket = apps[1].websocket().await;
    socket.send_json(&known.resume(20)).await.expect("sent");
    let answered = |it: &Value| it["type"] == "session_resumed";
    let resumed = oracle::listen_raw(&mut socket, SOON, answered).await.pop().expect("an answer");
    let from = resumed["next_seq"].as_u64().expect("a number") as u32;
    oracle::speak_raw(&mut socket, stereo, from..30).await;
    oracle::stop_raw(&mut socket).await;
    let after = oracle::until_stopped_raw(&mut socket, SOON).await;
    let counts = |it: &Value| it["n"].as_u64() <= resumed["last_n"].as_u64();
    let mut heard: Vec<Value> = oracle::finals(&known.heard).into_iter().filter(counts).collect();
    heard.extend(oracle::finals(&after));
    for channel in 0..2 {
        let of: Vec<Value> = heard.iter().filter(|it| it["channel"] == channel).cloned().collect();
        assert_eq!(oracle::numbers(&of), (0..150).collect::<Vec<_>>(), "channel {channel}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finals_that_were_missed_are_told_again() {
    let apps = Setup::new().deepgram(numbered()).start_many(2).await;
    let (socket, mut known) = begin(&apps[0], 30, json!({})).await;
    let listened = oracle::FRAMES_PER_CHUNK as usize;
    assert!(oracle::numbers(&oracle::finals(&known.heard)).len() >= listened);
    drop(socket);
    known.heard.clear();
    let (resumed, heard) = go_on(&apps[1], known, 30, 10).await;
    assert!(resumed["last_n"].as_u64() > Some(0), "{resumed}");
    oracle::assert_whole(&heard, 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audio_that_the_client_no_longer_has_is_a_gap_and_unbilled() {
    let apps = Setup::new().deepgram(numbered()).start_many(2).await;
    let (socket, known) = begin(&apps[0], 20, json!({ "store": true })).await;
    drop(socket);
    let mut socket = apps[1].websocket().await;
    let mut wanted = known.resume(40);
    (wanted["first_seq"], wanted["first_ms"]) = (json!(30), json!(3000));
    socket.send_json(&wanted).await.expect("sent");
    let answered = |it: &Value| it["type"] == "session_resumed";
    let resumed = oracle::listen_raw(&mut socket, SOON, answered).await.pop().expect("an answer");
    assert_eq!((&resumed["next_seq"], &resumed["from_ms"]), (&json!(30), &json!(3000)));
    oracle::speak_raw(&mut socket, AUDIO, 30..40).await;
    oracle::stop_raw(&mut socket).await;
    let heard = oracle::until_stopped_raw(&mut socket, SOON).await;
    let gap = oracle::named(&heard, "gap").next().expect("a gap");
    let lost_ms = 3000 - gap["from_ms"].as_u64().expect("ms");
    assert_eq!((&gap["to_ms"], &gap["reason"]), (&json!(3000), &json!("client_buffer")));
    let expected: Vec<u32> = (30 * FRAMES_PER_CHUNK..40 * FRAMES_PER_CHUNK).collect();
    let said = oracle::numbers(&oracle::finals(&heard));
    assert!(said.ends_with(&expected), "{said:?}");
    let report = &heard.last().expect("the stop")["report"];
    assert_eq!(report["lost"]["client_buffer"].as_u64(), Some(lost_ms));
    let billed = "SELECT sum(range_end_ms - range_start_ms)::bigint FROM usage_logs";
    let whole = 4000 - lost_ms.cast_signed();
    let is_billed = async || apps[1].sql::<Option<i64>>(billed).await == Some(whole);
    testkit::wait_until("all but the gap to be billed", SOON, is_billed).await.expect("billed");
    let within = "SELECT count(*) FROM usage_logs, session_gaps \
                  WHERE range_start_ms < to_ms AND range_end_ms > from_ms";
    assert_eq!(apps[1].sql::<i64>(within).await, 0, "no gap is billed");
    let id = known.started["session_id"].as_str().expect("an id");
    let path = format!("{}/sessions/{id}/transcript.json", apps[1].url());
    let read = async || -> Value {
        let request = reqwest::Client::new().get(&path).bearer_auth(apps[1].token());
        request.send().await.expect("an answer").json().await.expect("JSON")
    };
    let ended = async || read().await["transcript"]["outcome"] == "finished";
    testkit::wait_until("the transcript's end", SOON, ended).await.expect("an end");
    let kept = read().await;
    let expected = json!([{
        "n": gap["n"], "from_ms": gap["from_ms"], "to_ms": 3000, "reason": "client_buffer",
    }]);
    assert_eq!((&kept["gaps"], &kept["missing"]), (&expected, &json!([])));
    assert_eq!(kept["transcript"]["complete"], false, "not all that was said is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_gone_on_with_is_refused_by_name() {
    let apps = Setup::new().deepgram(numbered()).start_many(2).await;
    let (mut socket, known) = begin(&apps[0], 12, json!({})).await;
    let resume = known.resume(12);
    let changed = |name: &str, value: Value| {
        let mut changed = resume.clone();
        changed[name] = value;
        changed
    };
    let stranger = uuid::Uuid::new_v4().to_string();
    let refused = [
        (changed("resume_token", json!("forged")), "forbidden"),
        (changed("session_id", json!(stranger)), "forbidden"),
        (changed("session_id", json!("no id")), "invalid_request"),
        (changed("last_n", Value::Null), "invalid_request"),
    ];
    for (wanted, code) in refused {
        let mut other = apps[1].websocket().await;
        assert_eq!(refusal(&mut other, &wanted).await, code, "{wanted}");
        if code == "forbidden" {
            assert_eq!(refusal(&mut other, &wanted).await, "rate_limited", "at once again");
        }
    }
    assert_eq!(refusal(&mut socket, &resume).await, "conflict", "it has a session");
}

pub async fn refusal(socket: &mut RawSocket, wanted: &Value) -> String {
    socket.send_json(wanted).await.expect("sent");
    let answered = |it: &Value| it["type"] == "session_resumed" || it["type"] == "error";
    let answer = oracle::listen_raw(socket, Duration::from_secs(5), answered).await.pop();
    answer.expect("an answer")["code"].as_str().unwrap_or("none").to_owned()
}
