//! Leases of several replicas on a real Redis.

use std::time::{Duration, Instant};

use testkit::process;

use super::*;
use crate::{
    config::{Config, Env},
    limits::tests::connect,
};

/// How long anything may take that waits for no expiry.
const SOON: Duration = Duration::from_secs(5);

/// A replica that grants so many leases, and who stops it.
async fn replica(server: &process::Redis, limits: &[(&str, &str)]) -> (Leases, Shutdown) {
    let pairs = limits.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let config = Config::load(&pairs.collect::<Env>()).unwrap().limits;
    let shutdown = Shutdown::default();
    let redis = connect(server, &shutdown).await;
    let fleet = Fleet::join(redis.clone(), &shutdown);
    let metrics = Metrics::new().unwrap();
    (Leases::new(config, redis, fleet, metrics, &shutdown), shutdown)
}

async fn acquire(leases: &Leases, account: &str) -> Result<Lease, Error> {
    leases.acquire(SessionId::mint(), account, Plan::Free).await
}

fn held(server: &process::Redis) -> String {
    server.command(&["ZCARD", "test:{live}:leases"]).unwrap()
}

async fn until_held(server: &process::Redis, count: usize, deadline: Duration) {
    let what = format!("{count} leases");
    let is = async || held(server) == format!(":{count}\r\n");
    testkit::wait_until(&what, deadline, is).await.unwrap();
}

#[tokio::test]
async fn caps_hold_for_an_account_and_for_all() {
    let server = process::Redis::start().unwrap();
    let limits = [("LIMIT_LIVE_SESSIONS", "2"), ("LIMIT_LIVE_SESSIONS_TOTAL", "3")];
    let (one, stop_one) = replica(&server, &limits).await;
    let (other, stop_other) = replica(&server, &limits).await;
    let first = acquire(&one, "ann").await.unwrap();
    let _second = acquire(&other, "ann").await.unwrap();
    let refusal = acquire(&one, "ann").await.unwrap_err();
    assert_eq!(format!("{refusal:?}"), "rate_limited: your plan allows 2 live sessions at once");
    assert!(refusal.retry_after.is_some());
    let _third = acquire(&other, "bob").await.unwrap();
    assert_eq!(acquire(&one, "cat").await.unwrap_err().kind, ErrorKind::Overloaded);
    drop(first);
    // At once on the same replica, and soon on another.
    let again = acquire(&one, "ann").await.unwrap();
    drop(again);
    until_held(&server, 2, SOON).await;
    acquire(&other, "ann").await.unwrap();
    stop_one.abort();
    stop_other.abort();
}

#[tokio::test]
async fn a_session_takes_its_own_lease_over() {
    let server = process::Redis::start().unwrap();
    let (one, stop_one) = replica(&server, &[("LIMIT_LIVE_SESSIONS", "1")]).await;
    let (other, stop_other) = replica(&server, &[("LIMIT_LIVE_SESSIONS", "1")]).await;
    let session = SessionId::mint();
    let old = one.acquire(session, "ann", Plan::Free).await.unwrap();
    let new = one.acquire(session, "ann", Plan::Free).await.unwrap();
    drop(old);
    assert_eq!(one.keeper.table().due().len(), 1, "the newer one is still renewed");
    assert!(acquire(&other, "ann").await.is_err(), "an older lease takes no newer one with it");
    let _elsewhere = other.acquire(session, "ann", Plan::Free).await.unwrap();
    assert_eq!(held(&server), ":1\r\n");
    drop(new);
    stop_one.abort();
    stop_other.abort();
}

#[tokio::test]
async fn a_replica_that_stops_renewing_loses_its_leases() {
    let server = process::Redis::start().unwrap();
    let (one, stop_one) = replica(&server, &[("LIMIT_LIVE_SESSIONS", "1")]).await;
    let (other, stop_other) = replica(&server, &[("LIMIT_LIVE_SESSIONS", "1")]).await;
    let lease = acquire(&one, "ann").await.unwrap();
    let renewed_until = Instant::now() + EXPIRY + Duration::from_secs(1);
    while Instant::now() < renewed_until {
        assert!(acquire(&other, "ann").await.is_err(), "it was renewed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // The keeper is gone, as in a process that was killed.
    stop_one.abort();
    let died = Instant::now();
    let freed = async || acquire(&other, "ann").await.is_ok();
    testkit::wait_until("the lease to expire", 2 * EXPIRY, freed).await.unwrap();
    assert!(died.elapsed() < EXPIRY + Duration::from_secs(1), "{:?}", died.elapsed());
    drop(lease);
    stop_other.abort();
}

/// As of a replica that was frozen: others took the place, and it must win it again.
#[tokio::test]
async fn a_lease_that_expired_is_lost_if_others_took_its_place() {
    let server = process::Redis::start().unwrap();
    let (one, stop_one) = replica(&server, &[("LIMIT_LIVE_SESSIONS", "1")]).await;
    let lease = acquire(&one, "ann").await.unwrap();
    let account = "test:{live}:leases:ann";
    for key in ["test:{live}:leases", account] {
        server.command(&["DEL", key]).unwrap();
    }
    // There is room: it is taken again.
    until_held(&server, 1, SOON).await;
    assert!(lease.loss().is_none());
    for key in ["test:{live}:leases", account] {
        server.command(&["DEL", key]).unwrap();
        server.command(&["ZADD", key, "99999999999999", "a session elsewhere"]).unwrap();
    }
    let lost = async || lease.loss().is_some();
    testkit::wait_until("the loss to be told", SOON, lost).await.unwrap();
    assert_eq!(lease.loss().unwrap().kind, ErrorKind::RateLimited);
    stop_one.abort();
}

#[tokio::test]
async fn after_a_loss_of_all_leases_owners_register_first() {
    let server = process::Redis::start().unwrap();
    let limits = [("LIMIT_LIVE_SESSIONS", "1")];
    let (owner, stop_owner) = replica(&server, &limits).await;
    let (other, stop_other) = replica(&server, &limits).await;
    let began = Instant::now();
    let lease = acquire(&owner, "ann").await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "a fresh fleet does not pause");
    let marked = async || server.command(&["EXISTS", "test:{live}:since"]).unwrap() == ":1\r\n";
    testkit::wait_until("the marker", SOON, marked).await.unwrap();
    // Both have seen the marker once each has renewed after it was made.
    tokio::time::sleep(crate::fleet::HEARTBEAT).await;
    server.command(&["FLUSHALL"]).unwrap();
    let (stranger, stop_stranger) = replica(&server, &limits).await;
    let began = Instant::now();
    let refused = tokio::join!(acquire(&other, "ann"), acquire(&other, "ann"));
    assert!(refused.0.is_err() && refused.1.is_err(), "{refused:?}");
    assert!(acquire(&stranger, "ann").await.is_err(), "one that has just come");
    assert!(began.elapsed() > Duration::from_secs(2), "admission paused");
    until_held(&server, 1, SOON).await;
    assert!(lease.loss().is_none(), "the owner kept it");
    for stop in [stop_owner, stop_other, stop_stranger] {
        stop.abort();
    }
}

#[tokio::test]
async fn without_redis_each_replica_grants_its_share() {
    let mut server = process::Redis::start().unwrap();
    let limits = [("LIMIT_LIVE_SESSIONS", "4")];
    let (one, stop_one) = replica(&server, &limits).await;
    let (other, stop_other) = replica(&server, &limits).await;
    let known = async || one.keeper.replicas() == 2 && other.keeper.replicas() == 2;
    testkit::wait_until("the replicas to know of each other", SOON, known).await.unwrap();
    let mut leases = vec![acquire(&one, "ann").await.unwrap()];
    server.kill().unwrap();
    leases.push(acquire(&one, "ann").await.unwrap());
    for _ in 0..10 {
        let began = Instant::now();
        assert!(acquire(&one, "ann").await.is_err(), "what Redis granted counts too");
        assert!(began.elapsed() < SOON / 4, "nobody waits for it");
    }
    leases.push(acquire(&other, "ann").await.unwrap());
    leases.push(acquire(&other, "ann").await.unwrap());
    assert!(acquire(&other, "ann").await.is_err());
    server.restart().unwrap();
    until_held(&server, 4, SOON).await;
    let refused = async || acquire(&other, "ann").await.is_err();
    assert!(refused().await);
    leases.pop();
    let granted = async || acquire(&one, "ann").await.is_ok();
    testkit::wait_until("a place", 2 * SOON, granted).await.unwrap();
    assert!(leases.iter().all(|lease| lease.loss().is_none()), "sessions that run go on");
    stop_one.abort();
    stop_other.abort();
}

/// Shares that were rounded up, and then a Redis that forgets: whoever runs goes on.
#[tokio::test]
async fn sessions_beyond_the_cap_are_registered_too() {
    let server = process::Redis::start().unwrap();
    let limits = [("LIMIT_LIVE_SESSIONS", "1")];
    let (one, stop_one) = replica(&server, &limits).await;
    let (other, stop_other) = replica(&server, &limits).await;
    let first = acquire(&one, "ann").await.unwrap();
    server.freeze().unwrap();
    // The account has its one session, but this replica may grant one by itself.
    let second = acquire(&other, "ann").await.unwrap();
    server.thaw().unwrap();
    until_held(&server, 2, SOON).await;
    server.command(&["FLUSHALL"]).unwrap();
    until_held(&server, 2, SOON).await;
    assert!(first.loss().is_none() && second.loss().is_none());
    stop_one.abort();
    stop_other.abort();
}
