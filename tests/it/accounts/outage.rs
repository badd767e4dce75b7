//! Accounts while Postgres is away: who was seen goes on, everybody else is told to wait.

use serde_json::{Value, json};
use testkit::process::Postgres;

use super::{Answer, PASSWORD, call, login, profile, register, without_limits};
use crate::harness::{SOON, Setup, doors, redis_url};

fn assert_told_to_wait(answer: &Answer) {
    assert_eq!((answer.status, answer.text("code")), (503, "database_unavailable"), "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_was_seen_goes_on_and_others_are_told_to_wait() {
    let mut postgres = Postgres::start().expect("postgres");
    let url = postgres.create_database().expect("a database");
    let app = without_limits(Setup::on(&url, &redis_url())).start().await;
    let seen = register(&app, "ada@example.com").await;
    let unseen = login(&app, "ada@example.com", PASSWORD).await;
    assert_eq!(profile(&app, seen.text("access_token")).await, 200);
    postgres.kill().expect("killed");

    let (_socket, _) =
        doors::websocket(&app.url(), seen.text("access_token")).await.expect("remembered");
    let unknown = unseen.text("access_token");
    assert!(doors::websocket(&app.url(), unknown).await.is_err());
    let body = json!({ "email": "eve@example.com", "password": PASSWORD });
    for (route, token, body) in [
        ("GET /auth/profile", unknown, Value::Null),
        ("GET /auth/profile", seen.text("access_token"), Value::Null),
        ("POST /auth/api-keys", seen.text("access_token"), Value::Null),
        ("DELETE /auth/api-keys/1", seen.text("access_token"), Value::Null),
        ("POST /auth/refresh", unseen.text("refresh_token"), Value::Null),
        ("POST /auth/logout", unseen.text("access_token"), Value::Null),
        ("POST /auth/register", "", body.clone()),
        ("POST /auth/login", "", body),
    ] {
        assert_told_to_wait(&call(&app, route, token, body).await);
    }

    postgres.restart().expect("back");
    let back = async || profile(&app, unknown).await == 200;
    testkit::wait_until("the login to be looked up", SOON, back).await.expect("looked up");
    let refreshed =
        call(&app, "POST /auth/refresh", unseen.text("refresh_token"), Value::Null).await;
    assert_eq!(refreshed.status, 200, "nothing was used up");
}
