//! Rows of the tenant's users: made on first sight, once, and asked whether they may still act.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use testkit::{auth0::Auth0, process::Redis};

use crate::{
    harness::{Ledger, SOON, Setup, TestApp, doors, postgres},
    tenant_routes::{AUDIENCE, trusting, with},
};

/// Two replicas on a Redis of their own.
async fn start() -> (Vec<TestApp>, Auth0, Redis) {
    let tenant = Auth0::start().await.expect("a tenant");
    let redis = Redis::start().expect("a redis");
    let database = postgres().create_database().expect("a database");
    let setup = trusting(Setup::on(&database, &redis.url()), &tenant);
    (setup.with("REDIS_PREFIX", "accounts").start_many(2).await, tenant, redis)
}

type Row = (String, Option<String>, String);

/// Accounts of the tenant, by their subjects.
async fn rows(app: &TestApp) -> Vec<Row> {
    let query = "SELECT auth0_sub, email, plan FROM users WHERE auth0_sub IS NOT NULL ORDER BY 1";
    Ledger(&app.database_url).rows(query).await.expect("rows")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_first_requests_at_two_replicas_make_one_row() {
    let (apps, tenant, _redis) = start().await;
    let claims = tenant.claims("auth0|ada", AUDIENCE).with("email_verified", true);
    let claims = claims.with("email", "ada@example.com");
    let token = tenant.mint(&claims).expect("a token");
    let asked = (0..50).map(|at| with(&apps[at % 2], "/api/me", &token));
    assert!(join_all(asked).await.iter().all(|(status, _)| *status == 200));
    let email = Some("ada@example.com".to_owned());
    assert_eq!(rows(&apps[0]).await, [("auth0|ada".to_owned(), email, "free".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_proves_nothing() {
    let (apps, tenant, _redis) = start().await;
    let local = "INSERT INTO users (id, email, password_hash, plan) \
                 VALUES (7, 'ada@example.com', 'x', 'enterprise')";
    sqlx::query(local).execute(apps[0].running.app.database.pool()).await.expect("a user");
    let address =
        |subject: &str, email: &str| tenant.claims(subject, AUDIENCE).with("email", json!(email));
    for claims in [
        address("auth0|joined", "ada@example.com").with("email_verified", true),
        address("auth0|unsaid", "unsaid@example.com"),
        address("auth0|unverified", "no@example.com").with("email_verified", false),
        tenant.claims("client-1@clients", AUDIENCE).with("gty", "client-credentials"),
    ] {
        let token = tenant.mint(&claims).expect("a token");
        assert_eq!(with(&apps[0], "/api/me", &token).await.0, 200);
    }
    let subjects = ["auth0|joined", "auth0|unsaid", "auth0|unverified", "client-1@clients"];
    let expected = subjects.map(|subject| (subject.to_owned(), None, "free".to_owned()));
    assert_eq!(rows(&apps[0]).await, expected);
    let kept: String =
        apps[0].sql("SELECT plan FROM users WHERE auth0_sub IS NULL AND id = 7").await;
    assert_eq!(kept, "enterprise");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_user_is_refused_everywhere() {
    let (apps, tenant, redis) = start().await;
    let token = tenant.token("auth0|eve", AUDIENCE).expect("a token");
    for app in &apps {
        assert_eq!(with(app, "/api/me", &token).await.0, 200);
    }
    let disable = "UPDATE users SET is_active = false WHERE auth0_sub = 'auth0|eve' RETURNING id";
    let id: i32 = apps[0].sql(disable).await;
    redis
        .command(&["PUBLISH", "accounts:revocations", &format!(r#"{{"user":{id}}}"#)])
        .expect("told");
    for app in &apps {
        let refused = async || with(app, "/api/me", &token).await.0 == 401;
        testkit::wait_until("a refusal", SOON, refused).await.expect("refused");
        let (_, body) = with(app, "/api/me", &token).await;
        let told = (&body["error"], &body["message"]);
        assert_eq!(told, (&json!("authentication_failed"), &json!("Account deactivated")));
        assert!(doors::websocket(&app.url(), &token).await.is_err());
        assert!(doors::socketio(&app.url(), &token).await.is_err());
    }
    let fresh =
        tenant.mint(&tenant.claims("auth0|eve", AUDIENCE).expiring_in(Duration::from_mins(9)));
    assert_eq!(with(&apps[1], "/api/me", &fresh.expect("a token")).await.0, 401);
}
