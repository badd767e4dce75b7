//! Identity and limits while Auth0, Postgres or Redis is away and after it returned: the cells of the
//! table in docs/AUTHENTICATION.md.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use testkit::{
    auth0::{Auth0, Jwks},
    process::{Postgres, Redis},
    raw_ws::{RawSocket, Refused},
};

use crate::harness::{LONG, SOON, Setup, Speaker, TestApp, doors};

const AUDIENCE: &str = "https://api.transcripts.io";

/// A replica with a tenant, and servers of its own that a test may stop.
struct World {
    app: TestApp,
    tenant: Auth0,
    postgres: Postgres,
    redis: Redis,
}

impl World {
    async fn start() -> Self {
        let (postgres, redis) = (Postgres::start(), Redis::start());
        let (postgres, redis) = (postgres.expect("postgres"), redis.expect("redis"));
        let tenant = Auth0::start().await.expect("a tenant");
        let url = postgres.create_database().expect("a database");
        let setup = Setup::on(&url, &redis.url())
            .deepgram(super::numbered())
            .with("AUTH0_ISSUER_URL", tenant.issuer())
            .with("AUTH0_DOMAIN", "transcripts.eu.auth0.com")
            .with("AUTH0_AUDIENCE", AUDIENCE)
            .with("LIMIT_LIVE_SESSIONS", "10")
            .with("REDIS_PREFIX", "identity")
            .with("ALLOW_INSECURE_SESSION_AUTH", "true");
        Self { app: setup.start().await, tenant, postgres, redis }
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
        let request = reqwest::Client::new().request(method, format!("{}{path}", self.app.url()));
        let request = request.bearer_auth(token).json(&body);
        answer(request.send().await.expect("an answer")).await
    }

    /// Registers somebody; their access token.
    async fn register(&self, who: &str) -> String {
        let account =
            json!({ "email": format!("{who}@example.com"), "password": "canary-password-1" });
        let (status, login) = self.ask(Method::POST, "/auth/register", "", account).await;
        assert_eq!(status, 201, "{login}");
        login["access_token"].as_str().expect("a token").to_owned()
    }

    fn token(&self, who: &str) -> String {
        self.tenant.token(&format!("auth0|{who}"), AUDIENCE).expect("a token")
    }

    /// An address that opens a socket for whoever has that credential.
    async fn ticket(&self, token: &str) -> String {
        let (status, told) = self.ask(Method::POST, "/auth/stream-ticket", token, json!({})).await;
        let ticket = told["ticket"].as_str().unwrap_or_else(|| panic!("{status} {told}"));
        format!("{}/audio-stream?ticket={ticket}", self.app.url())
    }

    /// A stream that was there before the outage.
    async fn speaker(&self, token: &str) -> Speaker {
        let (socket, _) = doors::websocket(&self.app.url(), token).await.expect("admitted");
        let mut speaker = Speaker::new(socket, 1);
        speaker.say(20).await;
        speaker
    }

    async fn ready(&self, word: &str) {
        let url = format!("{}/ready", self.app.url());
        let there = async || {
            let answer = reqwest::get(&url).await.expect("an answer");
            answer.json::<Value>().await.is_ok_and(|body| body["status"] == word)
        };
        testkit::wait_until("the service to notice", LONG, there).await.expect(word);
    }
}

async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

/// How a door refuses: status, code and whether it says when to come back.
async fn refusal(app: &TestApp, token: &str) -> (u16, String, bool) {
    let error = doors::websocket(&app.url(), token).await.expect_err("refused");
    let refused = error.downcast_ref::<Refused>().expect("an answer");
    let body: Value = serde_json::from_str(&refused.body).expect("JSON");
    let code = body["code"].as_str().expect("a code").to_owned();
    (refused.status, code, refused.header("retry-after").is_some())
}

/// The stream goes on to its end, with every word once.
async fn goes_on(mut speaker: Speaker) {
    speaker.say(20).await;
    speaker.finish().await;
    speaker.assert_whole();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_auth0_known_keys_hold_and_unknown_ones_wait() {
    let world = World::start().await;
    let running = world.speaker(&world.token("ada")).await;
    world.tenant.set_jwks(Jwks::Status(503));
    let unknown = world.tenant.claims("auth0|bob", AUDIENCE).with_kid(Some("not-seen-yet"));
    let unknown = world.tenant.mint(&unknown).expect("a token");
    let (status, code, retry) = refusal(&world.app, &unknown).await;
    assert_eq!((status, code.as_str(), retry), (401, "unauthenticated", true));
    doors::websocket(&world.app.url(), &world.token("new")).await.expect("a new stream");
    let (status, me) = world.ask(Method::GET, "/api/me", &world.token("new"), json!({})).await;
    assert_eq!((status, &me["user_id"]), (200, &json!("auth0|new")));
    goes_on(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_postgres_what_was_seen_holds_and_the_rest_is_told_to_wait() {
    let mut world = World::start().await;
    let (seen, unseen) = (world.register("seen").await, world.register("unseen").await);
    assert_eq!(world.ask(Method::GET, "/auth/profile", &seen, json!({})).await.0, 200);
    let running = world.speaker(&seen).await;
    world.postgres.kill().expect("killed");
    doors::websocket(&world.app.url(), &seen).await.expect("a login that was seen");
    doors::websocket(&world.app.url(), &world.token("new")).await.expect("a token of the tenant");
    let (status, code, retry) = refusal(&world.app, &unseen).await;
    assert_eq!((status, code.as_str(), retry), (503, "database_unavailable", true));
    for (method, path) in [(Method::GET, "/auth/profile"), (Method::POST, "/auth/api-keys")] {
        let (status, told) = world.ask(method, path, &seen, json!({})).await;
        assert_eq!((status, &told["code"]), (503, &json!("database_unavailable")), "{path}");
    }
    let login = json!({ "email": "seen@example.com", "password": "canary-password-1" });
    let (status, told) = world.ask(Method::POST, "/auth/login", "", login.clone()).await;
    assert_eq!((status, &told["code"]), (503, &json!("database_unavailable")), "{told}");
    world.postgres.restart().expect("back");
    world.ready("ready").await;
    doors::websocket(&world.app.url(), &unseen).await.expect("it can be looked up again");
    assert_eq!(world.ask(Method::POST, "/auth/login", "", login).await.0, 200);
    goes_on(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_postgres_a_ticket_opens_what_its_credential_would() {
    let mut world = World::start().await;
    let login = world.register("seen").await;
    let token = world.token("ada");
    assert_eq!(world.ask(Method::GET, "/auth/profile", &login, json!({})).await.0, 200);
    let before = [world.ticket(&login).await, world.ticket(&token).await];
    world.postgres.kill().expect("killed");
    let after = [world.ticket(&login).await, world.ticket(&token).await];
    for ticket in before.iter().chain(&after) {
        RawSocket::connect(ticket, &[]).await.expect("as the credential itself");
        let again = RawSocket::connect(ticket, &[]).await.expect_err("once");
        assert_eq!(again.downcast_ref::<Refused>().expect("an answer").status, 401);
    }
    let forgotten = world.ticket(&login).await;
    world.redis.command(&["PUBLISH", "identity:revocations", "\"unknown\""]).expect("told");
    let waits = async || doors::websocket(&world.app.url(), &login).await.is_err();
    testkit::wait_until("the login to be forgotten", SOON, waits).await.expect("forgotten");
    let unclear = RawSocket::connect(&forgotten, &[]).await.expect_err("nobody can tell");
    let refused = unclear.downcast_ref::<Refused>().expect("an answer");
    let body: Value = serde_json::from_str(&refused.body).expect("JSON");
    assert_eq!((refused.status, &body["code"]), (503, &json!("database_unavailable")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_streams_and_rest_go_on_with_a_share_and_what_lives_there_waits() {
    let mut world = World::start().await;
    let login = world.register("ada").await;
    let (_, session) =
        world.ask(Method::POST, "/mobile-auth/login", "", json!({ "username": "bob" })).await;
    let session = session["auth_token"].as_str().expect("a session").to_owned();
    let running = world.speaker(&login).await;
    world.redis.kill().expect("killed");
    world.ready("degraded").await;
    let new = world.speaker(&world.token("new")).await;
    assert_eq!(world.ask(Method::GET, "/auth/profile", &login, json!({})).await.0, 200);
    assert!(world.app.metric("limit_checks_total", &["source=\"share\""]) > 0);
    for (path, token, body) in [
        ("/auth/stream-ticket", login.as_str(), json!({})),
        ("/mobile-auth/login", "", json!({ "username": "eve" })),
        ("/mobile-auth/verify", "", json!({ "auth_token": session })),
    ] {
        let (status, told) = world.ask(Method::POST, path, token, body).await;
        assert_eq!((status, &told["code"]), (503, &json!("dependency_unavailable")), "{path}");
    }
    goes_on(running).await;
    goes_on(new).await;
    world.redis.restart().expect("back");
    world.ready("ready").await;
    let issued = async || {
        let path = "/auth/stream-ticket";
        let (status, told) = world.ask(Method::POST, path, &login, json!({})).await;
        let Some(ticket) = told["ticket"].as_str().filter(|_| status == 201) else { return false };
        let url = format!("{}/audio-stream?ticket={ticket}", world.app.url());
        RawSocket::connect(&url, &[]).await.is_ok()
    };
    testkit::wait_until("tickets to be issued again", SOON, issued).await.expect("they are");
    // What was in Redis is gone with it: nobody is let in on the word of a cache.
    let late = async || refusal(&world.app, &session).await.0 == 401;
    testkit::wait_until("the lost session to be refused", Duration::from_secs(70), late)
        .await
        .expect("refused");
}
