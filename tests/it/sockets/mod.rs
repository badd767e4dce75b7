//! Sockets and what they were opened with: until it ends, when it is taken back, and once only.

mod expiry;
mod line;
mod origins;
mod renewal;
mod revocation;
mod sessions;
mod ticket_forgery;
mod tickets;
mod upgraded;
mod way;

use serde_json::Value;
use testkit::{auth0::Auth0, speech::sha256_hex};

use crate::{
    harness::{Setup, TestApp},
    oracle,
};
use line::{Door, End, Line, now_ms};

const AUDIENCE: &str = "https://api.transcripts.io";
const USER_KEY: &str = "usr_7_c29ja2V0cy1mb3ItdGVzdHMtMzItYnl0ZXMtb2YtYg";

/// A service to be, whose Deepgram speaks numbers and whose tokens come from a fake tenant.
async fn setup() -> (Setup, Auth0) {
    let tenant = Auth0::start().await.expect("a tenant");
    (with_tenant(Setup::new(), &tenant), tenant)
}

fn with_tenant(setup: Setup, tenant: &Auth0) -> Setup {
    setup
        .deepgram(oracle::numbered())
        // One user stands at both doors at once.
        .with("LIMIT_LIVE_SESSIONS", "10")
        .with("AUTH0_ISSUER_URL", tenant.issuer())
        .with("AUTH0_DOMAIN", "transcripts.eu.auth0.com")
        .with("AUTH0_AUDIENCE", AUDIENCE)
}

/// A token of that user and the moment of its end in milliseconds, so many seconds from now.
fn token(tenant: &Auth0, subject: &str, seconds: f64) -> (String, u64) {
    let end_ms = now_ms() + (seconds * 1000.0) as u64;
    let claims = tenant.claims(subject, AUDIENCE).with("exp", end_ms as f64 / 1000.0);
    (tenant.mint(&claims).expect("a token"), end_ms)
}

async fn execute(app: &TestApp, statement: &'static str) {
    sqlx::query(statement).execute(app.running.app.database.pool()).await.expect("it runs");
}

/// The user 7 with [`USER_KEY`], whose row is number 3.
async fn insert_key(app: &TestApp) {
    execute(app, "INSERT INTO users (id, email, plan) VALUES (7, 'ada@example.com', 'pro')").await;
    let insert = "INSERT INTO api_keys (id, user_id, name, key_hash, key_prefix) \
                  VALUES (3, 7, 'key', $1, 'usr_7_')";
    let insert = sqlx::query(insert).bind(sha256_hex(USER_KEY.as_bytes()));
    insert.execute(app.running.app.database.pool()).await.expect("a key");
}

/// Asks for a ticket with that bearer; the status and the body.
async fn ask_for_ticket(url: &str, token: &str) -> (u16, Value) {
    let request = reqwest::Client::new().post(format!("{url}/auth/stream-ticket"));
    let response = request.bearer_auth(token).send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

/// What the notice before the close said, and how the connection ended.
fn assert_closed(line: &Line, door: Door, code: u16, reason: &str) {
    let notices = line.named("closing");
    let [(notice, _)] = notices[..] else { panic!("one notice: {:?}", line.heard) };
    let told = (notice["code"].as_u64(), notice["reason"].as_str(), notice["reconnect"].as_bool());
    assert_eq!(told, (Some(code.into()), Some(reason), Some(code < 4500)));
    let (end, _) = line.end.as_ref().expect("an end");
    match door {
        Door::WebSocket => assert_eq!(end, &End::Closed(code)),
        // A cut makes stock clients come back; a disconnect keeps them away.
        Door::SocketIo if code < 4500 => assert!(matches!(end, End::Closed(_)), "{end:?}"),
        Door::SocketIo => assert_eq!(end, &End::Final),
    }
}
