//! Stream tickets: what they open, how often, how long, and why one is not given.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Door, Line, USER_KEY, ask_for_ticket, execute, insert_key, now_ms, setup, token, way::Way,
};
use crate::{
    harness::{Setup, TestApp, postgres, redis},
    oracle::{self, SOON},
};

/// A ticket of the development token.
async fn ticket(app: &TestApp) -> String {
    let (status, body) = ask_for_ticket(&app.url(), &app.token()).await;
    assert_eq!(status, 201, "{body}");
    body["ticket"].as_str().expect("a ticket").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_opens_one_socket_on_either_replica() {
    let apps = Setup::new().with("ENVIRONMENT", "test").with("API_KEY", USER_KEY).start_many(2);
    let apps = apps.await;
    for way in Way::ALL {
        for (from, to) in [(0, 1), (1, 0)] {
            let (status, body) = ask_for_ticket(&apps[from].url(), USER_KEY).await;
            let ticket = body["ticket"].as_str().unwrap_or_else(|| panic!("{status} {body}"));
            way.open(&apps[to].url(), ticket).await.unwrap_or_else(|told| panic!("{way:?} {told}"));
            for app in &apps {
                let again = way.open(&app.url(), ticket).await;
                assert_eq!(again, Err(way.refusal(401, "unauthenticated")), "{way:?}");
            }
        }
    }
    let used = apps.iter().map(|app| app.metric("authentications_total", &["ticket", "ok"]));
    assert_eq!(used.sum::<i64>(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_says_how_long_and_is_not_kept() {
    let prefix = format!("it-{}", uuid::Uuid::new_v4().simple());
    let app = Setup::new().with("REDIS_PREFIX", &prefix).start().await;
    let asked_ms = now_ms();
    let request = reqwest::Client::new().post(format!("{}/auth/stream-ticket", app.url()));
    let response = request.bearer_auth(app.token()).send().await.expect("an answer");
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["cache-control"], "no-store");
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(body["expires_in"], 30);
    let expires_at = body["expires_at"].as_str().expect("a time");
    let expires_at = chrono::DateTime::parse_from_rfc3339(expires_at).expect("ISO 8601");
    let life_ms = expires_at.timestamp_millis() as u64 - asked_ms;
    assert!((29_900..=31_000).contains(&life_ms), "{life_ms}");
    let ticket = body["ticket"].as_str().expect("a ticket");
    assert_eq!(ticket.len(), 43);
    // Redis knows neither the ticket nor any longer than that.
    let hash = testkit::speech::sha256_hex(ticket.as_bytes());
    let left = redis().command(&["PTTL", &format!("{prefix}:ticket:{hash}")]).expect("a time");
    let left_ms: u64 = left.trim_start_matches(':').trim().parse().expect("a number");
    assert!((20_000..=30_000).contains(&left_ms), "{left}");
    let value = redis().command(&["GET", &format!("{prefix}:ticket:{hash}")]).expect("a value");
    assert!(!value.contains(ticket), "{value}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_dies_with_what_it_came_from() {
    let (setup, tenant) = setup().await;
    let app = setup.start().await;
    insert_key(&app).await;
    let (short, end_ms) = token(&tenant, "auth0|ada", 2.0);
    for way in Way::ALL {
        let (status, body) = ask_for_ticket(&app.url(), USER_KEY).await;
        assert_eq!(status, 201, "{body}");
        execute(&app, "UPDATE api_keys SET is_active = false").await;
        let told = way.open(&app.url(), body["ticket"].as_str().expect("a ticket")).await;
        assert_eq!(told, Err(way.refusal(401, "unauthenticated")), "{way:?}");
        execute(&app, "UPDATE api_keys SET is_active = true").await;
    }
    let (status, body) = ask_for_ticket(&app.url(), &short).await;
    assert!(status == 201 && body["expires_in"].as_u64() <= Some(2), "{status} {body}");
    let over = async || now_ms() > end_ms;
    testkit::wait_until("the token's end", SOON, over).await.expect("ended");
    for way in Way::ALL {
        let told = way.open(&app.url(), body["ticket"].as_str().expect("a ticket")).await;
        assert_eq!(told, Err(way.refusal(401, "unauthenticated")), "{way:?}");
    }
}

/// The socket that a ticket opened is as good as the credential behind it, and no better.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_with_a_ticket_ends_with_its_parent() {
    let (setup, tenant) = setup().await;
    let app = setup.start().await;
    let (short, end_ms) = token(&tenant, "auth0|ada", 2.0);
    let (_, body) = ask_for_ticket(&app.url(), &short).await;
    let url = format!("{}/audio-stream?ticket={}", app.url(), body["ticket"].as_str().expect("it"));
    let mut socket = testkit::raw_ws::RawSocket::connect(&url, &[]).await.expect("admitted");
    let greeting = socket.receive_json(SOON).await.expect("greeted");
    assert_eq!(
        (&greeting["user_id"], &greeting["auth_type"]),
        (&json!("auth0|ada"), &json!("auth0"))
    );
    let (messages, _) = socket.drain(SOON).await.expect("an end");
    assert_eq!(messages.last().expect("a notice")["reason"], "token_expired");
    assert!(now_ms() >= end_ms);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_no_credential() {
    let app = Setup::new().start().await;
    let ticket = ticket(&app).await;
    assert_eq!(ask_for_ticket(&app.url(), &ticket).await.0, 401);
    let keyed = reqwest::Client::new().post(format!("{}/auth/stream-ticket", app.url()));
    let keyed = keyed.header("x-api-key", &ticket).send().await.expect("an answer");
    assert_eq!(keyed.status(), 401);
    let asked =
        reqwest::Client::new().post(format!("{}/auth/stream-ticket?ticket={ticket}", app.url()));
    assert_eq!(asked.send().await.expect("an answer").status(), 401);
    for door in Door::BOTH {
        assert!(Line::open(door, &app.url(), &ticket).await.is_err(), "{door:?}");
    }
    let mut line = Line::open(Door::WebSocket, &app.url(), &app.token()).await.expect("admitted");
    line.tell("authenticate", json!({ "token": ticket })).await;
    assert_eq!(line.hear("error").await["code"], "unauthenticated");
    // None of that used it up.
    Way::WebSocketQuery.open(&app.url(), &ticket).await.expect("admitted");
}

/// A socket is counted when its ticket is issued, and not again when it is used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_are_limited_with_and_without_tickets() {
    let apps = Setup::new().with("LIMIT_SOCKET_OPENS", "7").start_many(2).await;
    insert_key(&apps[0]).await;
    let urls = [apps[0].url(), apps[1].url()];
    for (at, way) in Way::ALL.into_iter().enumerate() {
        let (_, body) = ask_for_ticket(&urls[at % 2], USER_KEY).await;
        let ticket = body["ticket"].as_str().unwrap_or_else(|| panic!("{body}"));
        way.open(&urls[(at + 1) % 2], ticket).await.expect("admitted");
    }
    for door in Door::BOTH {
        Line::open(door, &urls[0], USER_KEY).await.expect("admitted");
    }
    let told = ask_for_ticket(&urls[1], USER_KEY).await;
    assert_eq!(code(&told), (429, "rate_limited"), "{told:?}");
    let bearer = format!("Bearer {USER_KEY}");
    let headers = [("authorization", bearer.as_str())];
    let url = format!("{}/audio-stream", urls[1]);
    let error = testkit::raw_ws::RawSocket::connect(&url, &headers).await.expect_err("refused");
    let refused: &testkit::raw_ws::Refused = error.downcast_ref().expect("an answer");
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").expect("a wait").parse().expect("seconds");
    assert!((1..=9).contains(&wait), "{wait}");
    assert_eq!(refused.header("x-ratelimit-limit"), Some("7"));
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    let error = crate::harness::doors::socketio(&urls[0], USER_KEY).await.expect_err("refused");
    assert!(error.to_string().contains(super::way::REJECTED), "{error}");
    assert_eq!(apps[0].metric("sockets_refused_total", &["socketio", "rate_limited"]), 1);
}

/// A token in the address stays unread, beside whatever else is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_the_address_opens_nothing() {
    let app = Setup::new().start().await;
    for query in [format!("token={}", app.token()), format!("ticket={}", app.token())] {
        let url = format!("{}/audio-stream?{query}", app.url());
        let error = testkit::raw_ws::RawSocket::connect(&url, &[]).await.expect_err("refused");
        let refused: &testkit::raw_ws::Refused = error.downcast_ref().expect("an answer");
        assert_eq!(refused.status, 401);
    }
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reason_why_no_socket_would_open_is_told() {
    let full = Setup::new().with("LIVE_MAX_SESSIONS", "1").deepgram(oracle::numbered());
    let full = full.start().await;
    let mut line = Line::open(Door::WebSocket, &full.url(), &full.token()).await.expect("admitted");
    line.speak(Duration::from_millis(300)).await;
    let running = async || full.metric("live_sessions", &[]) == 1;
    testkit::wait_until("the session", SOON, running).await.expect("running");
    let told = ask_for_ticket(&full.url(), &full.token()).await;
    assert_eq!(code(&told), (503, "overloaded"), "{told:?}");
    full.running.app.shutdown.drain();
    let told = ask_for_ticket(&full.url(), &full.token()).await;
    assert_eq!(code(&told), (503, "shutting_down"), "{told:?}");
}

#[cfg(feature = "local-speech")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_provider_there_is_nothing_to_open() {
    let setup = Setup::new().local().with("LIVE_PROVIDER", "auto");
    let app = setup.with("ASR_MODEL_DIR", "/nowhere").start().await;
    let told = ask_for_ticket(&app.url(), &app.token()).await;
    assert_eq!(code(&told), (503, "provider_unavailable"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_there_are_no_tickets() {
    let mut redis = testkit::process::Redis::start().expect("redis");
    let database = postgres().create_database().expect("a database");
    let app = Setup::on(&database, &redis.url()).start().await;
    let ticket = ticket(&app).await;
    redis.stop().expect("stopped");
    let request = reqwest::Client::new().post(format!("{}/auth/stream-ticket", app.url()));
    let response = request.bearer_auth(app.token()).send().await.expect("an answer");
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(body["code"], "dependency_unavailable", "{body}");
    for way in Way::ALL {
        let told = way.open(&app.url(), &ticket).await;
        assert_eq!(told, Err(way.refusal(503, "dependency_unavailable")), "{way:?}");
    }
    // Credentials open sockets as before.
    for door in Door::BOTH {
        Line::open(door, &app.url(), &app.token()).await.expect("admitted");
    }
}
