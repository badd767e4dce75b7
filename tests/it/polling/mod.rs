//! Socket.IO sessions that poll, on replicas whose balancer sends each request anywhere.

mod clients;
mod death;
mod handing_over;
mod port;
mod session;
mod unreachable;

use serde_json::Value;

use crate::{
    harness::{Setup, TestApp, postgres, redis_url},
    oracle,
};
pub use session::Session;

/// A credential that every replica accepts.
const KEY: &str = "static-key-of-replicas-under-test";

/// Replicas to be, which reach each other.
fn setup() -> Setup {
    reachable(Setup::new())
}

fn reachable(setup: Setup) -> Setup {
    setup.deepgram(oracle::numbered()).with("API_KEY", KEY).with("REPLICA_ADDRESS", "127.0.0.1")
}

/// Two replicas, the first with other variables than the second.
async fn pair(variables: &[(&str, &str)]) -> [TestApp; 2] {
    let database = postgres().create_database().expect("a database");
    let prefix = format!("it-{}", uuid::Uuid::new_v4().simple());
    let start = async |variables: &[(&str, &str)]| {
        let setup = reachable(Setup::on(&database, &redis_url())).with("REDIS_PREFIX", &prefix);
        let with = |setup: Setup, (name, value): &(&str, &str)| setup.with(name, *value);
        variables.iter().fold(setup, with).start().await
    };
    [start(variables).await, start(&[]).await]
}

/// What Engine.IO's clients are told when they have to open a new session.
fn assert_unknown((status, body): &(u16, String)) {
    let told: Value = serde_json::from_str(body).unwrap_or_default();
    assert_eq!((*status, &told["message"]), (400, &"Session ID unknown".into()), "{body}");
}

/// How many requests went from one replica to another, with that outcome.
fn relayed(app: &TestApp, outcome: &str) -> i64 {
    app.metric("relayed_requests_total", &[&format!("outcome=\"{outcome}\"")])
}
