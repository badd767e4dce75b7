//! `/api/userinfo`: asked once for all replicas, and refused in the contract's words.

use futures_util::future::join_all;
use serde_json::json;
use testkit::{
    auth0::{Auth0, Userinfo},
    process::Redis,
};

use crate::{
    harness::{Setup, TestApp, postgres},
    tenant_routes::{AUDIENCE, ask, trusting, with},
};

/// Two replicas on a Redis of their own.
async fn start(seconds: &str) -> (Vec<TestApp>, Auth0, Redis) {
    let tenant = Auth0::start().await.expect("a tenant");
    let redis = Redis::start().expect("a redis");
    let database = postgres().create_database().expect("a database");
    let setup = trusting(Setup::on(&database, &redis.url()), &tenant);
    let setup = setup.with("AUTH0_REQUEST_TIMEOUT", seconds).with("REDIS_PREFIX", "userinfo");
    (setup.start_many(2).await, tenant, redis)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_serves_everybody_with_that_token() {
    let (apps, tenant, redis) = start("5").await;
    let token = tenant.token("auth0|ada", AUDIENCE).expect("a token");
    let asked = (0..20).map(|_| with(&apps[0], "/api/userinfo", &token));
    for (status, body) in join_all(asked).await {
        assert_eq!((status, &body["sub"]), (200, &json!("auth0|ada")));
    }
    assert_eq!(tenant.userinfo_fetches(), 1, "one question at a time");
    assert_eq!(with(&apps[1], "/api/userinfo", &token).await.0, 200);
    assert_eq!(tenant.userinfo_fetches(), 1, "the other replica has the copy");
    let second = tenant.token("auth0|bob", AUDIENCE).expect("a token");
    assert_eq!(with(&apps[1], "/api/userinfo", &second).await.1["sub"], "auth0|bob");
    assert_eq!(tenant.userinfo_fetches(), 2, "another token is another question");
    let digest = testkit::speech::sha256_hex(token.as_bytes());
    let left = redis.command(&["PTTL", &format!("userinfo:userinfo:{digest}")]).expect("a key");
    let left: u64 = left.trim().trim_start_matches(':').parse().expect("milliseconds");
    assert!((200_000..=300_000).contains(&left), "{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_copy_is_not_believed() {
    let (apps, tenant, redis) = start("5").await;
    let [ada, eve] =
        ["auth0|ada", "auth0|eve"].map(|sub| tenant.token(sub, AUDIENCE).expect("a token"));
    let name = |token: &str| {
        format!("userinfo:userinfo:{}", testkit::speech::sha256_hex(token.as_bytes()))
    };
    assert_eq!(with(&apps[0], "/api/userinfo", &ada).await.0, 200);
    redis.command(&["COPY", &name(&ada), &name(&eve)]).expect("copied");
    assert_eq!(with(&apps[1], "/api/userinfo", &eve).await.1["sub"], "auth0|eve");
    redis.command(&["SET", &name(&ada), r#"{"sub":"auth0|admin"}"#]).expect("set");
    assert_eq!(with(&apps[1], "/api/userinfo", &ada).await.1["sub"], "auth0|ada");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_told_as_the_contract_does() {
    let (apps, tenant, mut redis) = start("1").await;
    let url = format!("{}userinfo", tenant.issuer());
    for (number, (mode, cause)) in [
        (Userinfo::Limited(7), format!("429 Client Error: Too Many Requests for url: {url}")),
        (Userinfo::Html, "the answer is not a JSON object".to_owned()),
        (Userinfo::Huge(1 << 20), "the answer is too large".to_owned()),
        (Userinfo::Hang, "timed out".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let limited = mode == Userinfo::Limited(7);
        tenant.set_userinfo(mode);
        let token = tenant.token(&format!("auth0|{number}"), AUDIENCE).expect("a token");
        let before = tenant.userinfo_fetches();
        for _ in 0..3 {
            let bearer = format!("Bearer {token}");
            let response = ask(&apps[0], "/api/userinfo", Some(&bearer)).await;
            assert_eq!(response.status(), 401);
            let wait =
                response.headers().get("retry-after").map(|wait| wait.to_str().expect("text"));
            assert_eq!(wait, limited.then_some("7"), "{cause}");
            let text = response.text().await.expect("a body");
            assert!(!text.contains(&token), "{text}");
            let body: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(body["error"], "auth0_error");
            assert_eq!(body["message"], format!("Failed to fetch user info: {cause}"));
        }
        assert_eq!(tenant.userinfo_fetches(), before + 1, "whoever insists is not passed on");
    }
    tenant.set_userinfo(Userinfo::Healthy);
    redis.kill().expect("killed");
    let token = tenant.token("auth0|late", AUDIENCE).expect("a token");
    assert_eq!(with(&apps[0], "/api/userinfo", &token).await.0, 200, "redis is not needed");
}

/// A machine's token is good for the other routes; Auth0 has no profile of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_has_no_profile() {
    let (apps, tenant, _redis) = start("5").await;
    let claims = tenant.claims("client-1@clients", AUDIENCE).with("gty", "client-credentials");
    let token = tenant.mint(&claims).expect("a token");
    assert_eq!(with(&apps[0], "/api/me", &token).await.0, 200);
    let (status, body) = with(&apps[0], "/api/userinfo", &token).await;
    let url = format!("{}userinfo", tenant.issuer());
    let text = format!("Failed to fetch user info: 401 Client Error: Unauthorized for url: {url}");
    assert_eq!((status, &body["message"]), (401, &json!(text)));
}
