//! `/api/*` as the contract has it: bodies, and every text of a refusal.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};
use testkit::{
    auth0::{Algorithm, Auth0},
    process::Postgres,
};

use crate::harness::{Setup, TestApp};

pub const AUDIENCE: &str = "https://api.transcripts.io";
const PATHS: [&str; 3] = ["/api/me", "/api/userinfo", "/api/protected/test"];

/// A service that trusts a tenant.
pub fn trusting(setup: Setup, tenant: &Auth0) -> Setup {
    setup
        .with("AUTH0_ISSUER_URL", tenant.issuer())
        .with("AUTH0_DOMAIN", "transcripts.eu.auth0.com")
        .with("AUTH0_AUDIENCE", AUDIENCE)
        .with("EDGE_RATE", "1000000")
        .with("EDGE_BURST", "1000000")
        .with("LIMIT_REQUESTS", "unlimited")
}

async fn start() -> (TestApp, Auth0) {
    let tenant = Auth0::start().await.expect("a tenant");
    (trusting(Setup::new(), &tenant).start().await, tenant)
}

/// Asks with that `Authorization` header, or without.
pub async fn ask(app: &TestApp, path: &str, authorization: Option<&str>) -> Response {
    let mut request = reqwest::Client::new().get(format!("{}{path}", app.url()));
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    request.send().await.expect("an answer")
}

/// Asks with that token; status and body.
pub async fn with(app: &TestApp, path: &str, token: &str) -> (u16, Value) {
    let response = ask(app, path, Some(&format!("Bearer {token}"))).await;
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_the_contracts() {
    let (app, tenant) = start().await;
    let claims = tenant.claims("auth0|ada", AUDIENCE).with("https://a.test/roles", json!(["x"]));
    let token = tenant.mint(&claims).expect("a token");
    let (status, me) = with(&app, "/api/me", &token).await;
    assert_eq!(
        (status, &me["user_id"], &me["user"]["sub"]),
        (200, &json!("auth0|ada"), &json!("auth0|ada"))
    );
    assert_eq!(me["user"]["https://a.test/roles"], json!(["x"]));
    assert_eq!(me["user"]["aud"], json!(AUDIENCE));
    assert_eq!(me.as_object().expect("an object").len(), 2);
    let expected = json!({
        "message": "Authentication successful", "user_id": "auth0|ada", "authenticated": true,
    });
    assert_eq!(with(&app, "/api/protected/test", &token).await, (200, expected));
    let profile = json!({ "sub": "auth0|ada", "name": "Ada", "email_verified": false, "x": 1.5 });
    tenant.set_profile("auth0|ada", profile.clone());
    assert_eq!(with(&app, "/api/userinfo", &token).await, (200, profile));
    for scheme in ["bearer", "BEARER", "Bearer  "] {
        let response = ask(&app, "/api/me", Some(&format!("{scheme} {token}"))).await;
        assert_eq!(response.status(), 200, "{scheme}");
    }
}

/// What each wrong header is answered with.
fn refusals(tenant: &Auth0) -> Vec<(String, &'static str)> {
    let good = || tenant.claims("auth0|eve", AUDIENCE);
    let bearer = |claims| format!("Bearer {}", tenant.mint(&claims).expect("a token"));
    let algorithm = "Invalid token: The specified alg value is not allowed";
    vec![
        ("Basic YTpi".to_owned(), "Authorization header must start with Bearer"),
        ("Bearer".to_owned(), "Token not found"),
        ("Bearer a b".to_owned(), "Authorization header must be Bearer token"),
        ("Bearer garbage".to_owned(), "Invalid token: Not enough segments"),
        (bearer(good().expired_for(Duration::from_secs(1))), "Token has expired"),
        (bearer(good().with("aud", "https://other.test")), "Invalid audience"),
        (bearer(good().issued_by("https://evil.test/")), "Invalid issuer"),
        (bearer(good().forged().with_kid(Some(&tenant.current_kid()))), "Invalid signature"),
        (bearer(good().signed_with(Algorithm::None)), algorithm),
        (bearer(good().signed_with(Algorithm::Hs256WithPublicKey)), algorithm),
        (bearer(good().without("aud")), "Invalid token: Token is missing the \"aud\" claim"),
        (
            bearer(good().with("nbf", 4_000_000_000_u64)),
            "Invalid token: The token is not yet valid (nbf)",
        ),
        (
            bearer(good().with("iat", 4_000_000_000_u64)),
            "Invalid token: The token is not yet valid (iat)",
        ),
        (bearer(good().with("sub", 7)), "Invalid token: Subject must be a string"),
        (bearer(good().with_kid(None)), "Token verification failed"),
        (bearer(good().with_kid(Some("unknown"))), "Token verification failed"),
        (bearer(good().with_kid(Some("../keys\nINFO forged"))), "Token verification failed"),
        (bearer(good().with_kid(Some(&"k".repeat(256)))), "Token verification failed"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_has_the_contracts_text() {
    let (app, tenant) = start().await;
    for (header, text) in refusals(&tenant) {
        for path in PATHS {
            let response = ask(&app, path, Some(&header)).await;
            assert_eq!(response.status(), 401, "{text}");
            let challenge = response.headers()["www-authenticate"].to_str().expect("text");
            let with_token = header.starts_with("Bearer ");
            let expected = if with_token { ", error=\"invalid_token\"" } else { "" };
            assert_eq!(challenge, format!("Bearer realm=\"api\"{expected}"), "{text}");
            let body: Value = response.json().await.expect("JSON");
            assert_eq!(body["error"], "authentication_failed");
            assert_eq!(
                (&body["message"], &body["code"]),
                (&json!(text), &json!("unauthenticated"))
            );
            assert!(body["retryable"] == false && body["request_id"].is_string(), "{body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_header_is_a_refusal_of_its_own() {
    let (app, tenant) = start().await;
    // Keys open other doors.
    let key = reqwest::Client::new().get(format!("{}/api/me", app.url())).header("x-api-key", "k");
    for response in [ask(&app, "/api/me", None).await, key.send().await.expect("an answer")] {
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"api\"");
        let body: Value = response.json().await.expect("JSON");
        assert_eq!(body["error"], "Authorization header is required");
        assert_eq!(body["message"], "Please provide a valid Bearer token");
    }
    assert_eq!(with(&app, "/api/me", &app.token()).await.0, 401);
    assert_eq!(tenant.userinfo_fetches(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_variable_is_named() {
    let tenant = Auth0::start().await.expect("a tenant");
    let token = tenant.token("auth0|ada", AUDIENCE).expect("a token");
    let domain = Setup::new().with("AUTH0_AUDIENCE", AUDIENCE);
    let audience = Setup::new().with("AUTH0_DOMAIN", "transcripts.eu.auth0.com");
    for (setup, name) in [(domain, "AUTH0_DOMAIN"), (audience, "AUTH0_AUDIENCE")] {
        let app = setup.start().await;
        for path in PATHS {
            let (status, body) = with(&app, path, &token).await;
            assert_eq!((status, &body["error"]), (500, &json!("authentication_failed")), "{body}");
            assert_eq!(body["message"], format!("{name} environment variable not set"));
            assert_eq!(ask(&app, path, None).await.status(), 401, "the header comes first");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_not_needed() {
    let mut postgres = Postgres::start().expect("postgres");
    let url = postgres.create_database().expect("a database");
    let tenant = Auth0::start().await.expect("a tenant");
    let setup = trusting(Setup::on(&url, &crate::harness::redis_url()), &tenant);
    let app = setup.start().await;
    let seen = tenant.token("auth0|seen", AUDIENCE).expect("a token");
    assert_eq!(with(&app, "/api/me", &seen).await.0, 200);
    postgres.kill().expect("killed");
    for subject in ["auth0|seen", "auth0|new"] {
        let token = tenant.token(subject, AUDIENCE).expect("a token");
        for path in PATHS {
            assert_eq!(with(&app, path, &token).await.0, 200, "{subject} at {path}");
        }
        // Sockets open too.
        let door = crate::harness::doors::websocket(&app.url(), &token).await;
        assert_eq!(door.expect("admitted").1["user_id"], subject);
    }
}
