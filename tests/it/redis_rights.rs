//! A Redis that the service shares with strangers: it needs no more than its own keys and channels,
//! and what strangers say on them admits nobody.

use std::time::Duration;

use serde_json::Value;
use testkit::process::Redis;

use crate::harness::{SOON, Setup, Speaker, TestApp, doors};

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
