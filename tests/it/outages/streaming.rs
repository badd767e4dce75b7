//! Databases killed in mid-stream: the words go on, and each millisecond is billed once.

use testkit::process::{Postgres, Redis};

use super::{variables, wait_until_ready};
use crate::harness::{LONG, Ledger, ServiceProcess, Speaker, doors};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_killed_in_mid_stream() {
    let mut postgres = Postgres::start().expect("postgres");
    let url = postgres.create_database().expect("a database");
    let (variables, _deepgram) = variables(&url, &crate::harness::redis_url()).await;
    let process = ServiceProcess::start(&variables).await;
    wait_until_ready(&process, 200, "ready", &[]).await;
    let (socket, _) = doors::websocket(&process.url(), &process.token()).await.expect("in");
    let mut speaker = Speaker::new(socket, 1);
    speaker.say(30).await;
    speaker.hear_ack(2_000).await;

    postgres.kill().expect("killed");
    wait_until_ready(&process, 200, "degraded", &["postgres"]).await;
    speaker.say(30).await;
    speaker.hear_until(|message| message["n"].as_u64() >= Some(5)).await;
    // A new session is welcome too; it is billed later.
    let (socket, _) = doors::websocket(&process.url(), &process.token()).await.expect("in");
    let mut other = Speaker::new(socket, 2);
    other.say(10).await;
    other.finish().await;
    other.assert_whole();

    postgres.restart().expect("back");
    wait_until_ready(&process, 200, "ready", &[]).await;
    speaker.say(30).await;
    speaker.finish().await;
    speaker.assert_whole();
    wait_for_both(&url, [speaker.said_ms(), other.said_ms()]).await;
}

/// Waits until both sessions are billed, each millisecond of them once.
async fn wait_for_both(url: &str, said_ms: [i64; 2]) {
    let query = "SELECT sum(range_end_ms - range_start_ms)::bigint, max(range_end_ms), \
                 sum(audio_duration_seconds) * 1000 \
                 FROM usage_logs GROUP BY session_id ORDER BY 2 DESC";
    let expected = said_ms.map(|ms| (ms, ms, ms as f64));
    let billed = async || {
        let rows: Result<Vec<(i64, i64, f64)>, _> = Ledger(url).rows(query).await;
        rows.is_ok_and(|rows| rows == expected)
    };
    testkit::wait_until("both sessions to be billed", LONG, billed).await.expect("billed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_killed_in_mid_stream() {
    let mut redis = Redis::start().expect("redis");
    let url = crate::harness::postgres().create_database().expect("a database");
    let (variables, _deepgram) = variables(&url, &redis.url()).await;
    let process = ServiceProcess::start(&variables).await;
    wait_until_ready(&process, 200, "ready", &[]).await;
    let (socket, _) = doors::websocket(&process.url(), &process.token()).await.expect("in");
    let mut speaker = Speaker::new(socket, 1);
    speaker.say(20).await;
    speaker.hear_final().await;
    redis.kill().expect("killed");
    wait_until_ready(&process, 200, "degraded", &["redis"]).await;
    speaker.say(20).await;
    speaker.hear_until(|message| message["n"].as_u64() >= Some(4)).await;
    redis.restart().expect("back");
    wait_until_ready(&process, 200, "ready", &[]).await;
    // Answering is not enough: a Redis that hangs must not hold anybody up either.
    redis.freeze().expect("frozen");
    wait_until_ready(&process, 200, "degraded", &["redis"]).await;
    speaker.say(10).await;
    speaker.finish().await;
    speaker.assert_whole();
    Ledger(&url).wait_for(speaker.said_ms(), LONG).await;
    redis.thaw().expect("thawed");
    wait_until_ready(&process, 200, "ready", &[]).await;
}
