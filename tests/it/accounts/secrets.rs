//! `JWT_SECRET_KEY` while it is rotated, over processes that know different secrets.

use serde_json::Value;

use super::{call, profile, register, without_limits};
use crate::harness::{Setup, TestApp, postgres, redis_url};

async fn with_secrets(database: &str, current: &str, previous: Option<&str>) -> TestApp {
    let setup = Setup::on(database, &redis_url()).with("JWT_SECRET_KEY", current);
    let setup = match previous {
        Some(previous) => setup.with("JWT_SECRET_KEY_PREVIOUS", previous),
        None => setup,
    };
    without_limits(setup).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_outlive_a_rotation_and_end_with_the_secret() {
    let database = postgres().create_database().expect("a database");
    let (one, two) = ("the first secret of tokens under test", "the second secret of this test");
    let old = with_secrets(&database, one, None).await;
    let account = register(&old, "ada@example.com").await;
    let token = account.text("access_token");
    assert_eq!(profile(&old, token).await, 200);

    let rotating = with_secrets(&database, two, Some(one)).await;
    assert_eq!(profile(&rotating, token).await, 200);
    let refreshed =
        call(&rotating, "POST /auth/refresh", account.text("refresh_token"), Value::Null).await;
    assert_eq!(refreshed.status, 200);
    let renewed = refreshed.text("access_token");
    assert_eq!(profile(&rotating, renewed).await, 200);
    assert_eq!(profile(&old, renewed).await, 401, "it does not know the new secret");

    let rotated = with_secrets(&database, two, None).await;
    assert_eq!(profile(&rotated, renewed).await, 200);
    for (route, token) in
        [("POST /auth/refresh", account.text("refresh_token")), ("POST /auth/logout", token)]
    {
        let told = call(&rotated, route, token, Value::Null).await;
        assert_eq!(told.msg(), (422, "Signature verification failed"));
    }
    assert_eq!(profile(&rotated, token).await, 401);
}
