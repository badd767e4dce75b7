//! Logins over a real database: what is remembered, what rotates, and what ends.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::Executor;

use super::{forged_logins::SECRET, with};
use crate::{
    auth::{Authenticator, Owner, Refusal, Revoked, TokenKind, principal::AuthType},
    config::{AuthConfig, Environment},
    model::{Clock, ErrorKind, Plan},
    postgres::{Database, private},
};

/// A database with user 7.
async fn database() -> Database {
    let database = private::database().await;
    let user = "INSERT INTO users (id, email, plan) VALUES (7, 'ada@example.com', 'pro')";
    database.pool().execute(user).await.unwrap();
    database
}

fn config(current: &str, previous: Option<&str>) -> AuthConfig {
    let mut config = private::config().auth;
    config.jwt_secret_key = Some(current.into());
    config.jwt_secret_key_previous = previous.map(Into::into);
    config
}

/// Two replicas on one database that do not hear each other, for there is no Redis.
async fn replicas() -> (Database, [Authenticator; 2]) {
    let database = database().await;
    let replica = |()| with(&config(SECRET, None), Environment::Test, database.clone());
    let both = [(); 2].map(replica);
    (database, both)
}

fn payload(token: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

async fn told(authenticator: &Authenticator, token: &str) -> Result<(), String> {
    authenticator.authenticate(token).await.map(drop).map_err(|error| error.detail)
}

fn revoked() -> Result<(), String> {
    Err("Token has been revoked".to_owned())
}

#[tokio::test]
async fn tokens_say_what_the_original_said() {
    let (_database, [auth, _]) = replicas().await;
    let issued = auth.local().issue(7).unwrap();
    assert_eq!(issued.expires_in, 3600);
    let (access, refresh) = (payload(&issued.access_token), payload(&issued.refresh_token));
    for (claims, kind, life) in [(&access, "access", 3600), (&refresh, "refresh", 2_592_000)] {
        assert_eq!((&claims["type"], &claims["sub"]), (&json!(kind), &json!("7")));
        assert_eq!((&claims["fresh"], &claims["nbf"]), (&json!(false), &claims["iat"]));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), life);
        for id in ["jti", "csrf", "family"] {
            claims[id].as_str().unwrap().parse::<uuid::Uuid>().unwrap();
        }
    }
    assert_eq!(access["family"], refresh["family"]);
    assert_ne!(access["jti"], refresh["jti"]);
    let header = URL_SAFE_NO_PAD.decode(issued.access_token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header, json!({"alg": "HS256", "typ": "JWT"}));
}

#[tokio::test]
async fn an_access_token_is_its_user() {
    let (_database, [auth, _]) = replicas().await;
    let token = auth.local().issue(7).unwrap().access_token;
    let principal = auth.authenticate(&token).await.unwrap();
    assert_eq!((principal.subject.as_str(), principal.plan), ("7", Plan::Pro));
    assert_eq!((&principal.owner, principal.auth_type), (&Owner::User(7), AuthType::Local));
    let left = (principal.expires_at.unwrap() - Clock.now()).num_seconds();
    assert!((3590..=3600).contains(&left), "{left}");
    auth.recheck(&principal).await.unwrap();
    let nobody = auth.local().issue(8).unwrap().access_token;
    assert_eq!(told(&auth, &nobody).await, revoked());
}

#[tokio::test]
async fn a_secret_is_rotated_without_ending_logins_and_left_out_ends_them() {
    let database = database().await;
    let auth =
        |current, previous| with(&config(current, previous), Environment::Test, database.clone());
    let (old, rotated, new) = (auth("old", None), auth("new", Some("old")), auth("new", None));
    let issued = old.local().issue(7).unwrap();
    assert_eq!(told(&rotated, &issued.access_token).await, Ok(()));
    let alg = Err("Invalid token: The specified alg value is not allowed".to_owned());
    assert_eq!(told(&new, &issued.access_token).await, alg);
    let refused = new.local().refresh(&issued.refresh_token).await.unwrap_err();
    assert_eq!(refused.text(), "Signature verification failed");
    let renewed = rotated.local().refresh(&issued.refresh_token).await.unwrap();
    assert_eq!(told(&new, &renewed.access_token).await, Ok(()));
    assert_eq!(told(&old, &renewed.access_token).await, alg);
}

#[tokio::test]
async fn a_login_that_was_seen_needs_no_database() {
    let (database, [auth, _]) = replicas().await;
    let [seen, unseen] = [(); 2].map(|()| auth.local().issue(7).unwrap());
    let principal = auth.authenticate(&seen.access_token).await.unwrap();
    database.close().await;
    auth.authenticate(&seen.access_token).await.unwrap();
    let away = ErrorKind::DatabaseUnavailable;
    assert_eq!(auth.authenticate(&unseen.access_token).await.unwrap_err().kind, away);
    assert_eq!(auth.recheck(&principal).await.unwrap_err().kind, away);
    let refused = auth.local().refresh(&seen.refresh_token).await.unwrap_err();
    assert!(matches!(refused, Refusal::Unavailable(error) if error.kind == away));
    auth.authenticate(&seen.access_token).await.unwrap();
}

/// Every announcement that could be about a login makes the next look a real one.
#[tokio::test]
async fn what_is_announced_is_looked_up_again() {
    let (database, [auth, _]) = replicas().await;
    let login = auth.local().issue(7).unwrap();
    let claims = payload(&login.access_token);
    let text = |name: &str| claims[name].as_str().unwrap().to_owned();
    database.pool().execute("UPDATE users SET is_active = true").await.unwrap();
    for (announced, looks) in [
        (Revoked::User(8), false),
        (Revoked::Key(7), false),
        (Revoked::Token("another".to_owned()), false),
        (Revoked::Session(text("jti")), false),
        (Revoked::User(7), true),
        (Revoked::Token(text("jti")), true),
        (Revoked::Token(text("family")), true),
        (Revoked::Unknown, true),
    ] {
        database.pool().execute("UPDATE users SET is_active = true").await.unwrap();
        assert_eq!(told(&auth, &login.access_token).await, Ok(()));
        database.pool().execute("UPDATE users SET is_active = false").await.unwrap();
        auth.revoke(&announced).await;
        let expected = if looks { revoked() } else { Ok(()) };
        assert_eq!(told(&auth, &login.access_token).await, expected, "{announced:?}");
    }
}

#[tokio::test]
async fn a_recheck_asks_the_database_and_is_remembered() {
    let (database, [auth, _]) = replicas().await;
    let token = auth.local().issue(7).unwrap().access_token;
    let principal = auth.authenticate(&token).await.unwrap();
    database.pool().execute("UPDATE users SET is_active = false").await.unwrap();
    assert_eq!(told(&auth, &token).await, Ok(()), "remembered");
    let refused = auth.recheck(&principal).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unauthenticated);
    assert_eq!(told(&auth, &token).await, revoked());
}

#[tokio::test]
async fn a_refresh_token_that_comes_again_ends_the_login_and_no_other() {
    let (_database, [one, two]) = replicas().await;
    let [login, other] = [(); 2].map(|()| one.local().issue(7).unwrap());
    let second = two.local().refresh(&login.refresh_token).await.unwrap();
    assert_eq!(told(&two, &second.access_token).await, Ok(()));
    assert_eq!(payload(&second.access_token)["family"], payload(&login.access_token)["family"]);
    let reused = two.local().refresh(&login.refresh_token).await.unwrap_err();
    assert_eq!(reused.text(), "Token has been revoked");
    for auth in [&one, &two] {
        assert_eq!(told(auth, &login.access_token).await, revoked());
        assert_eq!(told(auth, &second.access_token).await, revoked());
        assert!(auth.local().refresh(&second.refresh_token).await.is_err());
        assert_eq!(told(auth, &other.access_token).await, Ok(()));
    }
    assert!(one.local().refresh(&other.refresh_token).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_refresh_at_once_one_wins() {
    let (_database, [one, two]) = replicas().await;
    let login = one.local().issue(7).unwrap();
    let tries = (0..8).map(|n| [&one, &two][n % 2].local().refresh(&login.refresh_token));
    let won = join_all(tries).await.into_iter().flatten().count();
    assert_eq!(won, 1);
}

/// Who logs out has no descendants; who held the token before a refresh has.
#[tokio::test]
async fn logging_out_ends_one_token() {
    let (_database, [auth, _]) = replicas().await;
    let login = auth.local().issue(7).unwrap();
    assert_eq!(auth.local().log_out(&login.refresh_token).await.unwrap(), TokenKind::Refresh);
    for _ in 0..2 {
        let again = auth.local().refresh(&login.refresh_token).await.unwrap_err();
        assert!(matches!(again, Refusal::Revoked));
        let again = auth.local().log_out(&login.refresh_token).await.unwrap_err();
        assert!(matches!(again, Refusal::Revoked));
    }
    assert_eq!(told(&auth, &login.access_token).await, Ok(()));
    assert_eq!(auth.local().log_out(&login.access_token).await.unwrap(), TokenKind::Access);
    assert_eq!(told(&auth, &login.access_token).await, revoked());

    let login = auth.local().issue(7).unwrap();
    let second = auth.local().refresh(&login.refresh_token).await.unwrap();
    assert!(auth.local().log_out(&login.refresh_token).await.is_err());
    assert_eq!(told(&auth, &second.access_token).await, revoked());
}

#[tokio::test]
async fn only_a_refresh_token_refreshes_and_only_for_an_active_user() {
    let (database, [auth, _]) = replicas().await;
    let login = auth.local().issue(7).unwrap();
    let refused = auth.local().refresh(&login.access_token).await.unwrap_err();
    assert_eq!(refused.text(), "Only refresh tokens are allowed");
    database.pool().execute("UPDATE users SET is_active = false").await.unwrap();
    let refused = auth.local().refresh(&login.refresh_token).await.unwrap_err();
    assert!(matches!(refused, Refusal::Revoked));
    database.pool().execute("UPDATE users SET is_active = true").await.unwrap();
    assert!(auth.local().refresh(&login.refresh_token).await.is_ok(), "nothing was used up");
}
