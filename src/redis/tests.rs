//! A client whose server is away at boot, comes, goes, freezes and comes back.

use std::time::{Duration, Instant};

use fred::interfaces::ClientLike;
use testkit::process;

use super::Redis;
use crate::{config::RedisConfig, lifecycle::Shutdown, probe::Health};

async fn until(redis: &Redis, wanted: fn(&Health) -> bool) {
    let reached = async {
        while !wanted(&redis.health().await) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached).await.unwrap();
}

/// Fails, and soon.
async fn fails(redis: &Redis) {
    let asked = Instant::now();
    let answer: Result<String, _> = redis.client().ping(None).await;
    assert!(answer.is_err() && asked.elapsed() < Duration::from_secs(3), "{answer:?}");
}

#[tokio::test]
async fn a_client_survives_its_server() {
    let mut server = process::Redis::start().unwrap();
    server.stop().unwrap();
    let config = RedisConfig { url: server.url().into(), prefix: "test".to_owned() };
    let shutdown = Shutdown::default();
    let redis = Redis::connect(&config, &shutdown).unwrap();
    fails(&redis).await;
    assert!(redis.health().await.is_err());
    server.restart().unwrap();
    until(&redis, Result::is_ok).await;
    server.kill().unwrap();
    until(&redis, Result::is_err).await;
    server.restart().unwrap();
    until(&redis, Result::is_ok).await;
    server.freeze().unwrap();
    fails(&redis).await;
    until(&redis, Result::is_err).await;
    server.thaw().unwrap();
    until(&redis, Result::is_ok).await;
    shutdown.abort();
    tokio::time::timeout(Duration::from_secs(5), shutdown.wait()).await.unwrap();
}
