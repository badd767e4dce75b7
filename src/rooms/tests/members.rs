//! How many watch, when some leave and a replica dies.

use super::*;
use crate::fleet::{EXPIRY, HEARTBEAT};

#[tokio::test]
async fn viewers_are_counted_until_they_leave_or_their_replica_dies() {
    let server = process::Redis::start().unwrap();
    let (one, other) = (replica(&server).await, replica(&server).await);
    let mut here: Vec<Viewer> =
        (0..5).map(|_| one.rooms.join(&room(), ACCOUNT, Start::Now)).collect();
    let mut there: Vec<Viewer> =
        (0..3).map(|_| other.rooms.join(&room(), ACCOUNT, Start::Now)).collect();
    let count = async |expected: u64, deadline| {
        let is = async || one.rooms.viewers(&room()).await.unwrap() == expected;
        until(&format!("{expected} viewers"), deadline, is).await;
    };
    count(8, SOON).await;
    here.truncate(4);
    count(7, SOON).await;
    for replica in [&one, &other] {
        let mut viewer = replica.rooms.join(&room(), ACCOUNT, Start::Now);
        assert_eq!(viewer.count().await, 8, "itself among them");
        drop(viewer);
        count(7, SOON).await;
    }
    let told = async |viewer: &mut Viewer| {
        let told = async { while viewer.next().await.unwrap() != Update::Viewers(7) {} };
        tokio::time::timeout(SOON, told).await.expect("how many watch");
    };
    told(&mut here[0]).await;
    told(&mut there[0]).await;
    // Those who stay are renewed beyond their expiry; those of a dead replica are forgotten.
    other.stop.abort();
    let died = std::time::Instant::now();
    count(4, EXPIRY + SOON).await;
    assert!(died.elapsed() + HEARTBEAT + Duration::from_secs(1) > EXPIRY);
    drop((here, there));
    count(0, SOON).await;
    let rendered = one.rooms.metrics.render().unwrap();
    assert!(rendered.lines().any(|line| line.starts_with("room_viewers") && line.ends_with(" 0")));
}
