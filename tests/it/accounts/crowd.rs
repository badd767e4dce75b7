//! Many at once: one address, one line for passwords, and limits that both sides are counted by.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{PASSWORD, call, login, profile, register, setup, without_limits};
use crate::harness::{LONG, Setup};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_registered_once() {
    let apps = setup().start_many(2).await;
    let body = || json!({ "email": "ada@example.com", "password": PASSWORD });
    let wishes = (0..6).map(|n| call(&apps[n % 2], "POST /auth/register", "", body()));
    let answers = join_all(wishes).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 1, "{answers:?}");
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(refused.error(), (400, "Email already registered"));
    }
    assert_eq!(apps[0].sql::<i64>("SELECT count(*) FROM users WHERE id > 0").await, 1);
    assert_eq!(apps[0].sql::<i64>("SELECT count(*) FROM api_keys").await, 1);
}

/// Nobody learns from the work whether there is an account: each answer costs one hash.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_login_costs_one_hash() {
    let app = setup().start().await;
    register(&app, "ada@example.com").await;
    super::execute(&app, "INSERT INTO users (email) VALUES ('auth0@example.com')").await;
    let dear = "INSERT INTO users (email, password_hash) VALUES ('dear@example.com', \
                '$2b$31$pQ937QMW.x5K6Ey2Yah6Mu9n.YaaW2LPg6iwVqBCnBe.94BVF66Ba')";
    super::execute(&app, dear).await;
    let hashes = || app.metric("password_hashes_total", &[]);
    assert_eq!(hashes(), 1);
    for (done, (email, password)) in [
        ("ada@example.com", PASSWORD),
        ("ada@example.com", "wrong"),
        ("eve@example.com", PASSWORD),
        ("auth0@example.com", PASSWORD),
        ("dear@example.com", "cheap one 3"),
        ("\0", PASSWORD),
    ]
    .into_iter()
    .enumerate()
    {
        login(&app, email, password).await;
        assert_eq!(hashes(), 2 + done as i64, "{email} {password}");
    }
    assert_eq!(app.metric("password_hashes_total", &["outcome=\"nobody\""]), 4);
}

/// A crowd that guesses passwords fills its own line and nobody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_starve_nobody() {
    let app = setup().start().await;
    let account = register(&app, "ada@example.com").await;
    let mut crowd = JoinSet::new();
    // One client for all of them: making one takes longer than a password.
    let client = reqwest::Client::new();
    for _ in 0..200 {
        let guess = json!({ "email": "ada@example.com", "password": "wrong guess 1" });
        let attempt = client.post(format!("{}/auth/login", app.url())).json(&guess);
        crowd.spawn(super::answer(attempt));
    }
    let refused = async || app.metric("password_hashes_total", &["outcome=\"overloaded\""]) > 0;
    testkit::wait_until("the line to be full", LONG, refused).await.expect("full");
    let health = call(&app, "GET /health", "", Value::Null).await;
    assert_eq!(health.status, 200);
    assert_eq!(profile(&app, account.text("access_token")).await, 200);
    let waiting = crowd.len() - finished(&mut crowd);
    assert!(waiting > 0, "the crowd was still in line");
    let answers = tokio::time::timeout(LONG, crowd.join_all()).await.expect("all answered");
    for answer in &answers {
        match answer.status {
            401 => assert_eq!(answer.text("error"), "Invalid email or password"),
            503 => {
                assert_eq!(answer.text("code"), "overloaded");
                assert!(answer.header("retry-after").is_some());
            }
            _ => panic!("{answer:?}"),
        }
    }
    let again = login(&app, "ada@example.com", PASSWORD).await;
    assert_eq!(again.status, 200, "there is room again");
}

/// How many of the crowd have their answer already.
fn finished(crowd: &mut JoinSet<super::Answer>) -> usize {
    std::iter::from_fn(|| crowd.try_join_next()).count()
}

/// An account is guarded as one, from however many addresses its password is guessed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_are_counted_by_account_on_all_replicas() {
    let limits =
        without_limits(Setup::new()).with("LIMIT_LOGINS", "3").with("TRUSTED_PROXIES", "1");
    let apps = limits.start_many(2).await;
    let attempt = async |n: usize, email: &str| {
        let request = reqwest::Client::new().post(format!("{}/auth/login", apps[n % 2].url()));
        let request = request.header("x-forwarded-for", format!("203.0.113.{n}"));
        let body = json!({ "email": email, "password": "wrong guess 1" });
        super::answer(request.json(&body)).await
    };
    for n in 0..3 {
        let told = attempt(n, "ada@example.com").await;
        assert_eq!(told.status, 401, "{told:?}");
        assert_eq!(told.header("x-ratelimit-limit"), Some("3"));
    }
    let hashes = || apps.iter().map(|app| app.metric("password_hashes_total", &[])).sum::<i64>();
    let before = hashes();
    let told = attempt(3, " ADA@example.com").await;
    assert_eq!(told.error(), (429, "too many attempts to log in: wait a minute"));
    assert!(told.header("retry-after").is_some());
    assert_eq!(told.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(hashes(), before, "nothing was computed");
    assert_eq!(attempt(4, "eve@example.com").await.status, 401);
}
