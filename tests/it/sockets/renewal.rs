//! `authenticate` on an open socket: another token of the same user, and nobody else's.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Door, Line, USER_KEY, assert_closed, execute, insert_key, setup, token};
use crate::oracle::SOON;

async fn answer(line: &mut Line, token: &Value, name: &str) -> Value {
    line.tell("authenticate", json!({ "token": token })).await;
    line.hear(name).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_outlives_its_token_with_another_one() {
    for door in Door::BOTH {
        let (setup, tenant) = setup().await;
        let app = setup.start().await;
        let (short, _) = token(&tenant, "auth0|ada", 3.0);
        let (long, end_ms) = token(&tenant, "auth0|ada", 3600.0);
        let mut line = Line::open(door, &app.url(), &short).await.expect("admitted");
        line.speak(Duration::from_secs(1)).await;
        let told = answer(&mut line, &json!(long), "authenticated").await;
        assert_eq!((&told["user_id"], &told["auth_type"]), (&json!("auth0|ada"), &json!("auth0")));
        let expires_at = told["expires_at"].as_str().expect("a time");
        let expires_at = chrono::DateTime::parse_from_rfc3339(expires_at).expect("ISO 8601");
        assert!((expires_at.timestamp_millis() as u64).abs_diff(end_ms) <= 1, "{told}");
        line.speak(Duration::from_secs(5)).await;
        line.finish().await;
        line.assert_whole();
        assert_eq!(line.named("token_expiring").len(), 1, "the second one has an hour");
        assert!(line.named("closing").is_empty() && line.end.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_refused_changes_nothing() {
    for door in Door::BOTH {
        let (setup, tenant) = setup().await;
        let app = setup.start().await;
        let (own, end_ms) = token(&tenant, "auth0|ada", 6.0);
        let (eves, _) = token(&tenant, "auth0|eve", 3600.0);
        let mut line = Line::open(door, &app.url(), &own).await.expect("admitted");
        line.speak(Duration::from_millis(500)).await;
        let refusal = answer(&mut line, &json!(eves), "error").await;
        let told = (refusal["code"].as_str(), refusal["retryable"].as_bool());
        assert_eq!(told, (Some("principal_mismatch"), Some(false)));
        // Not within a second of it, whatever it is.
        let refusal = answer(&mut line, &json!(own), "error").await;
        let told = (refusal["code"].as_str(), refusal["retryable"].as_bool());
        assert_eq!(told, (Some("rate_limited"), Some(true)));
        for (wrong, text) in [
            (json!("nonsense"), "Invalid token: Not enough segments"),
            (json!(7), "No authentication token provided"),
        ] {
            line.speak(Duration::from_millis(1200)).await;
            let refusal = answer(&mut line, &wrong, "error").await;
            assert_eq!(refusal["code"], "unauthenticated");
            assert_eq!(refusal["message"], text);
        }
        line.speak(Duration::from_millis(200)).await;
        assert!(line.end.is_none(), "{:?}", line.heard);
        let (_, closed_ms) = line.hear_out(SOON).await;
        assert!(closed_ms >= end_ms, "the old one counts to its end");
        assert_eq!(line.chunks_heard().end, line.chunks_sent());
    }
}

/// One at a time: of many at once, one is looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tokens_at_once_are_no_flood() {
    let (setup, tenant) = setup().await;
    let app = setup.start().await;
    let (own, _) = token(&tenant, "auth0|ada", 3600.0);
    for door in Door::BOTH {
        let mut line = Line::open(door, &app.url(), &own).await.expect("admitted");
        let before = app.metric("authentications_total", &[]);
        for at in 0..50 {
            let guess = format!("usr_7_{at:043}");
            line.tell("authenticate", json!({ "token": guess })).await;
        }
        let answered = async |line: &mut Line| {
            while line.named("error").len() < 50 {
                line.hear("error").await;
            }
        };
        answered(&mut line).await;
        let limited = line.named("error").into_iter();
        let limited = limited.filter(|(error, _)| error["code"] == "rate_limited").count();
        let looked_at = app.metric("authentications_total", &[]) - before;
        assert!(looked_at <= 3 && limited >= 47, "{looked_at} were looked at");
    }
}

/// A second key of the user 7, whose row is number 4.
const OTHER_KEY: &str = "usr_7_YW5vdGhlci1rZXktb2YtdGhlLXNhbWUtdXNlci0zMg";
const INSERT_OTHER: &str = "INSERT INTO api_keys (id, user_id, name, key_hash, key_prefix) \
    VALUES (4, 7, 'other', encode(sha256( \
        'usr_7_YW5vdGhlci1rZXktb2YtdGhlLXNhbWUtdXNlci0zMg'), 'hex'), 'usr_7_')";

/// Whoever reads keys has taken a snapshot by the time they wait for the lock 7.
const SLOW_KEYS: [&str; 2] = [
    "ALTER TABLE api_keys RENAME TO all_keys",
    "CREATE VIEW api_keys AS SELECT * FROM all_keys \
     WHERE (SELECT true FROM pg_advisory_xact_lock_shared(7))",
];

/// It is taken back, and that is announced, while it is verified: the socket still stands on the
/// one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_credential_is_looked_at_again_once_it_counts() {
    let (setup, _tenant) = setup().await;
    let app = setup.start().await;
    insert_key(&app).await;
    for statement in [INSERT_OTHER, SLOW_KEYS[0], SLOW_KEYS[1]] {
        execute(&app, statement).await;
    }
    for door in Door::BOTH {
        let mut line = Line::open(door, &app.url(), USER_KEY).await.expect("admitted");
        let mut gate = app.running.app.database.pool().acquire().await.expect("a connection");
        sqlx::query("SELECT pg_advisory_lock(7)").execute(&mut *gate).await.expect("locked");
        line.tell("authenticate", json!({ "token": OTHER_KEY })).await;
        let waiting = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'advisory' \
                       AND datname = current_database() AND query LIKE 'SELECT k.id%'";
        let waits = async || app.sql::<bool>(waiting).await;
        testkit::wait_until("the look at the key", SOON, waits).await.expect("it waits");
        execute(&app, "UPDATE all_keys SET is_active = false WHERE id = 4").await;
        sqlx::query("SELECT pg_advisory_unlock(7)").execute(&mut *gate).await.expect("unlocked");
        line.hear("authenticated").await;
        line.hear_out(SOON).await;
        assert_closed(&line, door, 4500, "credential_revoked");
        execute(&app, "UPDATE all_keys SET is_active = true WHERE id = 4").await;
    }
}
