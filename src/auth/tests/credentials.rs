//! Keys of users, the static key, the development token, and the rows behind them.

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::Executor;

use super::{authenticator, nowhere, tenant::Tenant, with};
use crate::{
    auth::{AuthType, Authenticator, Owner, Users, digest},
    config::Environment,
    model::{Error, ErrorKind},
    postgres::{Database, private},
};

const KEY: &str = "usr_7_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

async fn with_key(expires: &str) -> (Database, Authenticator) {
    let database = private::database().await;
    let hash = digest::of(KEY);
    let rows = format!(
        "INSERT INTO users (id, email, plan) VALUES (7, 'k@example.com', 'pro');
         INSERT INTO api_keys (id, user_id, name, key_hash, key_prefix, expires_at)
         VALUES (3, 7, 'Default API Key', '{hash}', 'usr_7_', {expires})"
    );
    database.pool().execute(sqlx::AssertSqlSafe(rows)).await.unwrap();
    let mut config = private::config().auth;
    config.api_key = Some("static-key".into());
    let authenticator = with(&config, Environment::Test, database.clone());
    (database, authenticator)
}

fn told(error: &Error) -> (ErrorKind, &str) {
    (error.kind, &error.detail)
}

#[tokio::test]
async fn a_users_key_is_its_user_and_is_counted() {
    let (database, authenticator) = with_key("NULL").await;
    let principal = authenticator.authenticate(KEY).await.unwrap();
    assert_eq!((principal.subject.as_str(), principal.plan.as_str()), ("7", "pro"));
    assert_eq!((principal.owner, principal.auth_type), (Owner::User(7), AuthType::ApiKey));
    for _ in 0..4 {
        authenticator.authenticate(KEY).await.unwrap();
    }
    let counted = async {
        let query = "SELECT usage_count FROM api_keys WHERE id = 3 AND last_used IS NOT NULL";
        while sqlx::query_scalar(query).fetch_optional(database.pool()).await.unwrap() != Some(5) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), counted).await.unwrap();
}

#[tokio::test]
async fn keys_that_must_not_pass() {
    let invalid = (ErrorKind::Unauthenticated, "Invalid API key");
    let (_, wrong) = with_key("NULL").await;
    for key in ["usr_7_wrong", "usr_", &format!("usr_{}", "x".repeat(5000))] {
        assert_eq!(told(&wrong.authenticate(key).await.unwrap_err()), invalid);
    }
    let (_, expired) = with_key("timezone('utc', now()) - interval '1 second'").await;
    assert_eq!(told(&expired.authenticate(KEY).await.unwrap_err()), invalid);
    for change in ["UPDATE api_keys SET is_active = false", "UPDATE users SET is_active = false"] {
        let (database, revoked) = with_key("NULL").await;
        database.pool().execute(change).await.unwrap();
        assert_eq!(told(&revoked.authenticate(KEY).await.unwrap_err()), invalid);
    }
}

#[tokio::test]
async fn a_remembered_key_still_expires() {
    let (_database, authenticator) = with_key("timezone('utc', now()) + interval '1 second'").await;
    let principal = authenticator.authenticate(KEY).await.unwrap();
    assert!(principal.expires_at.is_some());
    let ended = async {
        while authenticator.authenticate(KEY).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), ended).await.unwrap();
}

#[tokio::test]
async fn a_remembered_key_needs_no_database() {
    let (database, authenticator) = with_key("NULL").await;
    authenticator.authenticate(KEY).await.unwrap();
    database.close().await;
    assert!(authenticator.authenticate(KEY).await.is_ok());
    let unknown = authenticator.authenticate("usr_8_unknown").await.unwrap_err();
    assert_eq!(told(&unknown), (ErrorKind::DatabaseUnavailable, "database unavailable"));
}

#[tokio::test]
async fn the_static_key_is_the_system_user() {
    let (_, authenticator) = with_key("NULL").await;
    let principal = authenticator.authenticate("static-key").await.unwrap();
    assert_eq!((principal.subject.as_str(), principal.plan.as_str()), ("0", "legacy"));
    assert_eq!(principal.auth_type, AuthType::Legacy);
    for near in ["static-ke", "static-key ", "Static-key", ""] {
        let error = authenticator.authenticate(near).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unauthenticated);
    }
}

#[tokio::test]
async fn a_development_token_exists_in_development_only() {
    let config = || private::config().auth;
    let development = with(&config(), Environment::Development, nowhere());
    let token = development.development_token().unwrap().to_owned();
    let principal = development.authenticate(&token).await.unwrap();
    assert_eq!((principal.subject.as_str(), principal.owner), ("dev-user", Owner::Development));
    assert!(!format!("{development:?}").contains(&token));
    for environment in [Environment::Test, Environment::Production] {
        let other = with(&config(), environment, nowhere());
        assert!(other.development_token().is_none());
        assert!(other.authenticate(&token).await.is_err());
    }
}

#[tokio::test]
async fn a_tenant_that_is_not_configured_is_named() {
    let tenant = Tenant::start().await;
    let mut config = tenant.config();
    config.auth0 = None;
    config.auth0_missing = Some("AUTH0_AUDIENCE");
    let authenticator = with(&config, Environment::Test, nowhere());
    let error = authenticator.authenticate(&tenant.token()).await.unwrap_err();
    let text = "AUTH0_AUDIENCE environment variable not set";
    assert_eq!(told(&error), (ErrorKind::Internal, text));
}

#[tokio::test]
async fn fifty_first_sights_make_one_row() {
    let database = private::database().await;
    let taken = "INSERT INTO users (email) VALUES ('taken@example.com')";
    database.pool().execute(taken).await.unwrap();
    for email in [None, Some("new@example.com"), Some("taken@example.com")] {
        let owner =
            Owner::Auth0 { sub: format!("auth0|{email:?}"), email: email.map(str::to_owned) };
        let sight = async || {
            let mut connection = database.pool().acquire().await.unwrap();
            Users::default().resolve(&mut connection, &owner).await.unwrap()
        };
        let ids = join_all((0..50).map(|_| sight())).await;
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        let kept: Option<String> = sqlx::query_scalar("SELECT email FROM users WHERE id = $1")
            .bind(ids[0])
            .fetch_one(database.pool())
            .await
            .unwrap();
        // An address that belongs to another account is not taken over.
        assert_eq!(kept.as_deref(), email.filter(|email| !email.starts_with("taken")));
    }
}

#[tokio::test]
async fn an_auth0_token_needs_no_database() {
    let tenant = Tenant::start().await;
    let authenticator = authenticator(&tenant, nowhere());
    assert!(authenticator.authenticate(&tenant.token()).await.is_ok());
}
