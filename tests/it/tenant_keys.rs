//! Signing keys of replicas that share a Redis: floods of unknown key ids, rotations, forged
//! copies, and a Redis that comes and goes.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{StreamExt, stream};
use testkit::{
    auth0::{Auth0, Jwks},
    process::Redis,
};

use crate::{
    harness::{SOON, Setup, TestApp, postgres},
    tenant_routes::{AUDIENCE, ask, trusting, with},
};

const KIDS: usize = 10_000;
const COOLDOWN: Duration = Duration::from_secs(30);

/// Variables of replicas on that Redis.
fn setup(tenant: &Auth0, redis: &Redis, prefix: &str) -> Setup {
    let database = postgres().create_database().expect("a database");
    trusting(Setup::on(&database, &redis.url()), tenant).with("REDIS_PREFIX", prefix)
}

async fn start(replicas: usize) -> (Vec<TestApp>, Auth0, Redis) {
    let tenant = Auth0::start().await.expect("a tenant");
    let redis = Redis::start().expect("a redis");
    let apps = setup(&tenant, &redis, "keys").start_many(replicas).await;
    for app in &apps {
        assert!(accepts(app, &tenant).await);
    }
    (apps, tenant, redis)
}

/// Whether a token that was not seen before passes, signed by the current key.
async fn accepts(app: &TestApp, tenant: &Auth0) -> bool {
    let claims = tenant.claims("auth0|ada", AUDIENCE).with("n", uuid::Uuid::new_v4().to_string());
    let token = tenant.mint(&claims).expect("a token");
    with(app, "/api/me", &token).await.0 == 200
}

/// The same token under a key id that nobody has; nobody looks at more of it.
fn renamed(token: &str) -> String {
    let kid = uuid::Uuid::new_v4().simple().to_string();
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#));
    format!("{header}.{}", token.split_once('.').expect("a token").1)
}

/// Sends tokens with random key ids to all replicas in turn; who is refused is told when to come
/// back.
async fn flood(apps: &[TestApp], tenant: &Auth0, count: usize) {
    let good = tenant.token("auth0|eve", AUDIENCE).expect("a token");
    let client = reqwest::Client::new();
    let send = async |number: usize| {
        let url = format!("{}/api/me", apps[number % apps.len()].url());
        let response = client.get(url).bearer_auth(renamed(&good)).send().await;
        let response = response.expect("an answer");
        assert_eq!(response.status(), 401);
        let wait = response.headers()["retry-after"].to_str().expect("text").parse::<u64>();
        assert!((1..=30).contains(&wait.expect("seconds")));
    };
    stream::iter(0..count).for_each_concurrent(64, send).await;
}

/// Fetches that a flood which began then may have caused.
fn allowed(began: Instant) -> u64 {
    1 + began.elapsed().as_secs() / COOLDOWN.as_secs()
}

/// While a flood runs, good tokens pass at every replica.
async fn flood_among_good_tokens(apps: &[TestApp], tenant: &Auth0) {
    let (fetches, began) = (tenant.jwks_fetches(), Instant::now());
    let good = async {
        let mut passed = 0;
        while passed < 40 || began.elapsed() < Duration::from_secs(1) {
            assert!(accepts(&apps[passed % apps.len()], tenant).await, "after {passed}");
            passed += 1;
        }
    };
    tokio::join!(flood(apps, tenant, KIDS), good);
    let made = tenant.jwks_fetches() - fetches;
    assert!(made <= allowed(began), "{made} fetches in {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_one_fetch_whatever_the_tenant_answers() {
    for mode in [Jwks::Healthy, Jwks::Status(500), Jwks::Empty, Jwks::Html] {
        let (apps, tenant, _redis) = start(2).await;
        assert_eq!(tenant.jwks_fetches(), 1, "two replicas boot with one fetch");
        tenant.set_jwks(mode);
        flood_among_good_tokens(&apps, &tenant).await;
    }
}

/// The second replica boots while the first one fetches, and so do the first tokens come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_boot_wait_for_whoever_fetches() {
    let tenant = Auth0::start().await.expect("a tenant");
    tenant.set_jwks(Jwks::Slow(Duration::from_secs(2)));
    let redis = Redis::start().expect("a redis");
    let apps = setup(&tenant, &redis, "keys").start_many(2).await;
    let (first, second) = tokio::join!(accepts(&apps[0], &tenant), accepts(&apps[1], &tenant));
    assert!(first && second);
    assert_eq!(tenant.jwks_fetches(), 1);
    let adopted = |app: &TestApp| app.metric("jwks_copies_total", &["outcome=\"adopted\""]);
    assert_eq!((adopted(&apps[0]), adopted(&apps[1])), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_without_redis_is_one_fetch_at_each_replica() {
    let (apps, tenant, mut redis) = start(2).await;
    redis.kill().expect("killed");
    let (fetches, began) = (tenant.jwks_fetches(), Instant::now());
    flood(&apps, &tenant, 1_000).await;
    assert!(accepts(&apps[0], &tenant).await && accepts(&apps[1], &tenant).await);
    let made = tenant.jwks_fetches() - fetches;
    assert!(made <= 2 * allowed(began), "{made} fetches in {:?}", began.elapsed());
    redis.restart().expect("back");
    tenant.replace_keys().expect("new keys");
    for app in &apps {
        let accepted = async || accepts(app, &tenant).await;
        testkit::wait_until("the new key", COOLDOWN + SOON, accepted).await.expect("accepted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_was_announced_needs_no_fetch() {
    let (apps, tenant, _redis) = start(2).await;
    tenant.rotate().expect("rotated");
    for app in &apps {
        assert!(accepts(app, &tenant).await);
    }
    assert_eq!(tenant.jwks_fetches(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_was_not_is_noticed_within_a_second_everywhere() {
    let (apps, tenant, _redis) = start(3).await;
    tenant.replace_keys().expect("new keys");
    let began = Instant::now();
    let (first, second) = tokio::join!(accepts(&apps[0], &tenant), accepts(&apps[1], &tenant));
    assert!(first && second, "replicas that ask at the same time");
    assert!(accepts(&apps[2], &tenant).await, "a replica that asks later");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(tenant.jwks_fetches(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_in_a_flood_is_noticed_within_thirty_seconds() {
    let (apps, tenant, _redis) = start(2).await;
    flood(&apps, &tenant, 100).await;
    assert_eq!(tenant.jwks_fetches(), 2);
    tenant.replace_keys().expect("new keys");
    let began = Instant::now();
    for app in &apps {
        let accepted = async || {
            flood(&apps, &tenant, 10).await;
            accepts(app, &tenant).await
        };
        testkit::wait_until("the new key", COOLDOWN + SOON, accepted).await.expect("accepted");
    }
    assert!(began.elapsed() < COOLDOWN + Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(tenant.jwks_fetches(), 3);
}

/// A token that was accepted a moment ago is not, once the tenant has taken its key back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_taken_back_takes_its_tokens_along() {
    let (apps, tenant, _redis) = start(1).await;
    let old = tenant.token("auth0|ada", AUDIENCE).expect("a token");
    assert_eq!(with(&apps[0], "/api/me", &old).await.0, 200);
    tenant.replace_keys().expect("new keys");
    assert!(accepts(&apps[0], &tenant).await, "the new keys are here");
    assert_eq!(with(&apps[0], "/api/me", &old).await.0, 401);
}

/// Keys outlive the tenant, and whoever names another key is told when to come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_is_away_stops_nobody_whose_key_is_known() {
    let (apps, tenant, _redis) = start(1).await;
    for mode in [Jwks::Hang, Jwks::Huge(10 << 20), Jwks::Status(503)] {
        tenant.set_jwks(mode.clone());
        assert!(accepts(&apps[0], &tenant).await, "{mode:?}");
    }
    let good = tenant.token("auth0|eve", AUDIENCE).expect("a token");
    let bearer = format!("Bearer {}", renamed(&good));
    let response = ask(&apps[0], "/api/me", Some(&bearer)).await;
    assert_eq!(response.status(), 401);
    let wait: u64 =
        response.headers()["retry-after"].to_str().expect("text").parse().expect("a number");
    assert!((25..=30).contains(&wait), "{wait}");
}

/// What is sealed for one name and one secret is nothing under another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_that_others_made_are_not_believed() {
    let (_apps, tenant, redis) = start(1).await;
    redis.command(&["COPY", "keys:jwks", "moved:jwks"]).expect("copied");
    redis.command(&["SET", "garbage:jwks", "{\"keys\":[]}"]).expect("set");
    for (number, prefix) in (2..).zip(["moved", "garbage"]) {
        let app = setup(&tenant, &redis, prefix).start().await;
        assert!(accepts(&app, &tenant).await, "{prefix}");
        assert_eq!(app.metric("jwks_copies_total", &["outcome=\"bad_mac\""]), 1, "{prefix}");
        assert_eq!(tenant.jwks_fetches(), number, "{prefix}");
    }
    // Another secret under the same name, and another tenant with the same secret.
    let stranger = setup(&tenant, &redis, "keys").with("SECRET_KEY", "another").start().await;
    assert!(accepts(&stranger, &tenant).await);
    assert_eq!(stranger.metric("jwks_copies_total", &["outcome=\"adopted\""]), 0);
    let second = Auth0::start().await.expect("a tenant");
    let app = setup(&second, &redis, "moved").start().await;
    assert!(accepts(&app, &second).await && !accepts(&app, &tenant).await);
    assert!(app.metric("jwks_copies_total", &["outcome=\"wrong_issuer\""]) > 0);
    assert_eq!(app.metric("jwks_copies_total", &["outcome=\"adopted\""]), 0);
}
