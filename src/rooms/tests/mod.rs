//! Rooms on a real Redis.

mod forgeries;
mod histories;
mod interleavings;
mod members;
mod outages;
mod owners;
mod refuge;
mod shares;
mod viewers;

use std::{sync::Arc, time::Duration};

use fred::interfaces::ClientLike;
use testkit::process;
use uuid::Uuid;

use super::*;
use crate::{config::RedisConfig, model::SessionId, postgres::private, usage::Mark};

/// How long anything may take that waits for no expiry and no outage.
const SOON: Duration = Duration::from_secs(5);
const LIFE: Duration = Duration::from_secs(3600);
const BOUNDS: Bounds = Bounds { finals: MAX_FINALS, bytes: MAX_BYTES, life: LIFE };
const ACCOUNT: &str = "user:7";

/// One replica, and who stops it.
struct Replica {
    rooms: Rooms,
    stop: Shutdown,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop.abort();
    }
}

async fn replica(server: &process::Redis) -> Replica {
    replica_with(server, BOUNDS).await
}

async fn replica_with(server: &process::Redis, bounds: Bounds) -> Replica {
    replica_on(server, private::at("postgresql://127.0.0.1:1/none"), bounds).await
}

async fn replica_on(server: &process::Redis, database: Database, bounds: Bounds) -> Replica {
    let config = RedisConfig { url: server.url().into(), prefix: "test".to_owned() };
    let stop = Shutdown::default();
    let redis = Redis::connect(&config, &stop).unwrap();
    redis.client().wait_for_connect().await.unwrap();
    let metrics = Metrics::new().unwrap();
    let secrets = Secrets::new(Some("one of many".into()), None);
    let revocations = Revocations::new(redis.clone(), metrics.clone(), stop.clone());
    let ground = Ground { redis, database, secrets, revocations, metrics };
    Replica { rooms: Rooms::bounded(ground, bounds, &stop), stop }
}

async fn claim(replica: &Replica, session: SessionId) -> Claim {
    replica.rooms.history().claim(&room(), ACCOUNT, session, 0).await.unwrap().0
}

fn mark(last_n: u64, bookmark: &str) -> Mark {
    Mark { covered_ms: last_n * 1_000, last_n, bookmark: bookmark.to_owned() }
}

fn room() -> RoomName {
    "meeting-1".parse().unwrap()
}

fn text(session: SessionId, n: u64) -> Text {
    Text { label: Label { session, n }, body: format!("words of {n}") }
}

fn texts(session: SessionId, numbers: impl IntoIterator<Item = u64>) -> Vec<Arc<Text>> {
    numbers.into_iter().map(|n| Arc::new(text(session, n))).collect()
}

/// Publishes finals of those numbers, again and again while Redis cannot take them.
async fn publish(
    publisher: &mut Publisher,
    session: SessionId,
    numbers: impl IntoIterator<Item = u64>,
) {
    for n in numbers {
        // What failed is taken with the flush.
        let _ = publisher.publish(text(session, n)).await;
    }
    let stored = async || matches!(publisher.flush().await, Ok(Published::Stored { .. }));
    until("everything to be stored", 4 * SOON, stored).await;
}

async fn until(what: &str, deadline: Duration, condition: impl AsyncFnMut() -> bool) {
    testkit::wait_until(what, deadline, condition).await.unwrap();
}

/// The next update but interims and how many watch.
async fn next(viewer: &mut Viewer) -> Update {
    let next = async {
        loop {
            match viewer.next().await.unwrap() {
                Update::Interim(_) | Update::Viewers(_) => {}
                update => return update,
            }
        }
    };
    tokio::time::timeout(4 * SOON, next).await.expect("an update")
}

/// The numbers of the next finals, with nothing between them.
async fn numbers(viewer: &mut Viewer, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        match next(viewer).await {
            Update::Final(recorded) => numbers.push(recorded.text.label.n),
            other => panic!("after {numbers:?}: {other:?}"),
        }
    }
    numbers
}

/// The next finals up to that number, whatever is told of outages on the way, and what that was.
async fn up_to(viewer: &mut Viewer, last: u64) -> (Vec<u64>, Vec<Update>) {
    let (mut numbers, mut told) = (Vec::new(), Vec::new());
    while numbers.last() != Some(&last) {
        match next(viewer).await {
            Update::Final(recorded) => numbers.push(recorded.text.label.n),
            other => told.push(other),
        }
    }
    (numbers, told)
}

fn upwards(numbers: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    numbers.collect()
}

/// Commands that Redis has run, of that kind.
fn calls(server: &process::Redis, command: &str) -> u64 {
    let stats = server.command(&["INFO", "commandstats"]).unwrap();
    let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{command}:")));
    let calls = line.and_then(|line| line.split("calls=").nth(1)?.split(',').next()?.parse().ok());
    calls.unwrap_or(0)
}

#[test]
fn names_are_plain() {
    for good in ["a", "Meeting_1.b-c", &"x".repeat(100)] {
        assert_eq!(good.parse::<RoomName>().unwrap().as_str(), good);
    }
    for bad in ["", "a b", "a:b", "{a}", "ä", "a\n", &"x".repeat(101)] {
        assert!(bad.parse::<RoomName>().is_err(), "{bad}");
    }
}

fn session() -> SessionId {
    SessionId(Uuid::new_v4())
}
