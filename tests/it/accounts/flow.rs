//! The life of a login over two replicas.

use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::raw_ws::RawSocket;

use super::{Answer, PASSWORD, call, login, profile, register, setup};
use crate::harness::{SOON, TestApp, doors};

async fn refresh(app: &TestApp, token: &str) -> Answer {
    call(app, "POST /auth/refresh", token, Value::Null).await
}

/// Waits until a replica refuses what another has announced as revoked.
async fn wait_until_refused(app: &TestApp, token: &str) {
    let refused = async || profile(app, token).await == 401;
    testkit::wait_until("the token to be refused", SOON, refused).await.expect("refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_good_on_every_replica_until_its_refresh_token_comes_twice() {
    let apps = setup().start_many(2).await;
    let [a, b] = &apps[..] else { panic!("two replicas") };
    let registered = register(a, "ada@example.com").await;
    assert_eq!(profile(b, registered.text("access_token")).await, 200);
    assert_eq!(profile(b, registered.text("api_key")).await, 200);
    let first = login(b, "ada@example.com", PASSWORD).await;
    assert_eq!(profile(a, first.text("access_token")).await, 200);

    let second = refresh(a, first.text("refresh_token")).await;
    assert_eq!((second.status, second.header("cache-control")), (200, Some("no-store")));
    assert_eq!(second.body["expires_in"], 3600);
    for app in [a, b] {
        assert_eq!(profile(app, first.text("access_token")).await, 200);
        assert_eq!(profile(app, second.text("access_token")).await, 200);
    }
    let reused = refresh(b, first.text("refresh_token")).await;
    assert_eq!(reused.msg(), (401, "Token has been revoked"));
    for app in [b, a] {
        wait_until_refused(app, first.text("access_token")).await;
        wait_until_refused(app, second.text("access_token")).await;
        let dead = refresh(app, second.text("refresh_token")).await;
        assert_eq!(dead.msg(), (401, "Token has been revoked"));
        // Another login of the same user is another family.
        assert_eq!(profile(app, registered.text("access_token")).await, 200);
        doors::websocket(&app.url(), first.text("access_token")).await.expect_err("refused");
    }
    let query = "SELECT count(*) FROM token_blacklist WHERE token_type = 'family' AND user_id = '1'
                 AND expires_at > timezone('utc', now()) + interval '29 days'";
    assert_eq!(a.sql::<i64>(query).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_is_heard_on_every_replica() {
    let apps = setup().start_many(2).await;
    let [a, b] = &apps[..] else { panic!("two replicas") };
    let account = register(a, "ada@example.com").await;
    let (access, refreshes) = (account.text("access_token"), account.text("refresh_token"));
    assert_eq!(profile(b, access).await, 200);
    let told = call(a, "POST /auth/logout", access, Value::Null).await;
    assert_eq!(told.msg(), (200, "Access token revoked successfully"));
    assert_eq!(profile(a, access).await, 401);
    wait_until_refused(b, access).await;
    let again = call(b, "POST /auth/logout", access, Value::Null).await;
    assert_eq!(again.msg(), (401, "Token has been revoked"));

    let renewed = refresh(b, refreshes).await;
    assert_eq!(renewed.status, 200);
    let told = call(b, "POST /auth/logout", renewed.text("refresh_token"), Value::Null).await;
    assert_eq!(told.msg(), (200, "Refresh token revoked successfully"));
    let refused = refresh(a, renewed.text("refresh_token")).await;
    assert_eq!(refused.msg(), (401, "Token has been revoked"));
    assert_eq!(profile(a, renewed.text("access_token")).await, 200, "only the one token");
}

/// A key is taken back on one replica and refused on the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_taken_back_is_refused_everywhere() {
    let apps = setup().start_many(2).await;
    let [a, b] = &apps[..] else { panic!("two replicas") };
    let account = register(a, "ada@example.com").await;
    let (token, key) = (account.text("access_token"), account.text("api_key"));
    assert_eq!(profile(b, key).await, 200);
    let deleted = call(a, "DELETE /auth/api-keys/1", token, Value::Null).await;
    assert_eq!((deleted.status, deleted.body), (200, json!({ "message": "API key deactivated" })));
    assert_eq!(profile(a, key).await, 401);
    wait_until_refused(b, key).await;
}

/// A token of a login opens both doors, under its user's id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_opens_sockets() {
    let app = setup().start().await;
    let account = register(&app, "ada@example.com").await;
    let token = account.text("access_token");
    let (_raw, greeting) = doors::websocket(&app.url(), token).await.expect("admitted");
    let (_client, other) = doors::socketio(&app.url(), token).await.expect("admitted");
    for greeting in [greeting, other] {
        let who = (&greeting["user_id"], &greeting["auth_type"]);
        assert_eq!(who, (&json!("1"), &json!("jwt")), "{greeting}");
    }
    doors::websocket(&app.url(), account.text("refresh_token")).await.expect_err("no credential");
    assert!(app.metric("authentications_total", &["type=\"jwt\"", "outcome=\"ok\""]) >= 2);
}

/// Waits until the service closes that socket for good.
async fn wait_until_closed(socket: &mut RawSocket) {
    loop {
        let message = socket.receive_json(SOON).await.expect("a message");
        if message["type"] == "closing" {
            assert_eq!(message["reason"], "credential_revoked", "{message}");
            return;
        }
    }
}

/// Streams end with their login, wherever they are, and others go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_ends_closes_its_sockets() {
    let apps = setup().start_many(2).await;
    let [a, b] = &apps[..] else { panic!("two replicas") };
    register(a, "ada@example.com").await;
    let logins = join_all((0..3).map(|_| login(a, "ada@example.com", PASSWORD))).await;
    let [left, stolen, other] = &logins[..] else { panic!("three logins") };
    let open = async |login: &Answer| {
        doors::websocket(&b.url(), login.text("access_token")).await.expect("admitted").0
    };
    let (mut of_left, mut of_stolen) = (open(left).await, open(stolen).await);
    let mut of_other = open(other).await;

    let told = call(a, "POST /auth/logout", left.text("access_token"), Value::Null).await;
    assert_eq!(told.status, 200);
    wait_until_closed(&mut of_left).await;
    let second = refresh(a, stolen.text("refresh_token")).await;
    let mut of_second = open(&second).await;
    assert_eq!(refresh(a, stolen.text("refresh_token")).await.status, 401);
    wait_until_closed(&mut of_stolen).await;
    wait_until_closed(&mut of_second).await;
    of_other.send_json(&json!({ "type": "nothing we know" })).await.expect("sent");
    assert_eq!(of_other.receive_json(SOON).await.expect("an answer")["type"], "error");
}
