//! Accounts of the tenant: their rows, how long they are remembered, and who is refused.

use std::time::Duration;

use serde_json::json;
use sqlx::Executor;

use super::{
    authenticator, nowhere,
    tenant::{Tenant, header, key},
};
use crate::{
    auth::{Authenticator, Owner, Principal, Revoked},
    model::{Error, ErrorKind, Plan},
    postgres::{Database, private},
};

async fn start() -> (Tenant, Database, Authenticator) {
    let (tenant, database) = (Tenant::start().await, private::database().await);
    let authenticator = authenticator(&tenant, database.clone());
    (tenant, database, authenticator)
}

async fn seen(tenant: &Tenant, authenticator: &Authenticator) -> (Principal, i32) {
    let principal = authenticator.authenticate(&tenant.token()).await.unwrap();
    let Owner::User(id) = principal.owner else { panic!("{principal:?}") };
    (principal, id)
}

fn told(error: &Error) -> (ErrorKind, &str) {
    (error.kind, &error.detail)
}

const DEACTIVATED: (ErrorKind, &str) = (ErrorKind::Unauthenticated, "Account deactivated");

#[tokio::test]
async fn a_plan_is_its_rows_and_a_revocation_has_it_looked_up_again() {
    let (tenant, database, authenticator) = start().await;
    let (principal, id) = seen(&tenant, &authenticator).await;
    assert_eq!((principal.plan, principal.subject.as_str()), (Plan::Free, "auth0|123"));
    database.pool().execute("UPDATE users SET plan = 'pro'").await.unwrap();
    assert_eq!(seen(&tenant, &authenticator).await.0.plan, Plan::Free, "for a minute");
    authenticator.revoke(&Revoked::User(id + 1)).await;
    assert_eq!(seen(&tenant, &authenticator).await.0.plan, Plan::Free, "somebody else");
    for revoked in [Revoked::User(id), Revoked::Unknown] {
        authenticator.revoke(&revoked).await;
        assert_eq!(seen(&tenant, &authenticator).await.0.plan, Plan::Pro, "{revoked:?}");
    }
}

#[tokio::test]
async fn a_deactivated_account_is_refused() {
    let (tenant, database, authenticator) = start().await;
    let (principal, id) = seen(&tenant, &authenticator).await;
    authenticator.recheck(&principal).await.unwrap();
    database.pool().execute("UPDATE users SET is_active = false WHERE id > 0").await.unwrap();
    authenticator.revoke(&Revoked::User(id)).await;
    assert_eq!(told(&authenticator.recheck(&principal).await.unwrap_err()), DEACTIVATED);
    let refused = authenticator.authenticate(&tenant.token()).await.unwrap_err();
    assert_eq!(told(&refused), DEACTIVATED);
    database.pool().execute("DELETE FROM users WHERE id > 0").await.unwrap();
    authenticator.revoke(&Revoked::User(id)).await;
    assert_eq!(told(&authenticator.recheck(&principal).await.unwrap_err()), DEACTIVATED);
}

/// Nothing was announced: a look goes to the database whatever is remembered.
#[tokio::test]
async fn a_look_at_a_running_socket_does_not_trust_what_is_remembered() {
    let (tenant, database, authenticator) = start().await;
    let (principal, _) = seen(&tenant, &authenticator).await;
    database.pool().execute("UPDATE users SET is_active = false WHERE id > 0").await.unwrap();
    assert_eq!(told(&authenticator.recheck(&principal).await.unwrap_err()), DEACTIVATED);
    let refused = authenticator.authenticate(&tenant.token()).await.unwrap_err();
    assert_eq!(told(&refused), DEACTIVATED, "the look is remembered");
}

/// Somebody who came while Postgres was away is known by nothing but their subject.
#[tokio::test]
async fn whose_row_was_not_seen_is_looked_up_by_subject() {
    let (tenant, database, authenticator) = start().await;
    let owner = Owner::Auth0 { sub: "auth0|123".to_owned(), email: None };
    let (principal, _) = seen(&tenant, &authenticator).await;
    let unseen = Principal { owner, ..principal };
    authenticator.recheck(&unseen).await.unwrap();
    database.pool().execute("UPDATE users SET is_active = false WHERE id > 0").await.unwrap();
    assert_eq!(told(&authenticator.recheck(&unseen).await.unwrap_err()), DEACTIVATED);
    database.pool().execute("DELETE FROM users WHERE id > 0").await.unwrap();
    authenticator.recheck(&unseen).await.unwrap();
}

/// The answer to a look that began before the account was disabled comes after the announcement.
#[tokio::test]
async fn an_answer_that_is_older_than_a_revocation_is_not_remembered() {
    let (tenant, database, authenticator) = start().await;
    let (_, id) = seen(&tenant, &authenticator).await;
    // Whoever reads the rows has taken a snapshot by the time they wait here.
    let slow = "ALTER TABLE users RENAME TO people; CREATE VIEW users AS SELECT * FROM people \
                WHERE (SELECT true FROM pg_advisory_xact_lock_shared(7))";
    database.pool().execute(slow).await.unwrap();
    let mut gate = database.pool().acquire().await.unwrap();
    gate.execute("SELECT pg_advisory_lock(7)").await.unwrap();
    authenticator.revoke(&Revoked::User(id)).await;
    let token = tenant.token();
    let late = async { authenticator.authenticate(&token).await.unwrap() };
    let disabled = async {
        let query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let waits = async || {
            sqlx::query_scalar::<_, i64>(query).fetch_one(database.pool()).await.unwrap() == 1
        };
        testkit::wait_until("a reader", Duration::from_secs(2), waits).await.unwrap();
        gate.execute("UPDATE people SET is_active = false WHERE id > 0").await.unwrap();
        authenticator.revoke(&Revoked::User(id)).await;
        gate.execute("SELECT pg_advisory_unlock(7)").await.unwrap();
    };
    let (before, ()) = tokio::join!(late, disabled);
    assert_eq!(before.owner, Owner::User(id), "as it was when it was looked at");
    let refused = authenticator.authenticate(&tenant.token()).await.unwrap_err();
    assert_eq!(told(&refused), DEACTIVATED);
}

#[tokio::test]
async fn without_postgres_an_account_is_what_it_was() {
    let (tenant, database, authenticator) = start().await;
    database.pool().execute("ALTER TABLE users ALTER plan SET DEFAULT 'pro'").await.unwrap();
    let (principal, id) = seen(&tenant, &authenticator).await;
    authenticator.revoke(&Revoked::Unknown).await;
    database.close().await;
    let (still, same) = seen(&tenant, &authenticator).await;
    assert_eq!((still.plan, same), (Plan::Pro, id));
    let unclear = authenticator.recheck(&principal).await.unwrap_err();
    assert_eq!(unclear.kind, ErrorKind::DatabaseUnavailable);
    let mut claims = tenant.claims();
    claims["sub"] = json!("auth0|new");
    let stranger = authenticator.authenticate(&key().sign(&header(), &claims)).await.unwrap();
    let email = Some("ada@example.test".to_owned());
    assert_eq!(stranger.owner, Owner::Auth0 { sub: "auth0|new".to_owned(), email });
    let unclear = authenticator.recheck(&stranger).await.unwrap_err();
    assert_eq!(unclear.kind, ErrorKind::DatabaseUnavailable, "the row may be there");
}

/// Whoever comes while Postgres is known to be away does not wait for it.
#[tokio::test]
async fn only_some_callers_wait_for_a_database_that_is_away() {
    let tenant = Tenant::start().await;
    let authenticator = authenticator(&tenant, nowhere());
    authenticator.authenticate(&tenant.token()).await.unwrap();
    let asked = std::time::Instant::now();
    for _ in 0..20 {
        authenticator.authenticate(&tenant.token()).await.unwrap();
    }
    assert!(asked.elapsed().as_secs() < 2, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn an_address_is_kept_only_if_it_is_verified() {
    for (verified, kept) in [(json!(true), true), (json!(false), false), (json!("true"), false)] {
        let (tenant, database, authenticator) = start().await;
        let mut claims = tenant.claims();
        claims["email_verified"] = verified.clone();
        authenticator.authenticate(&key().sign(&header(), &claims)).await.unwrap();
        let query = "SELECT count(*) FROM users WHERE email = 'ada@example.test'
                     AND email_verified AND auth0_sub = 'auth0|123'";
        let rows: i64 = sqlx::query_scalar(query).fetch_one(database.pool()).await.unwrap();
        assert_eq!(rows == 1, kept, "{verified}");
    }
}
