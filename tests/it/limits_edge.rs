//! The edge: how many requests one address may make, and that nobody gets another by saying so.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use reqwest::{Client, Method, Response, StatusCode, header};
use serde_json::Value;
use testkit::process::Redis;

use crate::harness::{SOON, ServiceProcess, Setup, TestApp, postgres};

const BURST: usize = 5;
/// Requests of one round; the burst and what comes back meanwhile pass.
const REQUESTS: usize = 30;

/// A service that lets one request a second pass after a burst.
async fn start(trusted_proxies: &str) -> TestApp {
    let setup = Setup::new().with("EDGE_RATE", "1").with("EDGE_BURST", BURST.to_string());
    setup.with("TRUSTED_PROXIES", trusted_proxies).start().await
}

/// Made once, since each client reads the certificates of the system; its connections belong to the
/// test that opened them.
static CLIENT: LazyLock<Client> =
    LazyLock::new(|| Client::builder().pool_max_idle_per_host(0).build().expect("a client"));

async fn get(app: &TestApp, path: &str, headers: &[(&str, String)]) -> Response {
    let mut request = CLIENT.get(format!("{}{path}", app.url()));
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.send().await.expect("an answer")
}

/// Whether the edge lets no more than one address's requests pass, each with these headers.
async fn is_one_address(
    app: &TestApp,
    headers: impl Fn(usize) -> Vec<(&'static str, String)>,
) -> bool {
    let began = Instant::now();
    let mut passed = 0;
    for number in 0..REQUESTS {
        let answer = get(app, "/", &headers(number)).await;
        passed += usize::from(answer.status() == StatusCode::OK);
    }
    let refilled = began.elapsed().as_secs() as usize + 1;
    assert!(refilled + BURST < REQUESTS, "too slow to tell");
    passed <= BURST + refilled
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_an_error_as_any_other() {
    let app = start("0").await;
    for _ in 0..BURST {
        assert_eq!(get(&app, "/", &[]).await.status(), StatusCode::OK);
    }
    // Before both doors, before any credential is looked at, and for what does not exist.
    let socketio = "/socket.io/?EIO=4&transport=polling";
    for path in ["/", "/audio-stream", socketio, "/api/me", "/nothing", "/app/"] {
        let origin = [("origin", "http://localhost:3000".to_owned())];
        let answer = get(&app, path, &origin).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert_eq!(answer.headers()["retry-after"], "1", "{path}");
        let allowed = &answer.headers()["access-control-allow-origin"];
        assert_eq!(allowed, "http://localhost:3000", "a browser may read it");
        let id = answer.headers()["x-request-id"].clone();
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body["code"], "rate_limited", "{body}");
        assert_eq!(body["retryable"], true, "{body}");
        assert_eq!(body["error"], "too many requests from this address: slow down");
        assert_eq!(body["request_id"], id.to_str().expect("text"), "{body}");
    }
    assert_eq!(app.metric("edge_refused_total", &["rate"]), 6);
    let unknown = app.metric("authentications_total", &[]);
    assert_eq!(unknown, 0, "no credential was looked at");
    // What platforms restart on is never refused.
    for _ in 0..REQUESTS {
        for path in ["/health", "/ready"] {
            assert_eq!(get(&app, path, &[]).await.status(), StatusCode::OK, "{path}");
        }
    }
    let again = async || get(&app, "/", &[]).await.status() == StatusCode::OK;
    testkit::wait_until("the next second", SOON, again).await.expect("let in again");
}

/// What a caller may write to be taken for somebody else, new with each request.
fn disguises(number: usize) -> Vec<(&'static str, String)> {
    let address = format!("203.0.113.{number}");
    vec![
        ("forwarded", format!("for={address}")),
        ("x-real-ip", address.clone()),
        ("cf-connecting-ip", address.clone()),
        ("true-client-ip", address.clone()),
        ("x-client-ip", address),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_proxies_no_header_makes_another_address() {
    let app = start("0").await;
    let rotating = |number: usize| {
        let mut headers = disguises(number);
        headers.push(("x-forwarded-for", format!("198.51.100.{number}")));
        headers.push(("x-forwarded-for", format!("2001:db8:{number}::1, 192.0.2.{number}")));
        headers
    };
    assert!(is_one_address(&app, rotating).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_only_what_it_wrote_is_believed() {
    let app = start("1").await;
    let hop = |text: String| vec![("x-forwarded-for", text)];
    let left = |number| hop(format!("198.51.100.{number}, 192.0.2.1"));
    assert!(is_one_address(&app, left).await, "the left-most is the caller's own word");
    let lines = |number| {
        let mut headers = hop(format!("198.51.100.{number}"));
        headers.extend(hop("192.0.2.2".to_owned()));
        headers.extend(disguises(number));
        headers
    };
    assert!(is_one_address(&app, lines).await, "so is a line of its own");
    let network = |number| hop(format!("2001:db8:0:7:{number:x}::{number:x}"));
    assert!(is_one_address(&app, network).await, "an IPv6 customer is one /64");
    let mapped = |number: usize| hop(["::ffff:192.0.2.3", "192.0.2.3:80"][number % 2].to_owned());
    assert!(is_one_address(&app, mapped).await, "one address in two spellings");
    let unreadable = |number| hop(format!("198.51.100.{number}, unknown"));
    assert!(is_one_address(&app, unreadable).await, "what cannot be read is the proxy's");
    let real = |number| hop(format!("192.0.2.{}", 100 + number));
    assert!(!is_one_address(&app, real).await, "clients behind one proxy are told apart");
    let networks = |number| hop(format!("2001:db8:0:{number:x}::1"));
    assert!(!is_one_address(&app, networks).await, "and so are networks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_asked_ten_thousand_times_asks_little() {
    let redis = Redis::start().expect("redis");
    let database = postgres().create_database().expect("a database");
    let app = Setup::on(&database, &redis.url()).start().await;
    let committed = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
    let before: i64 = app.sql(committed).await;
    let (client, url) = (Client::new(), format!("{}/ready", app.url()));
    let began = Instant::now();
    let asked = stream::iter(0..10_000).map(|_| client.get(&url).send());
    let statuses = asked.buffer_unordered(50).map(|answer| answer.expect("an answer").status());
    let good =
        statuses.filter(|status| std::future::ready(*status == StatusCode::OK)).count().await;
    assert_eq!(good, 10_000, "never refused");
    let seconds = began.elapsed().as_secs() as i64 + 1;
    let stats = redis.command(&["INFO", "commandstats"]).expect("told");
    let pings = stats.split("cmdstat_ping:calls=").nth(1).and_then(|rest| rest.split(',').next());
    let pings: i64 = pings.map_or(0, |calls| calls.parse().expect("a number"));
    // The server itself is pinged a few times while it starts.
    assert!(pings < 2 * seconds + 20, "{pings} pings in {seconds} s");
    // Postgres tells what it did within a second.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let queries = app.sql::<i64>(committed).await - before;
    assert!(queries < 10 * seconds + 30, "{queries} transactions in {seconds} s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_is_not_trusted_is_told_once() {
    let (mut variables, _deepgram) = Setup::new().variables().await;
    for (name, value) in [
        ("ENVIRONMENT", "production"),
        ("AUTH0_DOMAIN", "127.0.0.1:1"),
        ("AUTH0_AUDIENCE", "https://api.transcripts.io"),
        ("OPENAI_API_KEY", "sk-4c1f7e0b5d"),
        ("DEEPSEEK_API_KEY", "sk-9d8e7f6a5b"),
    ] {
        variables.insert(name.into(), value.into());
    }
    let line = "set TRUSTED_PROXIES";
    for (trusted, told) in [("0", 1), ("1", 0)] {
        variables.insert("TRUSTED_PROXIES".into(), trusted.into());
        let service = ServiceProcess::start(&variables).await;
        assert!(!service.log().contains(line), "not before it matters");
        for _ in 0..3 {
            let request = Client::new().request(Method::GET, service.url());
            let request = request.header(header::FORWARDED, "for=192.0.2.1");
            request.header("x-forwarded-for", "192.0.2.1").send().await.expect("an answer");
        }
        let logged = async || service.log().matches(line).count() == told;
        testkit::wait_until("the line in the log", SOON, logged).await.expect("told");
    }
}
