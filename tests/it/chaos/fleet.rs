//! Faults of the whole fleet: deploys, and everything at once.

use std::time::Duration;

use anyhow::ensure;
use testkit::process::{Haproxy, Signal};

use super::{
    scene::{Scene, lasts, one_session_each, summary, talking},
    stock::{self, StockClient, TRANSPORTS},
};
use crate::harness::{LONG, SOON, Shape};

/// Replaces each replica in turn, as a rolling deploy does.
pub async fn roll(scene: &mut Scene, cuts: f64) -> anyhow::Result<()> {
    for number in 0..scene.cluster.replicas.len() {
        scene.cluster.signal(number, Signal::Terminate);
        let mut code = None;
        while code.is_none() {
            scene.cut_clients(cuts);
            lasts(Duration::from_millis(500)).await;
            code = scene.cluster.replicas[number].process.guard.exit_code()?;
        }
        ensure!(code == Some(0), "replica {number} ended with {code:?}");
        scene.cluster.revive(number).await;
    }
    Ok(())
}

/// F41: every replica is replaced in turn.
pub async fn rolling_deploy(seed: u64) -> anyhow::Result<String> {
    let mut scene = talking(Shape::new(3, seed).with("DRAIN_SECONDS", "8"), 4).await?;
    let began = scene.moment();
    roll(&mut scene, 0.0).await?;
    let silence = scene.silence_since(&began, Duration::from_secs(5))?;
    scene.until_words(75, SOON * 2).await?;
    let evidence = scene.judge().await?;
    one_session_each(&evidence)?;
    Ok(format!("silent for {silence:.1?}; {}", summary(&evidence)))
}

/// F42: a balancer that keeps nobody where they are, through the same deploy and a kill; some speak
/// over WebSockets, some as stock clients do, some by polling alone.
pub async fn balanced_at_random(seed: u64) -> anyhow::Result<String> {
    let shape = Shape::new(3, seed).with("DRAIN_SECONDS", "8").with("TRUSTED_PROXIES", "1");
    let mut scene = Scene::new(shape.with("EDGE_RATE", "10000")).await;
    let doors = scene.cluster.replicas.iter().map(|replica| replica.door.address().port());
    let balancer = Haproxy::start(&doors.collect::<Vec<_>>())?;
    let mut stock: Vec<_> = (5..)
        .zip(TRANSPORTS)
        .map(|(tenant, transport)| {
            let token = scene.cluster.token(tenant);
            StockClient::start(&balancer.url(), &token, transport, (tenant, 1))
        })
        .collect();
    for tenant in 1..=4 {
        let mut plan = scene.cluster.plan(tenant, 1);
        plan.addresses = vec![balancer.url()];
        scene.begin(plan).await;
    }
    scene.until_acked(2_000).await?;
    for client in &stock {
        client.wait("words", SOON, |spoken| spoken.heard_frames() > 0).await?;
    }
    let began = scene.moment();
    roll(&mut scene, 0.0).await?;
    scene.cluster.kill(0);
    let silence = scene.silence_since(&began, Duration::from_secs(6))?;
    scene.until_words(75, SOON * 2).await?;
    let mut others = Vec::new();
    for (client, transport) in stock.iter_mut().zip(TRANSPORTS) {
        let goal = client.history().heard_frames() + 75;
        client.wait("more words", LONG, |spoken| spoken.heard_frames() >= goal).await?;
        others.push(client.finish(LONG).await?);
        stock::used(&others[others.len() - 1], transport)?;
    }
    let evidence = scene.judge_with(others).await?;
    one_session_each(&evidence)?;
    Ok(format!("silent for {silence:.1?}; {}", summary(&evidence)))
}

/// F64: Redis goes and comes back, every replica is replaced, and clients are cut all the time.
pub async fn everything(seed: u64) -> anyhow::Result<String> {
    let mut scene = talking(Shape::new(3, seed).with("DRAIN_SECONDS", "8"), 6).await?;
    scene.cluster.redis.kill()?;
    lasts(Duration::from_secs(2)).await;
    scene.cut_clients(0.05);
    lasts(Duration::from_secs(4)).await;
    scene.cluster.redis.restart()?;
    roll(&mut scene, 0.05).await?;
    scene.until_words(150, LONG).await?;
    let evidence = scene.judge().await?;
    Ok(summary(&evidence))
}
