//! A transcript is stored whole though the owner dies between telling the room and storing it.

use std::str::FromStr;

use serde_json::{Value, json};
use sqlx::{ConnectOptions, Executor, PgConnection, postgres::PgConnectOptions};
use testkit::{
    numbered::{Mark, NumberedAudio},
    raw_ws::RawSocket,
    wait_until,
};

use crate::{
    harness::{Ledger, SOON, ServiceProcess, Setup, doors},
    oracle::{self, numbered},
};

const AUDIO: NumberedAudio = NumberedAudio::linear16(5, 1);
/// Nobody can store a final meanwhile.
const HELD: &str = "BEGIN; LOCK TABLE session_finals IN ACCESS EXCLUSIVE MODE";

/// Keeps finals from being stored for as long as it lives.
pub async fn hold(database_url: &str) -> PgConnection {
    let count = "SELECT count(*) FROM session_finals";
    let there = async || Ledger(database_url).rows::<(i64,)>(count).await.is_ok();
    wait_until("the schema", SOON, there).await.expect("a schema");
    let options = PgConnectOptions::from_str(database_url).expect("an address");
    let mut connection = options.connect().await.expect("a connection");
    connection.execute(HELD).await.expect("held");
    connection
}

async fn speak(socket: &mut RawSocket) -> Vec<Value> {
    let start = json!({ "type": "start_streaming", "store": true });
    socket.send_json(&start).await.expect("sent");
    let mut heard = oracle::listen_raw(socket, SOON, |it| it["type"] == "session_started").await;
    oracle::speak_raw(socket, AUDIO, 0..30).await;
    heard.extend(
        oracle::listen_raw(socket, SOON, |it| it["acked_ms"].as_u64() >= Some(2_000)).await,
    );
    heard
}

/// The frames that a stored transcript spells, one row a final.
async fn stored(database_url: &str) -> Vec<u32> {
    let query = "SELECT text FROM session_finals ORDER BY n";
    let rows = Ledger(database_url).rows::<(String,)>(query).await.unwrap_or_default();
    let words = rows.iter().flat_map(|(text,)| text.split_whitespace());
    words.map(|word| Mark::parse(word).expect("a mark").number).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_dead_told_the_next_owner_stores() {
    let (variables, _deepgram) = Setup::new().deepgram(numbered()).variables().await;
    let mut owner = ServiceProcess::start(&variables).await;
    let other = ServiceProcess::start(&variables).await;
    let database = &variables["DATABASE_URL"];
    let held = hold(database).await;
    let mut socket = doors::websocket(&owner.url(), &owner.token()).await.expect("in").0;
    let heard = speak(&mut socket).await;
    owner.guard.kill().expect("killed");
    drop(held);
    assert_eq!(stored(database).await, [] as [u32; 0], "the dead has stored nothing");

    let told = oracle::finals(&heard);
    let resume = json!({
        "type": "resume", "session_id": heard[0]["session_id"], "next_seq": 30,
        "resume_token": heard[0]["resume_token"], "last_n": told.last().expect("a final")["n"],
    });
    let mut socket = doors::websocket(&other.url(), &other.token()).await.expect("in").0;
    socket.send_json(&resume).await.expect("sent");
    let answered = |it: &Value| it["type"] == "session_resumed" || it["type"] == "error";
    let resumed = oracle::listen_raw(&mut socket, SOON, answered).await.pop().expect("an answer");
    let from = resumed["next_seq"].as_u64().expect("a number") as u32;
    assert!(from > 0, "some of it was told: {resumed}");
    oracle::speak_raw(&mut socket, AUDIO, from..40).await;
    oracle::stop_raw(&mut socket).await;
    oracle::until_stopped_raw(&mut socket, SOON).await;
    let all: Vec<u32> = (0..40 * oracle::FRAMES_PER_CHUNK).collect();
    let whole = async || stored(database).await == all;
    wait_until("every word to be stored once", SOON, whole).await.expect("whole");
}
