//! A Redis that the service shares with strangers: it needs no more than its own keys and channels,
//! and what strangers say on them admits nobody, owns nothing and is shown to nobody.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{process::Redis, raw_ws::RawSocket};

use crate::{
    harness::{SOON, Setup, Speaker, TestApp, doors},
    oracle::{self, numbered},
    resume,
    rooms::{self, DEVELOPMENT, Stream, Voice},
};

const PREFIX: &str = "rights";
/// The rights that docs/OPERATIONS.md names, for an account of the service's own.
const RIGHTS: [&str; 10] = [
    "on",
    ">canary-password-redis",
    "resetkeys",
    "resetchannels",
    "~rights:*",
    "&rights:*",
    "-@all",
    "+@read",
    "+@write",
    "+@connection",
];
const MORE_RIGHTS: [&str; 5] = ["+@pubsub", "+@scripting", "+time", "+info", "+cluster|info"];

async fn start(redis: &Redis, user: &str) -> TestApp {
    let database = crate::harness::postgres().create_database().expect("a database");
    let url = redis.url().replace("redis://", &format!("redis://{user}:canary-password-redis@"));
    let setup = Setup::on(&database, &url).with("REDIS_PREFIX", PREFIX);
    setup.with("ALLOW_INSECURE_SESSION_AUTH", "true").start().await
}

async fn session(app: &TestApp) -> String {
    let request = reqwest::Client::new().post(format!("{}/mobile-auth/login", app.url()));
    let answer = request.json(&serde_json::json!({ "username": "ada" })).send().await;
    let answer: Value = answer.expect("an answer").json().await.expect("JSON");
    answer["auth_token"].as_str().unwrap_or_else(|| panic!("no session: {answer}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_for_the_prefix_alone_is_enough() {
    let redis = Redis::start().expect("redis");
    let rights: Vec<&str> =
        ["ACL", "SETUSER", "service"].into_iter().chain(RIGHTS).chain(MORE_RIGHTS).collect();
    redis.command(&rights).expect("an account");
    let app = start(&redis, "service").await;
    let token = session(&app).await;
    let (socket, _) = doors::websocket(&app.url(), &token).await.expect("admitted");
    let mut speaker = Speaker::new(socket, 1);
    speaker.say(20).await;
    speaker.finish().await;
    let ready = reqwest::get(format!("{}/ready", app.url())).await.expect("an answer");
    assert_eq!(ready.json::<Value>().await.expect("JSON")["status"], "ready");
    assert_eq!(app.metric("limit_checks_total", &["source=\"share\""]), 0);
    let denied = redis.command(&["ACL", "LOG"]).expect("the log of refusals");
    assert_eq!(denied, "*0\r\n", "the service asked for more than its rights");
    let keys = redis.command(&["KEYS", "*"]).expect("keys");
    assert!(keys.lines().filter(|line| line.contains(':')).all(|key| key.starts_with(PREFIX)));
}

/// Whoever writes to Redis can end a stay, and never begin one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_strangers_write_admits_nobody() {
    let redis = Redis::start().expect("redis");
    redis
        .command(&[
            "ACL",
            "SETUSER",
            "service",
            "on",
            ">canary-password-redis",
            "+@all",
            "~*",
            "&*",
        ])
        .expect("an account");
    let app = start(&redis, "service").await;
    let token = session(&app).await;
    let digest = |token: &str| testkit::speech::sha256_hex(token.as_bytes());
    let name = |token: &str| format!("{PREFIX}:session:{}", digest(token));
    let genuine = redis.command(&["GET", &name(&token)]).expect("the session");
    let value = genuine.split("\r\n").nth(1).expect("a value").to_owned();
    let guessed = format!("session_{}", "A".repeat(43));
    let admin = value.replace("ada", "root");
    for forged in [value.as_str(), admin.as_str(), "{}", ""] {
        redis.command(&["SET", &name(&guessed), forged]).expect("written");
        doors::websocket(&app.url(), &guessed).await.expect_err("refused");
    }
    redis.command(&["SET", &name(&token), &admin]).expect("written");
    doors::websocket(&app.url(), &token).await.expect_err("a changed session is none");
    redis.command(&["SET", &name(&token), &value]).expect("written");
    let (mut socket, _) = doors::websocket(&app.url(), &token).await.expect("as it was");
    for said in ["garbage", "\"unknown\"", "{\"user\":7}", "{\"key\":99}"] {
        redis.command(&["PUBLISH", &format!("{PREFIX}:revocations"), said]).expect("said");
    }
    let rechecked = async || app.metric("rechecks_total", &["outcome=\"ok\""]) > 0;
    testkit::wait_until("the socket to be looked at again", SOON, rechecked).await.expect("it was");
    let closed = socket.receive_json(Duration::from_millis(500)).await;
    assert!(closed.is_err(), "a rumour closed a good socket: {closed:?}");
}

fn part(room: &str, part: &str) -> String {
    format!("{PREFIX}:{{room:{room}}}:{part}")
}

/// A service whose Redis strangers write to, and that Redis.
async fn shared() -> (Redis, TestApp) {
    let redis = Redis::start().expect("redis");
    let database = crate::harness::postgres().create_database().expect("a database");
    let setup = Setup::on(&database, &redis.url()).with("REDIS_PREFIX", PREFIX);
    let setup = setup.with("ALLOW_INSECURE_SESSION_AUTH", "true").deepgram(numbered());
    (redis, setup.start().await)
}

/// The texts that Redis answered with, in order.
fn texts(answer: &str) -> Vec<String> {
    let lines: Vec<&str> = answer.split("\r\n").collect();
    let texts = lines.windows(2).filter(|pair| pair[0].starts_with('$'));
    texts.map(|pair| pair[1].to_owned()).collect()
}

/// The entries of a room's history, each its id and then names and values in turn.
fn entries(redis: &Redis, room: &str) -> Vec<Vec<String>> {
    let told = redis.command(&["XRANGE", &part(room, "history"), "-", "+"]).expect("entries");
    texts(&told).chunks(11).map(<[String]>::to_vec).collect()
}

fn add(redis: &Redis, room: &str, id: &str, fields: &[String]) {
    let history = part(room, "history");
    let fields = fields.iter().map(String::as_str);
    let command: Vec<&str> = ["XADD", &history, id].into_iter().chain(fields).collect();
    let added = redis.command(&command).expect("added");
    assert!(added.starts_with('$'), "{added}");
    let wake = format!("F 1 {}", texts(&added)[0]);
    redis.command(&["PUBLISH", &part(room, "channel"), &wake]).expect("said");
}

async fn enter(app: &TestApp, token: &str, room: &str) -> (RawSocket, Value) {
    let (mut socket, _) = doors::websocket(&app.url(), token).await.expect("admitted");
    let joined = rooms::join(&mut socket, room, json!({})).await;
    (socket, joined)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_writes_to_redis_owns_no_room_and_reads_none() {
    let (redis, app) = shared().await;
    let mut voice = Voice::begin(&app, "stage", DEVELOPMENT).await;
    voice.say(3).await;
    let token = session(&app).await;
    let (mut speaker, _) = doors::websocket(&app.url(), &token).await.expect("admitted");
    let start = json!({ "type": "start_streaming", "room": "mine" });
    speaker.send_json(&start).await.expect("sent");
    speaker.send_binary(vec![0; 3200]).await.expect("sent");
    let begun = |it: &Value| it["type"] == "session_started";
    speaker.receive_until(SOON, begun).await.expect("a room of one's own");
    let claimed =
        async || redis.command(&["EXISTS", &part("mine", "meta")]).expect("asked") == ":1\r\n";
    testkit::wait_until("the room to be claimed", SOON, claimed).await.expect("claimed");
    let mine =
        texts(&redis.command(&["HGET", &part("mine", "meta"), "owner"]).expect("mine")).remove(0);
    let name = mine.split_once('.').expect("a seal and a name").1;
    let meta = part("stage", "meta");
    let genuine = texts(&redis.command(&["HGET", &meta, "owner"]).expect("the owner")).remove(0);
    for forged in [&mine, name, &format!("{genuine}/{name}"), "session-ada", "garbage"] {
        redis.command(&["HSET", &meta, "owner", forged, "account", name]).expect("written");
        let (mut socket, joined) = enter(&app, &token, "stage").await;
        assert_ne!(joined["snapshot"].as_array().map(Vec::len), Some(3), "{forged}");
        assert!(!joined.to_string().contains("word"), "{forged}: {joined}");
        let url = format!("{}/rooms/stage/shares", app.url());
        let request = reqwest::Client::new().post(url).bearer_auth(&token).json(&json!({}));
        let shared: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        let share = shared["token"].as_str().expect("a token for a room that is nobody's");
        let url = format!("{}/rooms/stage/events?share={share}", app.url());
        let mut stream = Stream::open(&url, &[]).await.map_err(|it| it.0).expect("admitted");
        voice.say(1).await;
        let heard = oracle::listen_raw(&mut socket, SOON, |it| it["type"] == "error").await;
        assert_eq!(heard.last().expect("an error")["code"], "forbidden", "{heard:?}");
        let seen = stream.until(SOON, |it| it["type"] == "closing").await;
        for heard in [heard, seen] {
            assert!(!json!(heard).to_string().contains("word"), "{forged}: {heard:?}");
        }
    }
    assert!(app.metric("room_forgeries_total", &["what=\"owner\""]) > 0);
    let (_, joined) = enter(&app, &app.token(), "stage").await;
    assert_eq!(joined["n"], json!(8), "whoever spoke still owns it: {joined}");
}

/// What a stranger puts after the third final of a room, and a body of theirs.
fn forgeries(redis: &Redis, other: &Voice) -> (String, Vec<Vec<String>>) {
    let genuine = entries(redis, "stage").pop().expect("the last");
    let changed = |at: usize, with: &str| {
        let mut entry = genuine.clone();
        with.clone_into(&mut entry[at]);
        entry
    };
    let body = genuine[6].replace("word 3", "forged").replace("\"n\":3", "\"n\":4");
    let forgeries = vec![
        changed(6, &body),
        changed(4, "4"),
        changed(2, &other.session_id()),
        entries(redis, "elsewhere")[3].clone(),
        genuine.clone(),
    ];
    (body, forgeries)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_that_no_replica_wrote_are_shown_to_nobody() {
    let (redis, app) = shared().await;
    let mut voice = Voice::begin(&app, "stage", DEVELOPMENT).await;
    let mut other = Voice::begin(&app, "elsewhere", DEVELOPMENT).await;
    voice.say(3).await;
    other.say(5).await;
    let (mut socket, joined) = enter(&app, &app.token(), "stage").await;
    assert_eq!(rooms::snapshot(&joined), [1, 2, 3]);
    let bearer = format!("Bearer {}", app.token());
    let url = format!("{}/rooms/stage/events", app.url());
    let headers = [("authorization", bearer.as_str())];
    let mut stream = Stream::open(&url, &headers).await.map_err(|it| it.0).expect("admitted");
    stream.next(SOON).await.expect("joined");
    let (body, forgeries) = forgeries(&redis, &other);
    for (last_n, forged) in (3..).zip(&forgeries) {
        let last: audio_transcription_api::rooms::Position =
            entries(&redis, "stage").pop().expect("the last")[0].parse().expect("a place");
        let id = format!("{}-{}", last.epoch, last.offset + 1);
        add(&redis, "stage", &id, &forged[1..]);
        let gap = |it: &Value| it["type"] == "history_gap";
        let mut heard = oracle::listen_raw(&mut socket, SOON, gap).await;
        heard.extend(stream.until(SOON, gap).await);
        let place = json!({ "resume": {
            "epoch": last.epoch, "offset": last.offset,
            "session_id": voice.session_id(), "n": last_n,
        } });
        let (mut late, again) = rooms::viewer(&app, "stage", place).await;
        heard.push(again);
        if heard.last().is_some_and(|again| again["recovered"] == true) {
            heard.extend(oracle::listen_raw(&mut late, SOON, gap).await);
        }
        voice.say(1).await;
        heard.extend(oracle::listen_raw(&mut socket, SOON, rooms::is_final(last_n + 1)).await);
        heard.extend(stream.until(SOON, rooms::is_final(last_n + 1)).await);
        assert_eq!(rooms::numbers(&heard), [last_n + 1, last_n + 1], "{forged:?}: {heard:?}");
        let told = json!(heard).to_string();
        assert!(!told.contains("forged") && !told.contains(&other.session_id()), "{told}");
    }
    let interim =
        format!("I 9999999999999 {DEVELOPMENT} {} 9 {} {body}", voice.session_id(), "A".repeat(22));
    redis.command(&["PUBLISH", &part("stage", "channel"), &interim]).expect("said");
    voice.say(1).await;
    let heard = oracle::listen_raw(&mut socket, SOON, rooms::is_final(9)).await;
    assert!(!json!(heard).to_string().contains("forged"), "{heard:?}");
    for what in ["final", "interim", "repeated"] {
        let label = format!("what=\"{what}\"");
        assert!(app.metric("room_forgeries_total", &[&label]) > 0, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_goes_on_is_told_no_word_of_strangers() {
    let (redis, app) = shared().await;
    let (socket, known) = resume::begin(&app, 30, json!({})).await;
    let room = known.started["room"].as_str().expect("a room").to_owned();
    drop(socket);
    let parked = async || app.metric("live_sessions", &[]) == 0;
    testkit::wait_until("the session to be parked", SOON, parked).await.expect("parked");
    let mut history = entries(&redis, &room);
    let text = "\"transcript\":\"";
    history[0][6] = history[0][6].replacen(text, &format!("{text}forged "), 1);
    redis.command(&["DEL", &part(&room, "history")]).expect("deleted");
    for entry in &history {
        add(&redis, &room, &entry[0], &entry[1..]);
    }
    let mut wanted = known.resume(30);
    wanted["last_n"] = json!(0);
    let mut socket = app.websocket().await;
    socket.send_json(&wanted).await.expect("sent");
    let resumed = |it: &Value| it["type"] == "session_resumed";
    let answer = socket.receive_until(SOON, resumed).await.expect("an answer");
    assert_eq!(answer["recovered"], false, "{answer}");
    oracle::stop_raw(&mut socket).await;
    let heard = oracle::until_stopped_raw(&mut socket, SOON).await;
    assert!(!json!(heard).to_string().contains("forged"), "{heard:?}");
    assert!(app.metric("room_forgeries_total", &["what=\"final\""]) > 0);
}
