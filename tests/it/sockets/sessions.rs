//! Login sessions without a password: the contract's words, every replica, and their end.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Door, Line, assert_closed};
use crate::{
    harness::{Ledger, ServiceProcess, Setup, TestApp, postgres},
    oracle::{self, SOON},
};

/// What a route of `/mobile-auth` answers.
async fn ask(url: &str, route: &str, body: &Value) -> (u16, Value) {
    let request = reqwest::Client::new().post(format!("{url}/mobile-auth/{route}"));
    let response = request.json(body).send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

fn allowed() -> Setup {
    let setup = Setup::new().with("ALLOW_INSECURE_SESSION_AUTH", "true");
    setup.with("LIMIT_LIVE_SESSIONS", "2").deepgram(oracle::numbered())
}

async fn login(app: &TestApp, username: &str) -> String {
    let (status, body) = ask(&app.url(), "login", &json!({ "username": username })).await;
    assert_eq!(status, 200, "{body}");
    body["auth_token"].as_str().expect("a token").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_flag_every_route_says_so() {
    let (variables, _deepgram) = Setup::new().variables().await;
    let service = ServiceProcess::start(&variables).await;
    let url = service.url();
    let login = json!({
        "error": "endpoint_disabled",
        "message": "This endpoint is disabled in production. Use Auth0 authentication.",
        "details": "Set ALLOW_INSECURE_SESSION_AUTH=true only in development/testing.",
    });
    let others = json!({
        "error": "endpoint_disabled",
        "message": "This endpoint is disabled in production.",
    });
    let body = json!({ "username": "Ann", "auth_token": "session_x" });
    assert_eq!(ask(&url, "login", &body).await, (403, login));
    assert_eq!(ask(&url, "logout", &body).await, (403, others.clone()));
    assert_eq!(ask(&url, "verify", &body).await, (403, others));
    let bare = reqwest::Client::new().post(format!("{url}/mobile-auth/verify")).send().await;
    assert_eq!(bare.expect("an answer").status(), 403, "whatever the body");
    let token = format!("session_{}", "x".repeat(43));
    for door in Door::BOTH {
        assert!(Line::open(door, &url, &token).await.is_err());
    }
    let line = "Session token fallback disabled (secure mode). ";
    let logged = async || service.log().matches(line).count() == 2;
    testkit::wait_until("the line in the log", SOON, logged).await.expect("logged");
    assert!(!service.log().contains(&token));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_routes_answer_as_they_always_did() {
    let app = allowed().start().await;
    let url = app.url();
    let before = chrono::Utc::now();
    let (status, body) =
        ask(&url, "login", &json!({ "username": "Ann Lee", "password": "x" })).await;
    let token = body["auth_token"].as_str().expect("a token").to_owned();
    let secret = token.strip_prefix("session_").expect("its prefix");
    assert!(secret.len() == 43 && secret.chars().all(|c| c.is_alphanumeric() || "-_".contains(c)));
    let expected = json!({
        "auth_token": token,
        "user_id": "ann_lee",
        "expires_at": body["expires_at"],
        "message": "Login successful (DEVELOPMENT MODE - NO REAL AUTH)",
        "warning": "This endpoint does not verify credentials. Use Auth0 for production.",
    });
    assert_eq!((status, &body), (200, &expected));
    let expires_at = body["expires_at"].as_str().expect("a time");
    let expires_at = chrono::DateTime::parse_from_rfc3339(expires_at).expect("ISO 8601");
    let life = expires_at.signed_duration_since(before).num_seconds();
    assert!((86_390..=86_410).contains(&life), "{life}");

    let verified = json!({ "valid": true, "user_id": "ann_lee", "username": "Ann Lee" });
    assert_eq!(ask(&url, "verify", &json!({ "auth_token": token })).await, (200, verified));
    let invalid = json!({ "valid": false, "message": "Invalid token" });
    for wrong in [json!({ "auth_token": "session_x" }), json!({}), json!({ "auth_token": 7 })] {
        assert_eq!(ask(&url, "verify", &wrong).await, (401, invalid.clone()), "{wrong}");
        let over = json!({ "message": "Invalid or expired token" });
        assert_eq!(ask(&url, "logout", &wrong).await, (401, over), "{wrong}");
    }
    let done = json!({ "message": "Logout successful" });
    assert_eq!(ask(&url, "logout", &json!({ "auth_token": token })).await, (200, done));
    assert_eq!(ask(&url, "verify", &json!({ "auth_token": token })).await, (401, invalid));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_needed_and_must_be_one() {
    let app = allowed().start().await;
    for (body, text) in [
        (json!({}), "Username is required"),
        (json!({ "username": "" }), "Username is required"),
        (json!({ "username": 7 }), "Username is required"),
        (json!({ "username": "a\u{0}b" }), "Username must be 1 to 128 printable characters"),
    ] {
        let (status, answer) = ask(&app.url(), "login", &body).await;
        assert_eq!((status, answer["error"].as_str()), (400, Some(text)), "{body}");
    }
    let request = reqwest::Client::new().post(format!("{}/mobile-auth/login", app.url()));
    let response = request.body("username=ann").send().await.expect("an answer");
    assert_eq!(response.status(), 415);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_speaks_on_every_replica_until_it_is_ended_on_any() {
    let apps = allowed().start_many(2).await;
    let token = login(&apps[1], "Ann Lee").await;
    let mut lines = Vec::new();
    for door in Door::BOTH {
        let mut line = Line::open(door, &apps[0].url(), &token).await.expect("admitted");
        let who = (line.heard[0].0["user_id"].clone(), line.heard[0].0["auth_type"].clone());
        assert_eq!(who, (json!("ann_lee"), json!("session")));
        line.speak(Duration::from_secs(1)).await;
        lines.push((door, line));
    }
    let (status, _) = ask(&apps[1].url(), "logout", &json!({ "auth_token": token })).await;
    assert_eq!(status, 200);
    for (door, line) in &mut lines {
        line.hear_out(Duration::from_secs(2)).await;
        assert_closed(line, *door, 4500, "credential_revoked");
        line.assert_whole();
        assert!(Line::open(*door, &apps[0].url(), &token).await.is_err());
    }
    let query = "SELECT u.auth_sub FROM (SELECT u.auth0_sub AS auth_sub, \
                 sum(l.range_end_ms - l.range_start_ms)::bigint AS ms FROM usage_logs l \
                 JOIN users u ON u.id = l.user_id GROUP BY 1) u WHERE u.ms = 2000";
    let billed = async || {
        let rows: Result<Vec<(String,)>, _> = Ledger(&apps[0].database_url).rows(query).await;
        rows.is_ok_and(|rows| rows == [("session|ann_lee".to_owned(),)])
    };
    testkit::wait_until("both to be billed", SOON, billed).await.expect("billed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_running_streams_go_on_and_nobody_logs_in() {
    let mut redis = testkit::process::Redis::start().expect("redis");
    let database = postgres().create_database().expect("a database");
    let setup = Setup::on(&database, &redis.url()).deepgram(oracle::numbered());
    let app = setup.with("ALLOW_INSECURE_SESSION_AUTH", "true").start().await;
    let token = login(&app, "ann").await;
    let mut line = Line::open(Door::SocketIo, &app.url(), &token).await.expect("admitted");
    redis.stop().expect("stopped");
    let bodies = json!({ "username": "ann", "auth_token": token });
    for route in ["login", "verify", "logout"] {
        let (status, body) = ask(&app.url(), route, &bodies).await;
        assert_eq!((status, &body["code"]), (503, &json!("dependency_unavailable")), "{route}");
    }
    assert!(Line::open(Door::WebSocket, &app.url(), &token).await.is_err());
    line.speak(Duration::from_secs(2)).await;
    line.finish().await;
    line.assert_whole();
}
