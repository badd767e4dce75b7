//! A replica that starts before its databases: it listens at once, and catches up by itself.

use std::time::{Duration, Instant};

use testkit::process::{Postgres, Redis, Signal};

use super::{ready, variables, wait_until_ready};
use crate::harness::{LONG, Ledger, SOON, ServiceProcess, Speaker, doors};

/// How soon a process must listen, on a machine that is busy with other tests.
const AT_ONCE: Duration = Duration::from_secs(5);

async fn migrated(url: &str) -> bool {
    let found = Ledger(url).rows::<(i64,)>("SELECT count(*) FROM usage_logs").await;
    found.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_postgres_it_listens_and_migrates_later() {
    let mut postgres = Postgres::start().expect("postgres");
    let redis = Redis::start().expect("redis");
    let url = postgres.create_database().expect("a database");
    postgres.stop().expect("stopped");
    let (variables, _deepgram) = variables(&url, &redis.url()).await;
    let asked = Instant::now();
    let process = ServiceProcess::start(&variables).await;
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    let word = "database schema not seen yet".to_owned();
    assert_eq!(ready(&process).await, (503, word, vec!["postgres".to_owned()]));
    assert_eq!(process.status("/health").await, Some(200));
    let told = async || process.log().contains("Database initialization failed: ");
    testkit::wait_until("the cause to be logged", SOON, told).await.expect("logged");
    postgres.restart().expect("back");
    wait_until_ready(&process, 200, "ready", &[]).await;
    assert!(process.log().contains("Database initialized successfully"), "{}", process.log());
    assert!(migrated(&url).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_it_is_degraded_and_serves() {
    let mut redis = Redis::start().expect("redis");
    redis.stop().expect("stopped");
    let url = crate::harness::postgres().create_database().expect("a database");
    let (variables, _deepgram) = variables(&url, &redis.url()).await;
    let process = ServiceProcess::start(&variables).await;
    wait_until_ready(&process, 200, "degraded", &["redis"]).await;
    let (socket, _) = doors::websocket(&process.url(), &process.token()).await.expect("in");
    let mut speaker = Speaker::new(socket, 1);
    speaker.say(20).await;
    speaker.finish().await;
    speaker.assert_whole();
    Ledger(&url).wait_for(speaker.said_ms(), SOON).await;
    redis.restart().expect("back");
    wait_until_ready(&process, 200, "ready", &[]).await;
}

/// With neither, a stream is transcribed all the same, and billed once there is a table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_either_a_stream_runs_and_is_billed_later() {
    let mut postgres = Postgres::start().expect("postgres");
    let mut redis = Redis::start().expect("redis");
    let url = postgres.create_database().expect("a database");
    postgres.stop().expect("stopped");
    redis.stop().expect("stopped");
    let (variables, _deepgram) = variables(&url, &redis.url()).await;
    let process = ServiceProcess::start(&variables).await;
    let (status, _, away) = ready(&process).await;
    assert_eq!((status, away), (503, vec!["postgres".to_owned(), "redis".to_owned()]));
    let (socket, _) = doors::websocket(&process.url(), &process.token()).await.expect("in");
    let mut speaker = Speaker::new(socket, 1);
    speaker.say(30).await;
    speaker.finish().await;
    speaker.assert_whole();
    redis.restart().expect("back");
    postgres.restart().expect("back");
    wait_until_ready(&process, 200, "ready", &[]).await;
    Ledger(&url).wait_for(speaker.said_ms(), SOON).await;
}

/// A replica that is told to stop before it ever saw its database waits for it within its limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_waits_for_a_schema_that_was_never_seen() {
    let mut postgres = Postgres::start().expect("postgres");
    let url = postgres.create_database().expect("a database");
    postgres.stop().expect("stopped");
    // With Redis there the usage would wait in it for the next replica.
    let (variables, _deepgram) = variables(&url, "redis://127.0.0.1:1").await;
    let mut process = ServiceProcess::start(&variables).await;
    let (socket, _) = doors::websocket(&process.url(), &process.token()).await.expect("in");
    let mut speaker = Speaker::new(socket, 1);
    speaker.say(30).await;
    speaker.finish().await;
    process.guard.signal(Signal::Terminate).expect("told");
    speaker.hear_out().await;
    postgres.restart().expect("back");
    Ledger(&url).wait_for(speaker.said_ms(), LONG).await;
    assert_eq!(process.guard.wait(SOON).expect("it ended"), 0, "{}", process.log());
}
