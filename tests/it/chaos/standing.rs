//! Faults of Redis and a replica at once: what Postgres knows of sessions is all that is left.

use std::time::Duration;

use anyhow::{Context, ensure};
use testkit::{history::Viewed, process::Signal};

use super::scene::{Scene, lasts, one_session_each, summary, talking};
use crate::harness::{LONG, SOON, Shape};

/// Words that must still come after a fault before the run is over.
const MORE: u64 = 75;

async fn people(seed: u64) -> anyhow::Result<Scene> {
    talking(Shape::new(2, seed), 3).await
}

async fn is_well(scene: Scene) -> anyhow::Result<String> {
    scene.until_more_acked(2_000, LONG).await?;
    let evidence = scene.judge().await?;
    one_session_each(&evidence)?;
    Ok(summary(&evidence))
}

/// F65: Redis is killed; audio is acknowledged all the same. Then a replica is killed as well.
pub async fn killed_without_redis(seed: u64) -> anyhow::Result<String> {
    let mut scene = people(seed).await?;
    scene.cluster.redis.kill()?;
    scene.until_more_acked(3_000, LONG).await?;
    scene.cluster.kill(0);
    scene.until_words(MORE, LONG).await?;
    scene.until_more_acked(1_000, LONG).await?;
    scene.cluster.redis.restart()?;
    scene.until_words(MORE, LONG).await?;
    let gone = async || {
        let rows: Result<Vec<(i64,)>, _> = crate::harness::Ledger(&scene.cluster.database_url)
            .rows("SELECT count(*) FROM room_records")
            .await;
        rows.is_ok_and(|rows| rows == [(0,)])
    };
    testkit::wait_until("the rooms to have it all", LONG, gone).await?;
    is_well(scene).await
}

/// F66: Redis forgets everything, and a replica is killed before it could say it again. What no
/// other replica has read by then, and Postgres has not stored, is nowhere: nobody's transcript is
/// stored, and the other has read its rooms.
pub async fn killed_after_a_flush(seed: u64) -> anyhow::Result<String> {
    let mut scene = Scene::new(Shape::new(2, seed)).await;
    for tenant in 1..=3 {
        scene.begin_unstored(tenant).await;
    }
    scene.until_acked(2_000).await?;
    scene.cluster.signal(0, Signal::Stop);
    let readers = scene.viewers.iter().map(|viewer| viewer.read(Viewed::clone));
    for (at, reader) in readers.enumerate().filter(|(_, reader)| reader.name.ends_with("-1")) {
        let last_n = last_n(&scene, &reader.room)?;
        let read = |viewed: &Viewed| viewed.tracks.values().any(|track| track.last_n() >= last_n);
        scene.viewers[at].wait("what its room has", SOON, read).await?;
    }
    scene.cluster.redis.command(&["FLUSHALL"])?;
    scene.cluster.kill(0);
    scene.until_words(MORE, LONG).await?;
    is_well(scene).await
}

/// The number of the last final of the one session in a room, as Redis has it.
fn last_n(scene: &Scene, room: &str) -> anyhow::Result<u64> {
    let redis = &scene.cluster.redis;
    let keys = redis.command(&["KEYS", &format!("*:{{room:{room}}}:numbers")])?;
    let numbers = redis.command(&["HVALS", keys.lines().last().context("a room")?])?;
    numbers.lines().last().and_then(|n| n.parse().ok()).context(numbers)
}

/// F67: a replica is frozen while Redis is away, and thaws once another has its sessions by Postgres.
pub async fn frozen_without_redis(seed: u64) -> anyhow::Result<String> {
    let mut scene = people(seed).await?;
    scene.cluster.redis.kill()?;
    scene.until_more_acked(1_000, LONG).await?;
    scene.cluster.signal(0, Signal::Stop);
    scene.until_words(MORE, LONG).await?;
    scene.until_more_acked(1_000, LONG).await?;
    scene.cluster.signal(0, Signal::Continue);
    lasts(Duration::from_secs(3)).await;
    scene.cluster.redis.restart()?;
    scene.until_words(MORE / 3, LONG).await?;
    let lived = scene.cluster.metric(0, "live_sessions", &[]).await;
    ensure!(lived < 0.5, "{lived} sessions live where none is");
    scene.all_move(0, SOON * 2).await?;
    is_well(scene).await
}
