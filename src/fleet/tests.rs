//! Replicas that come, stay through an outage, go and die.

use std::time::Duration;

use testkit::process;

use super::{EXPIRY, Fleet, HEARTBEAT, Member};
use crate::{config::RedisConfig, lifecycle::Shutdown, model::Clock, redis::Redis};

/// A replica on that Redis, and who stops it.
fn replica(server: &process::Redis) -> (Fleet, Shutdown) {
    member(server, Member::default())
}

fn member(server: &process::Redis, member: Member) -> (Fleet, Shutdown) {
    let config = RedisConfig { url: server.url().into(), prefix: "test".to_owned() };
    let shutdown = Shutdown::default();
    let redis = Redis::connect(&config, &shutdown).unwrap();
    (Fleet::join_as(member, redis, &shutdown), shutdown)
}

async fn until(fleet: &Fleet, replicas: u32, deadline: Duration) {
    let what = format!("{replicas} replicas");
    let counted = async || fleet.replicas() == replicas;
    testkit::wait_until(&what, deadline, counted).await.unwrap();
}

fn known(server: &process::Redis) -> String {
    server.command(&["ZCARD", "test:replicas"]).unwrap()
}

#[tokio::test]
async fn the_living_are_counted() {
    let mut server = process::Redis::start().unwrap();
    let (first, stop_first) = replica(&server);
    let (second, stop_second) = replica(&server);
    assert_ne!(first.id(), second.id());
    // One that has just died said no goodbye, and one of long ago is forgotten at once.
    let now_ms = Clock.now().timestamp_millis().to_string();
    server.command(&["ZADD", "test:replicas", &now_ms, "dead", "1", "forgotten"]).unwrap();
    until(&first, 3, 2 * HEARTBEAT).await;
    second.leave().await;
    assert_eq!(known(&server), ":2\r\n", "who leaves is gone at once");
    until(&first, 1, EXPIRY + 6 * HEARTBEAT).await;
    let (_third, stop_third) = replica(&server);
    until(&first, 2, 2 * HEARTBEAT).await;
    // Whoever comes first to a Redis without memory is not alone for that.
    server.restart().unwrap();
    let heard = async || known(&server) == ":1\r\n";
    testkit::wait_until("the first to be heard", 2 * HEARTBEAT, heard).await.unwrap();
    assert_eq!(first.replicas(), 2);
    server.kill().unwrap();
    tokio::time::sleep(HEARTBEAT + Duration::from_secs(1)).await;
    assert_eq!(first.replicas(), 2, "what was known last is kept");
    for stop in [stop_first, stop_second, stop_third] {
        stop.abort();
        tokio::time::timeout(Duration::from_secs(5), stop.wait()).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_replica_says_is_known_to_the_others() {
    let server = process::Redis::start().unwrap();
    let (one, stop_one) = replica(&server);
    until(&one, 1, 2 * HEARTBEAT).await;
    let (two, stop_two) = member(&server, Member::default().saying("two words".into()));
    let joined = async || known(&server) == ":2\r\n";
    testkit::wait_until("the second to be heard", 2 * HEARTBEAT, joined).await.unwrap();
    let found = one.find(two.tag()).await.expect("found before the next heartbeat");
    assert_eq!(found.card.as_deref(), Some("two words"));
    assert!(one.find(Member::default().tag()).await.is_none());
    // It dies without a goodbye.
    let gone = one.gone(two.tag());
    stop_two.hard().cancel();
    let dead = format!("{} two words", two.id());
    let now_ms = Clock.now().timestamp_millis().to_string();
    let left = async || known(&server) == ":1\r\n";
    testkit::wait_until("its goodbye", 2 * HEARTBEAT, left).await.unwrap();
    server.command(&["ZADD", "test:replicas", &now_ms, &dead]).unwrap();
    tokio::time::timeout(EXPIRY + 3 * HEARTBEAT, gone).await.expect("missed");
    assert_eq!(one.peer(two.tag()), None);
    assert!(one.peer(one.tag()).is_some(), "itself it knows too");
    stop_one.abort();
}
