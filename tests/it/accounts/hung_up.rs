//! What is taken back is so everywhere, even if whoever asked for it does not wait for the answer.

use serde_json::json;
use sqlx::Connection;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{call, profile, register, setup};
use crate::harness::{SOON, TestApp};

/// Sends a request, and hangs up while a write of the service, which looks like that, waits for
/// the lock; until the service has noticed.
async fn hang_up(app: &TestApp, lock: &'static str, write: &str, route: &str, token: &str) {
    let mut locker = sqlx::PgConnection::connect(&app.database_url).await.expect("a connection");
    let mut held = locker.begin().await.expect("a transaction");
    sqlx::query(lock).execute(&mut *held).await.expect("locked");
    let address = app.running.address;
    let mut caller = TcpStream::connect(address).await.expect("a connection");
    let request = format!(
        "{route} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 0\r\n\r\n"
    );
    caller.write_all(request.as_bytes()).await.expect("sent");
    let pool = app.running.app.database.pool();
    let waits = async || {
        let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND wait_event_type = 'Lock' AND query LIKE $1";
        let waiting = sqlx::query_scalar::<_, i64>(query).bind(write).fetch_one(pool).await;
        waiting.is_ok_and(|waiting| waiting == 1)
    };
    testkit::wait_until("the write to wait", SOON, waits).await.expect("it waits");
    caller.shutdown().await.expect("hung up");
    let mut answer = Vec::new();
    caller.read_to_end(&mut answer).await.expect("the service hangs up too");
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    held.rollback().await.expect("let go");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_replica_hears_though_the_caller_hung_up() {
    let apps = setup().start_many(2).await;
    let account = register(&apps[0], "ada@example.com").await;
    let token = account.text("access_token");
    let made = call(&apps[0], "POST /auth/api-keys", token, json!({})).await;
    let route = format!("DELETE /auth/api-keys/{}", made.body["id"]);
    for (credential, lock, write, route) in [
        (
            made.text("api_key"),
            "LOCK TABLE api_keys IN EXCLUSIVE MODE",
            "UPDATE api_keys SET is_active%",
            route.as_str(),
        ),
        (
            token,
            "LOCK TABLE token_blacklist IN EXCLUSIVE MODE",
            "INSERT INTO token_blacklist%",
            "POST /auth/logout",
        ),
    ] {
        assert_eq!(profile(&apps[1], credential).await, 200, "remembered for a minute");
        hang_up(&apps[0], lock, write, route, token).await;
        let refused = async || profile(&apps[1], credential).await == 401;
        testkit::wait_until("the other replica to refuse", SOON, refused).await.expect(route);
    }
}
