//! Credentials while Postgres is away: a key that was seen still opens the door, others must wait.

use serde_json::Value;
use testkit::{process::Postgres, raw_ws::Refused, speech::sha256_hex};

use super::{variables, wait_until_ready};
use crate::harness::{ServiceProcess, doors};

const SEEN: &str = "usr_7_c2Vlbi1iZWZvcmUtdGhlLW91dGFnZS0zMi1ieXRlcw";
const UNSEEN: &str = "usr_7_dW5zZWVuLWJlZm9yZS10aGUtb3V0YWdlLTMyLWJ5dA";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_seen_still_works_and_others_are_told_to_wait() {
    let mut postgres = Postgres::start().expect("postgres");
    let url = postgres.create_database().expect("a database");
    let (variables, _deepgram) = variables(&url, &crate::harness::redis_url()).await;
    let process = ServiceProcess::start(&variables).await;
    wait_until_ready(&process, 200, "ready", &[]).await;
    let name = url.rsplit('/').next().expect("a name");
    let user = "INSERT INTO users (id, email, password_hash) VALUES (7, 'ada@example.com', 'x')";
    postgres.query(name, user).expect("a user");
    for key in [SEEN, UNSEEN] {
        let hash = sha256_hex(key.as_bytes());
        let insert = format!(
            "INSERT INTO api_keys (user_id, name, key_hash, key_prefix) \
             VALUES (7, 'key', '{hash}', 'usr_7_')"
        );
        postgres.query(name, &insert).expect("a key");
    }
    doors::websocket(&process.url(), SEEN).await.expect("admitted");
    postgres.kill().expect("killed");
    doors::websocket(&process.url(), SEEN).await.expect("still admitted");
    let error = doors::websocket(&process.url(), UNSEEN).await.expect_err("refused");
    let refused = error.downcast_ref::<Refused>().expect("an answer");
    let body: Value = serde_json::from_str(&refused.body).expect("JSON");
    assert_eq!((refused.status, &body["retryable"]), (503, &Value::Bool(true)), "{refused}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert!(doors::socketio(&process.url(), UNSEEN).await.is_err());
    postgres.restart().expect("back");
    wait_until_ready(&process, 200, "ready", &[]).await;
    doors::websocket(&process.url(), UNSEEN).await.expect("admitted once it can be looked up");
}
