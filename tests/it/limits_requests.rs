//! Limits of users over REST: counted by all replicas together, and by shares while Redis is away.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use audio_transcription_api::{limits::LimitedAction, model::Plan};
use futures_util::future::join_all;
use reqwest::{Response, StatusCode};
use serde_json::Value;
use testkit::{auth0::Auth0, process::Redis};

use crate::harness::{SOON, Setup, TestApp, postgres};

const AUDIENCE: &str = "https://api.transcripts.io";

/// Two replicas that trust a tenant.
async fn start(setup: Setup) -> (Vec<TestApp>, Auth0) {
    let tenant = Auth0::start().await.expect("a tenant");
    let setup = setup
        .with("AUTH0_ISSUER_URL", tenant.issuer())
        .with("AUTH0_DOMAIN", "transcripts.eu.auth0.com")
        .with("AUTH0_AUDIENCE", AUDIENCE);
    (setup.start_many(2).await, tenant)
}

/// Made once, since each client reads the certificates of the system; its connections belong to the
/// test that opened them.
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client")
});

async fn get(app: &TestApp, token: &str) -> Response {
    let request = CLIENT.get(format!("{}/api/me", app.url()));
    request.bearer_auth(token).send().await.expect("an answer")
}

/// The statuses of so many requests at once, spread over the replicas.
async fn flood(apps: &[TestApp], token: &str, requests: usize) -> Vec<Response> {
    join_all((0..requests).map(|number| get(&apps[number % apps.len()], token))).await
}

fn passed(answers: &[Response]) -> usize {
    answers.iter().filter(|answer| answer.status() == StatusCode::OK).count()
}

fn number(answer: &Response, name: &str) -> i64 {
    let value = answer.headers().get(name).unwrap_or_else(|| panic!("no {name}: {answer:?}"));
    value.to_str().expect("text").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_replicas_together_let_as_many_pass_as_the_plan_allows() {
    // One comes back every six seconds, which is longer than this takes.
    let (apps, tenant) = start(Setup::new().with("LIMIT_REQUESTS", "10,pro=8")).await;
    let token = |sub: &str| tenant.token(sub, AUDIENCE).expect("a token");
    let (ann, bob, cat) = (token("auth0|ann"), token("auth0|bob"), token("auth0|cat"));
    // A first request makes the account, whose plan an operator then sets.
    assert_eq!(get(&apps[0], &cat).await.status(), StatusCode::OK);
    let began = Instant::now();
    let answers = flood(&apps, &ann, 200).await;
    assert!(began.elapsed() < Duration::from_secs(6), "too slow to tell: {:?}", began.elapsed());
    assert_eq!(passed(&answers), 10);
    let told = answers.iter().filter(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(told.count(), 190);
    assert_eq!(passed(&flood(&apps, &bob, 10).await), 10, "another user has an own allowance");
    let counted = |outcome: &str| -> i64 {
        let labels = ["requests", outcome, "redis"];
        apps.iter().map(|app| app.metric("limit_checks_total", &labels)).sum()
    };
    assert_eq!((counted("allowed"), counted("refused")), (21, 190));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_tells_how_much_is_left() {
    let (apps, tenant) = start(Setup::new().with("LIMIT_REQUESTS", "3")).await;
    let token = tenant.token("auth0|ann", AUDIENCE).expect("a token");
    for left in [2, 1, 0] {
        let answer = get(&apps[left % 2], &token).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(number(&answer, "x-ratelimit-limit"), 3);
        assert_eq!(number(&answer, "x-ratelimit-remaining"), left as i64);
        assert_eq!(answer.headers()["ratelimit-policy"], "\"requests\";q=3;w=60");
        let (told, began) = (&answer.headers()["ratelimit"], format!("\"requests\";r={left};t="));
        assert!(told.to_str().expect("text").starts_with(&began), "{told:?}");
        assert!(!answer.headers().contains_key("retry-after"));
    }
    let answer = get(&apps[1], &token).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(number(&answer, "x-ratelimit-remaining"), 0);
    let wait = number(&answer, "retry-after");
    assert!((1..=20).contains(&wait), "{wait}");
    let reset = number(&answer, "x-ratelimit-reset") - chrono::Utc::now().timestamp();
    assert!((50..=61).contains(&reset), "{reset}");
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!((&body["code"], &body["retryable"]), (&"rate_limited".into(), &true.into()));
    assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    assert!(body["request_id"].is_string(), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_and_actions_are_counted_apart() {
    let limits = "2,pro=5,legacy=unlimited";
    let app = Setup::new().with("LIMIT_REQUESTS", limits).with("LIMIT_LOGINS", "1").start().await;
    let limits = &app.running.app.limits;
    for (subject, plan, allowed) in
        [("a", Plan::Free, 2), ("b", Plan::Pro, 5), ("a", Plan::Free, 0)]
    {
        let mut passed = 0;
        for _ in 0..20 {
            let verdict = limits.check(LimitedAction::Request, subject, plan).await;
            passed += usize::from(verdict.expect("a limit").allowed);
        }
        assert_eq!(passed, allowed, "{subject} {plan:?}");
    }
    let unlimited = limits.check(LimitedAction::Request, "c", Plan::Legacy).await;
    assert!(unlimited.is_none());
    let login = limits.check(LimitedAction::Login, "a", Plan::Free).await;
    assert!(login.expect("a limit").allowed, "other actions are not touched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_replica_allows_its_share() {
    let mut redis = Redis::start().expect("redis");
    let database = postgres().create_database().expect("a database");
    let setup = Setup::on(&database, &redis.url()).with("LIMIT_REQUESTS", "10");
    let (apps, tenant) = start(setup).await;
    let token = tenant.token("auth0|ann", AUDIENCE).expect("a token");
    let know = async || apps.iter().all(|app| app.running.app.fleet.replicas() == 2);
    testkit::wait_until("both replicas to know of each other", SOON, know).await.expect("known");
    // The keys of the tenant are fetched while Redis is there.
    let other = tenant.token("auth0|other", AUDIENCE).expect("a token");
    assert_eq!(passed(&flood(&apps, &other, 2).await), 2);
    redis.kill().expect("killed");
    // Whoever comes first may have to find out.
    flood(&apps, &other, 2).await;
    let began = Instant::now();
    let mut answers = Vec::new();
    for _ in 0..40 {
        answers.extend(flood(&apps, &token, 2).await);
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "80 requests took {took:?}");
    assert_eq!(passed(&answers), 10, "five by each replica");
    assert_eq!(number(&answers[0], "x-ratelimit-limit"), 5);
    for app in &apps {
        assert!(app.metric("limit_checks_total", &["refused", "share"]) >= 35);
    }
    redis.restart().expect("back");
    let shared = async || {
        let answers = flood(&apps, &token, 2).await;
        answers.iter().all(|answer| number(answer, "x-ratelimit-limit") == 10)
    };
    testkit::wait_until("limits to be shared again", SOON, shared).await.expect("shared");
}
