//! Every kind of credential at both doors, and whose account each session lands on.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    auth0::{Algorithm, Auth0, Claims},
    deepgram::{self, Script},
    raw_ws::Refused,
    socketio::{self, ConnectError},
    speech::sha256_hex,
};

use crate::harness::{Ledger, SOON, Setup, Speaker, TestApp, doors};

const AUDIENCE: &str = "https://api.transcripts.io";
const STATIC_KEY: &str = "legacy-static-key-of-the-operators";
const USER_KEY: &str = "usr_7_Zm9yLXRlc3RzLW9ubHktMzItYnl0ZXMtb2YtbG9uZw";

/// A service that trusts a fake tenant and one static key.
async fn start() -> (TestApp, Auth0) {
    let tenant = Auth0::start().await.expect("a tenant");
    let setup = Setup::new()
        .deepgram(deepgram::Config::speaking(Script::numbered_audio()))
        .with("AUTH0_ISSUER_URL", tenant.issuer())
        .with("AUTH0_DOMAIN", "transcripts.eu.auth0.com")
        .with("AUTH0_AUDIENCE", AUDIENCE)
        .with("API_KEY", STATIC_KEY);
    (setup.start().await, tenant)
}

async fn execute(app: &TestApp, statement: &'static str) {
    sqlx::query(statement).execute(app.running.app.database.pool()).await.expect("it runs");
}

/// A user with that key, as the original would have written them.
async fn insert_user(app: &TestApp) {
    execute(app, "INSERT INTO users (id, email, password_hash, plan, is_active) VALUES (7, 'ada@example.com', 'x', 'pro', true)").await;
    let statement = "INSERT INTO api_keys (user_id, name, key_hash, key_prefix, is_active) \
                     VALUES (7, 'Default API Key', $1, 'usr_7_', true)";
    let insert = sqlx::query(statement).bind(sha256_hex(USER_KEY.as_bytes()));
    insert.execute(app.running.app.database.pool()).await.expect("a key");
}

/// One session through each door; the two greetings.
async fn speak_at_both(app: &TestApp, token: &str) -> [Value; 2] {
    let (socket, raw) = doors::websocket(&app.url(), token).await.expect("the raw door admits");
    let mut speaker = Speaker::new(socket, 1);
    speaker.say(10).await;
    speaker.finish().await;
    speaker.assert_whole();
    let (mut client, namespace) =
        doors::socketio(&app.url(), token).await.expect("the namespace admits");
    client.emit_binary("audio_chunk", &[&vec![0; 32_000]]).await.expect("sent");
    client.emit("stop_streaming", &[]).await.expect("sent");
    client.receive_event("streaming_stopped", SOON).await.expect("stopped");
    [raw, namespace]
}

/// Waits until exactly these rows of `users` pay, each for two sessions of a second.
async fn assert_payers(app: &TestApp, payers: &[i32]) {
    let query = "SELECT user_id, sum(range_end_ms - range_start_ms)::bigint \
                 FROM usage_logs GROUP BY user_id ORDER BY user_id";
    let expected: Vec<_> = payers.iter().map(|user_id| (*user_id, 2_000_i64)).collect();
    let billed = async || {
        let rows: Result<Vec<(i32, i64)>, _> = Ledger(&app.database_url).rows(query).await;
        rows.is_ok_and(|rows| rows == expected)
    };
    let waited = testkit::wait_until("the right accounts to be billed", SOON, billed).await;
    let rows: Result<Vec<(i32, i64)>, _> = Ledger(&app.database_url).rows(query).await;
    waited.unwrap_or_else(|error| panic!("{error}: {rows:?}, not {expected:?}"));
}

/// Waits for the one user that fits; their id.
async fn one_user(app: &TestApp, query: &'static str) -> i32 {
    let users = async || {
        let rows: Result<Vec<(i32,)>, _> = Ledger(&app.database_url).rows(query).await;
        rows.expect("users")
    };
    let there = async || users().await.len() == 1;
    testkit::wait_until("one row of users", SOON, there).await.expect("a row");
    users().await[0].0
}

fn assert_greeted(greetings: &[Value; 2], user_id: &str, auth_type: &str) {
    for greeting in greetings {
        let who = (&greeting["user_id"], &greeting["auth_type"]);
        assert_eq!(who, (&json!(user_id), &json!(auth_type)), "{greeting}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_the_tenant_gets_a_row_on_first_sight() {
    let (app, tenant) = start().await;
    let claims = tenant.claims("auth0|ada", AUDIENCE).with("email", "ada@example.com");
    let claims = claims.with("email_verified", true);
    let token = tenant.mint(&claims).expect("a token");
    assert_greeted(&speak_at_both(&app, &token).await, "auth0|ada", "auth0");
    let row = "SELECT id FROM users WHERE auth0_sub = 'auth0|ada' AND email = 'ada@example.com'";
    let id = one_user(&app, row).await;
    assert_payers(&app, &[id]).await;
    assert_eq!(tenant.jwks_fetches(), 1, "the key set is fetched once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_a_user_bills_the_user() {
    let (app, _tenant) = start().await;
    insert_user(&app).await;
    assert_greeted(&speak_at_both(&app, USER_KEY).await, "7", "api_key");
    assert_payers(&app, &[7]).await;
    let used = "SELECT count(*) FROM api_keys WHERE usage_count = 2 AND last_used IS NOT NULL";
    let counted = async || app.sql::<i64>(used).await == 1;
    testkit::wait_until("both uses to be counted", SOON, counted).await.expect("counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_static_key_is_the_system_user() {
    let (app, _tenant) = start().await;
    assert_greeted(&speak_at_both(&app, STATIC_KEY).await, "0", "api_key");
    assert_payers(&app, &[0]).await;
    let email: String = app.sql("SELECT email FROM users WHERE id = 0").await;
    assert_eq!(email, "system@legacy.com");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_development_token_has_a_row_too() {
    let (app, _tenant) = start().await;
    assert_greeted(&speak_at_both(&app, &app.token()).await, "dev-user", "development");
    let id = one_user(&app, "SELECT id FROM users WHERE auth0_sub LIKE 'development|%'").await;
    assert_payers(&app, &[id]).await;
}

/// A refusal at the raw door: its status and the text of its body.
async fn refused_raw(app: &TestApp, token: &str) -> (u16, String) {
    let error = doors::websocket(&app.url(), token).await.expect_err("refused");
    let refused = error.downcast_ref::<Refused>().expect("an answer");
    let body: Value = serde_json::from_str(&refused.body).expect("JSON");
    assert!(token.is_empty() || !refused.body.contains(token), "{refused}");
    (refused.status, body["error"].as_str().expect("a text").to_owned())
}

async fn assert_rejected(app: &TestApp, token: &str) {
    let error = doors::socketio(&app.url(), token).await.expect_err("rejected");
    let ConnectError(answer) = error.downcast_ref().expect("a connect_error");
    assert_eq!(answer, &json!({ "message": "Connection rejected by server" }));
}

/// Tokens that are wrong in one way each, and what the contract says of them.
fn wrong_tokens(tenant: &Auth0) -> Vec<(Claims, &'static str)> {
    let good = || tenant.claims("auth0|eve", AUDIENCE);
    vec![
        (good().issued_by("https://evil.example/"), "Invalid issuer"),
        (good().issued_by(tenant.issuer().trim_end_matches('/')), "Invalid issuer"),
        (good().with("aud", "https://other.example"), "Invalid audience"),
        (good().with_audiences(&["a", "b"]), "Invalid audience"),
        (good().expired_for(Duration::from_secs(1)), "Token has expired"),
        (good().without("exp"), "Invalid token: Token is missing the \"exp\" claim"),
        (good().without("sub"), "Invalid token: Token is missing the \"sub\" claim"),
        (good().forged().with_kid(Some(&tenant.current_kid())), "Invalid signature"),
        (good().forged(), "Token verification failed"),
        (
            good().signed_with(Algorithm::None),
            "Invalid token: The specified alg value is not allowed",
        ),
        (
            good().signed_with(Algorithm::Hs256WithPublicKey),
            "Invalid token: The specified alg value is not allowed",
        ),
        (good().with_kid(Some("unknown")), "Token verification failed"),
        (good().with_kid(None), "Token verification failed"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_is_refused_at_both_doors_with_the_contracts_text() {
    let (app, tenant) = start().await;
    for (claims, text) in wrong_tokens(&tenant) {
        let token = tenant.mint(&claims).expect("a token");
        assert_eq!(refused_raw(&app, &token).await, (401, text.to_owned()), "{claims:?}");
        assert_rejected(&app, &token).await;
    }
    // Several audiences, one of them ours, as when `openid` is asked for.
    let several = tenant.claims("auth0|ada", AUDIENCE).with_audiences(&[AUDIENCE, "userinfo"]);
    let token = tenant.mint(&several).expect("a token");
    doors::websocket(&app.url(), &token).await.expect("admitted");
    assert!(app.deepgram().requests().is_empty(), "no stream was opened for strangers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_is_refused_at_both_doors() {
    let (app, _tenant) = start().await;
    insert_user(&app).await;
    let no_token = "No authentication token provided";
    for (key, text) in [
        ("usr_7_wrong", "Invalid API key"),
        ("not-a-token", "Invalid token: Not enough segments"),
        ("legacy-static-key", "Invalid token: Not enough segments"),
        ("dev_forged", "Invalid token: Not enough segments"),
        ("a.b", "Invalid token: Not enough segments"),
        ("", no_token),
    ] {
        assert_eq!(refused_raw(&app, key).await, (401, text.to_owned()), "{key}");
        assert_rejected(&app, key).await;
    }
    // An address is kept in logs and histories: a token in it counts for nothing.
    let url = format!("{}/audio-stream?token={STATIC_KEY}", app.url());
    let error = testkit::raw_ws::RawSocket::connect(&url, &[]).await.expect_err("refused");
    assert_eq!(error.downcast_ref::<Refused>().expect("an answer").status, 401);
    for statement in [
        "UPDATE api_keys SET is_active = false",
        "UPDATE api_keys SET is_active = true, expires_at = timezone('utc', now()) - interval '1 s'",
        "UPDATE api_keys SET expires_at = NULL",
        "UPDATE users SET is_active = false WHERE id = 7",
    ] {
        execute(&app, statement).await;
        if statement.ends_with("NULL") {
            continue;
        }
        let told = refused_raw(&app, USER_KEY).await;
        assert_eq!(told, (401, "Invalid API key".to_owned()), "{statement}");
    }
}

/// The header of the handshake counts as the payload's token does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_carry_credentials_too() {
    let (app, _tenant) = start().await;
    for (name, value) in
        [("authorization", format!("Bearer {STATIC_KEY}")), ("x-api-key", STATIC_KEY.to_owned())]
    {
        let url = format!("{}/audio-stream", app.url());
        let headers = [(name, value.as_str())];
        testkit::raw_ws::RawSocket::connect(&url, &headers).await.expect("the raw door admits");
        let options = socketio::Options {
            namespace: "/audio-stream".into(),
            headers: vec![(name.to_owned(), value)],
            ..Default::default()
        };
        socketio::Client::connect(&app.url(), options).await.expect("the namespace admits");
    }
}

/// A query that cannot work says nothing of the credential.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_ours_is_no_refusal() {
    let (app, _tenant) = start().await;
    execute(&app, "ALTER TABLE api_keys RENAME TO gone").await;
    let told = (500, "internal error".to_owned());
    assert_eq!(refused_raw(&app, USER_KEY).await, told);
    assert_rejected(&app, USER_KEY).await;
    assert_eq!(app.metric("sockets_refused_total", &["reason=\"internal\""]), 2);
    let request = reqwest::Client::new().get(format!("{}/auth/profile", app.url()));
    let response = request.bearer_auth(USER_KEY).send().await.expect("an answer");
    assert_eq!(response.status(), 500);
    assert_eq!(response.json::<Value>().await.expect("JSON")["code"], "internal");
}
