//! Whoever can write to Redis cannot make up a ticket or a session, change one, or move one.

use serde_json::{Value, json};
use testkit::speech::sha256_hex;

use super::{Door, Line, ask_for_ticket, way::Way};
use crate::harness::{Setup, TestApp, redis};

/// A text of the length of a ticket that nobody was given.
const CHOSEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

async fn start() -> (TestApp, String) {
    let prefix = format!("it-{}", uuid::Uuid::new_v4().simple());
    let setup = Setup::new().with("REDIS_PREFIX", &prefix);
    (setup.with("ALLOW_INSECURE_SESSION_AUTH", "true").start().await, prefix)
}

fn read(key: &str) -> String {
    let answer = redis().command(&["GET", key]).expect("an answer");
    answer.split("\r\n").nth(1).expect("a value").to_owned()
}

fn write(key: &str, value: &str) {
    redis().command(&["SET", key, value]).expect("written");
}

/// Opens with a ticket that is written to Redis under its proper name.
async fn try_ticket(app: &TestApp, prefix: &str, ticket: &str, value: &str) {
    for way in Way::ALL {
        write(&format!("{prefix}:ticket:{}", sha256_hex(ticket.as_bytes())), value);
        let told = way.open(&app.url(), ticket).await;
        assert_eq!(told, Err(way.refusal(401, "unauthenticated")), "{way:?}: {value}");
    }
}

async fn genuine_ticket(app: &TestApp) -> String {
    let (_, body) = ask_for_ticket(&app.url(), &app.token()).await;
    body["ticket"].as_str().expect("a ticket").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_cannot_be_made_up_changed_or_moved() {
    let (app, prefix) = start().await;
    let ticket = genuine_ticket(&app).await;
    let genuine = read(&format!("{prefix}:ticket:{}", sha256_hex(ticket.as_bytes())));
    let (mac, json) = genuine.split_once('.').expect("a mac");
    let other = json.replace("dev-user", "dev-uses");
    assert_ne!(other, json);
    // Moved: the chosen text would be worth what the genuine one is.
    try_ticket(&app, &prefix, CHOSEN, &genuine).await;
    for value in [
        json.to_owned(),
        format!(".{json}"),
        format!("{}.{json}", "0".repeat(64)),
        format!("{mac}.{other}"),
        String::new(),
        "null".to_owned(),
    ] {
        try_ticket(&app, &prefix, &ticket, &value).await;
    }
    let session = login(&app, "ann").await;
    let session = read(&format!("{prefix}:session:{}", sha256_hex(session.as_bytes())));
    try_ticket(&app, &prefix, CHOSEN, &session).await;
    // The value itself is good where it belongs.
    write(&format!("{prefix}:ticket:{}", sha256_hex(ticket.as_bytes())), &genuine);
    Way::WebSocketQuery.open(&app.url(), &ticket).await.expect("admitted");
}

async fn login(app: &TestApp, username: &str) -> String {
    let request = reqwest::Client::new().post(format!("{}/mobile-auth/login", app.url()));
    let response = request.json(&json!({ "username": username })).send().await.expect("an answer");
    let body: Value = response.json().await.expect("JSON");
    body["auth_token"].as_str().expect("a token").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_cannot_be_made_up_changed_or_moved() {
    let (app, prefix) = start().await;
    let (own, chosen) = (login(&app, "ann").await, format!("session_{CHOSEN}"));
    let key = |token: &str| format!("{prefix}:session:{}", sha256_hex(token.as_bytes()));
    let genuine = read(&key(&own));
    let ticket = genuine_ticket(&app).await;
    let ticket = read(&format!("{prefix}:ticket:{}", sha256_hex(ticket.as_bytes())));
    let (mac, json) = genuine.split_once('.').expect("a mac");
    for (token, value) in [
        (&chosen, genuine.clone()),
        (&chosen, ticket),
        (&own, json.to_owned()),
        (&own, format!("{mac}.{}", json.replace("ann", "eve"))),
        (&own, format!("{}.{json}", "f".repeat(64))),
    ] {
        write(&key(token), &value);
        for door in Door::BOTH {
            assert!(Line::open(door, &app.url(), token).await.is_err(), "{door:?}: {value}");
        }
        assert_eq!(ask_for_ticket(&app.url(), token).await.0, 401, "{value}");
    }
    write(&key(&own), &genuine);
    Line::open(Door::WebSocket, &app.url(), &own).await.expect("admitted");
}
