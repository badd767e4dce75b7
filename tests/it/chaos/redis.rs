//! Faults of Redis: killed, emptied, failed over, silent, slow, full.

use std::time::Duration;

use anyhow::ensure;
use testkit::{process::Redis, proxy::Mode};

use super::scene::{Scene, lasts, one_session_each, summary};
use crate::harness::{LONG, SOON, Shape};

/// No word may be later than this while Redis is away: none waits for it.
const UNTOUCHED: Duration = Duration::from_secs(3);
const OUTAGE: Duration = Duration::from_secs(10);

/// Two whose transcripts are stored, and two whose are not.
async fn people(seed: u64) -> anyhow::Result<Scene> {
    let mut scene = Scene::new(Shape::new(2, seed)).await;
    scene.begin_many(4).await;
    scene.until_acked(2_000).await?;
    Ok(scene)
}

/// All is as before: what was said in the meantime is durable, and sessions go elsewhere.
async fn is_healed(scene: &Scene) -> anyhow::Result<()> {
    scene.until_more_acked(2_000, LONG).await?;
    scene.all_move(1, LONG).await?;
    scene.until_words(50, SOON * 2).await
}

/// Everybody hears on; then the fault is over, and all is as before.
async fn through(
    mut scene: Scene,
    time: Duration,
    begin: impl AsyncFnOnce(&mut Scene) -> anyhow::Result<()>,
    end: impl AsyncFnOnce(&mut Scene) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let began = scene.moment();
    begin(&mut scene).await?;
    lasts(time).await;
    let silence = scene.silence_since(&began, UNTOUCHED)?;
    end(&mut scene).await?;
    is_healed(&scene).await?;
    let evidence = scene.judge().await?;
    one_session_each(&evidence)?;
    Ok(format!("silent for {silence:.1?}; {}", summary(&evidence)))
}

/// F8: killed, and back, empty, after a while.
pub async fn killed(seed: u64) -> anyhow::Result<String> {
    let end = async |scene: &mut Scene| scene.cluster.redis.restart();
    through(people(seed).await?, OUTAGE, async |scene| scene.cluster.redis.kill(), end).await
}

/// F9: FLUSHALL.
pub async fn emptied(seed: u64) -> anyhow::Result<String> {
    let flush = async |scene: &mut Scene| scene.cluster.redis.command(&["FLUSHALL"]).map(drop);
    through(people(seed).await?, Duration::from_secs(2), flush, async |_| Ok(())).await
}

/// F10: failover to a replica that had not heard the last seconds.
pub async fn failed_over(seed: u64) -> anyhow::Result<String> {
    let mut scene = people(seed).await?;
    let other = Redis::start()?;
    let port = scene.cluster.redis.port().to_string();
    other.command(&["REPLICAOF", "127.0.0.1", &port])?;
    let linked = async || {
        let info = other.command(&["INFO", "replication"]);
        info.is_ok_and(|info| info.contains("master_link_status:up"))
    };
    testkit::wait_until("the replica to follow", SOON, linked).await?;
    scene.until_words(25, SOON).await?;
    other.command(&["REPLICAOF", "NO", "ONE"])?;
    // These the replica never hears of.
    scene.until_more_acked(2_000, SOON * 2).await?;
    let former = std::mem::replace(&mut scene.cluster.redis, other);
    let address = ([127, 0, 0, 1], scene.cluster.redis.port()).into();
    let switch = async |scene: &mut Scene| {
        scene.cluster.redis_way.set_target(address);
        scene.cluster.redis_way.cut_all();
        drop(former);
        Ok(())
    };
    through(scene, Duration::from_secs(2), switch, async |_| Ok(())).await
}

/// F11: connections stay open and nothing is answered.
pub async fn silent(seed: u64) -> anyhow::Result<String> {
    let begin = async |scene: &mut Scene| {
        scene.cluster.redis_way.set(Mode::blackhole());
        Ok(())
    };
    let end = async |scene: &mut Scene| {
        scene.cluster.redis_way.pass();
        Ok(())
    };
    through(people(seed).await?, OUTAGE, begin, end).await
}

/// F12: more than half a second for each reply; sessions change hands all the same.
pub async fn slow(seed: u64) -> anyhow::Result<String> {
    let scene = people(seed).await?;
    let began = scene.moment();
    let each_way = Duration::from_millis(300);
    scene.cluster.redis_way.set(Mode::delayed(each_way, each_way));
    lasts(Duration::from_secs(5)).await;
    let silence = scene.silence_since(&began, UNTOUCHED)?;
    scene.all_move(1, SOON * 2).await?;
    scene.until_words(50, SOON * 2).await?;
    scene.cluster.redis_way.pass();
    is_healed(&scene).await?;
    let evidence = scene.judge().await?;
    one_session_each(&evidence)?;
    Ok(format!("silent for {silence:.1?}; {}", summary(&evidence)))
}

/// F13: no memory left for writes.
pub async fn full(seed: u64) -> anyhow::Result<String> {
    let begin = async |scene: &mut Scene| {
        let refuses = ["CONFIG", "SET", "maxmemory", "1000"];
        scene.cluster.redis.command(&refuses)?;
        let refused = scene.cluster.redis.command(&["SET", "a", "b"]);
        ensure!(refused.is_err_and(|error| error.to_string().contains("OOM")), "it takes writes");
        Ok(())
    };
    let end = async |scene: &mut Scene| {
        scene.cluster.redis.command(&["CONFIG", "SET", "maxmemory", "0"]).map(drop)
    };
    through(people(seed).await?, OUTAGE, begin, end).await
}

/// F14: our subscribers are thrown out, as when their output buffer overflows.
pub async fn subscribers_cut(seed: u64) -> anyhow::Result<String> {
    let cut = async |scene: &mut Scene| {
        let killed = scene.cluster.redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"])?;
        ensure!(killed.trim() != ":0", "nobody subscribes");
        Ok(())
    };
    through(people(seed).await?, Duration::from_secs(1), cut, async |_| Ok(())).await
}
