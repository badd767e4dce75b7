//! API keys over REST: how they are asked for, how many there may be, and whose they are.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Answer, answer, call, execute, profile, register, setup};
use crate::harness::{SOON, TestApp};

const CREATE: &str = "POST /auth/api-keys";

async fn keys(app: &TestApp, token: &str) -> Vec<Value> {
    let answer = call(app, "GET /auth/profile", token, Value::Null).await;
    answer.body["api_keys"].as_array().expect("keys").clone()
}

fn assert_created(answer: &Answer, name: &str) {
    assert_eq!((answer.status, answer.text("name")), (201, name), "{answer:?}");
    assert_eq!(answer.text("message"), "API key created successfully");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.text("api_key").len(), "usr_1_".len() + 43);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_made_as_it_is_asked_for() {
    let app = setup().start().await;
    let account = register(&app, "ada@example.com").await;
    let token = account.text("access_token");
    let long = "\u{1f511}".repeat(100);
    for (body, name) in [
        (Value::Null, "API Key"),
        (json!({}), "API Key"),
        (json!({ "name": null }), "API Key"),
        (json!({ "name": " " }), "API Key"),
        (json!({ "name": "nightly" }), "nightly"),
        (json!({ "name": long }), long.as_str()),
    ] {
        let made = call(&app, CREATE, token, body).await;
        assert_created(&made, name);
        assert_eq!(made.body["expires_at"], Value::Null);
        assert_eq!(profile(&app, made.text("api_key")).await, 200);
        let listed = keys(&app, token).await;
        let last = listed.last().expect("a key");
        assert_eq!((&last["id"], &last["name"]), (&made.body["id"], &json!(name)));
    }
    let ends = call(&app, CREATE, token, json!({ "expires_in_days": 90 })).await;
    assert_created(&ends, "API Key");
    let listed = keys(&app, token).await;
    assert_eq!(listed.last().expect("a key")["expires_at"], ends.body["expires_at"]);
    let query = "SELECT count(*) FROM api_keys WHERE expires_at BETWEEN
        timezone('utc', now()) + interval '2159 hours' AND timezone('utc', now()) + interval '90 days'";
    assert_eq!(app.sql::<i64>(query).await, 1);
    let at = json!({ "expires_at": "2040-01-02T03:04:05+01:00" });
    let ends = call(&app, CREATE, token, at).await;
    assert_eq!(ends.text("expires_at"), "2040-01-02T02:04:05.000000Z");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_that_cannot_be_met_is_told_so() {
    let app = setup().start().await;
    let account = register(&app, "ada@example.com").await;
    let token = account.text("access_token");
    let name = "name must be text of at most 100 characters";
    let days = "expires_in_days must be a number from 1 to 3650";
    let ahead = "expires_at must be a time in the future, in ISO 8601";
    for (body, text) in [
        (json!({ "name": "x".repeat(101) }), name),
        (json!({ "name": 7 }), name),
        (json!({ "name": "a\0b" }), name),
        (json!({ "expires_in_days": 0 }), days),
        (json!({ "expires_in_days": "7" }), days),
        (json!({ "expires_at": "2020-01-01T00:00:00Z" }), ahead),
        (json!({ "expires_at": "soon" }), ahead),
    ] {
        let told = call(&app, CREATE, token, body.clone()).await;
        assert_eq!(told.error(), (400, text), "{body}");
    }
    let post =
        || reqwest::Client::new().post(format!("{}/auth/api-keys", app.url())).bearer_auth(token);
    let told = answer(post().header("content-type", "application/json").body("{")).await;
    assert!(told.error().1.starts_with("The browser (or proxy) sent a request"), "{told:?}");
    assert_eq!(answer(post().body("name=x")).await.status, 415);
    assert_eq!(keys(&app, token).await.len(), 1);
}

/// What cannot be used any more makes room; of keys made at once none is one too many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_has_at_most_a_hundred_keys() {
    let app = setup().with("DATABASE_POOL_SIZE", "20").start().await;
    let account = register(&app, "ada@example.com").await;
    let token = account.text("access_token");
    execute(
        &app,
        "INSERT INTO api_keys (user_id, name, key_hash, key_prefix, is_active, expires_at)
         SELECT 1, 'many', n::text, 'usr_1_', n <> 1,
                CASE n WHEN 2 THEN timezone('utc', now()) END FROM generate_series(1, 98) n",
    )
    .await;
    assert_eq!(keys(&app, token).await.len(), 97);
    // While the row is held all of them are on their way, so that none can be before the others.
    let mut held = app.running.app.database.pool().begin().await.expect("a transaction");
    let row = "SELECT id FROM users WHERE id = 1 FOR UPDATE";
    sqlx::query(row).execute(&mut *held).await.expect("held");
    let wishes = join_all((0..8).map(|_| call(&app, CREATE, token, Value::Null)));
    let release = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let all = async || app.sql::<i64>(waiting).await == 8;
        testkit::wait_until("all wishes to wait", SOON, all).await.expect("waiting");
        held.rollback().await.expect("released");
    };
    let (answers, ()) = tokio::join!(wishes, release);
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 3, "{answers:?}");
    let refused = answers.iter().find(|answer| answer.status != 201).expect("a refusal");
    assert_eq!(refused.error(), (409, "too many active API keys: delete one"));
    assert_eq!(refused.body["code"], "conflict");
    assert_eq!(keys(&app, token).await.len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_back_anothers_key() {
    let app = setup().start().await;
    let ada = register(&app, "ada@example.com").await;
    let eve = register(&app, "eve@example.com").await;
    let not_found = (404, "API key not found");
    for id in ["1", "0", "999", "2147483648", "99999999999999999999"] {
        let route = format!("DELETE /auth/api-keys/{id}");
        let told = call(&app, &route, eve.text("access_token"), Value::Null).await;
        assert_eq!(told.error(), not_found, "{id}");
    }
    for id in ["x", "-1", "1.0", "1%20", "%F0%9F%94%91"] {
        let route = format!("DELETE /auth/api-keys/{id}");
        let told = call(&app, &route, eve.text("access_token"), Value::Null).await;
        assert_eq!(told.error(), (404, "Endpoint not found"), "{id}");
    }
    assert_eq!(profile(&app, ada.text("api_key")).await, 200);
    assert!(keys(&app, eve.text("access_token")).await.iter().all(|key| key["id"] != 1));
    for route in [CREATE, "DELETE /auth/api-keys/1", "GET /auth/profile"] {
        for token in ["", "wrong", "usr_1_wrong"] {
            let told = call(&app, route, token, Value::Null).await;
            assert_eq!(told.error(), (401, "Authentication required"), "{route}");
        }
    }
    // A key may take itself back.
    let own = call(&app, "DELETE /auth/api-keys/1", ada.text("api_key"), Value::Null).await;
    assert_eq!(own.status, 200);
    assert_eq!(profile(&app, ada.text("api_key")).await, 401);
}

/// Whoever calls has an account, however they proved it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_credential_has_a_profile_and_keys() {
    let app = setup().with("API_KEY", "the-static-key").start().await;
    let development = app.token();
    for (token, email) in
        [("the-static-key", json!("system@legacy.com")), (development.as_str(), Value::Null)]
    {
        let made = call(&app, CREATE, token, json!({ "name": "own" })).await;
        assert_eq!(made.status, 201, "{made:?}");
        let told = call(&app, "GET /auth/profile", made.text("api_key"), Value::Null).await;
        assert_eq!((&told.body["user"]["email"], told.status), (&email, 200));
        assert_eq!(told.body["api_keys"][0]["name"], "own");
    }
}
