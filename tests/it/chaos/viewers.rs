//! Faults of those who watch: one who reads slowly, and a crowd whose speaker's replica dies.

use std::time::Duration;

use anyhow::ensure;
use testkit::{
    history::{Viewed, What},
    proxy::{Mode, Proxy},
    viewer::Viewer,
};

use super::scene::{Scene, one_session_each, room, summary};
use crate::harness::{LONG, SOON, Shape};

/// F39: a viewer on a narrow way is let go, and comes back to where it was.
pub async fn slow(seed: u64) -> anyhow::Result<String> {
    let mut shape = Shape::new(1, seed);
    // Finals come fast enough to fill what waits for a viewer.
    shape.deepgram.longest_segment = Duration::from_millis(100);
    let mut scene = Scene::new(shape).await;
    scene.watch(1).await;
    for session in 1..=4 {
        scene.begin(scene.cluster.plan(1, session)).await;
    }
    scene.until_acked(500).await?;
    let way = Proxy::start(([127, 0, 0, 1], scene.cluster.replicas[0].process.port).into()).await?;
    way.set(Mode::throttled(1_000));
    let mut watch = scene.cluster.watch(1, "slow", &room(1));
    watch.addresses = vec![way.url()];
    scene.viewers.push(Viewer::start(watch).await);
    let slow = scene.viewers.last().expect("a viewer");
    let let_go = |viewed: &Viewed| {
        let lost = |what: &What| matches!(what, What::Lost(_) | What::Silence);
        viewed.events.iter().any(|event| lost(&event.what))
    };
    slow.wait("to be let go", LONG, let_go).await?;
    way.pass();
    scene.until_words(25, SOON).await?;
    let evidence = scene.judge().await?;
    one_session_each(&evidence)?;
    let told = |what: &What| matches!(what, What::Told(told) if told["code"] == 4001);
    let slow = evidence.viewed.last().expect("a viewer");
    let heard = slow.events.iter().any(|event| told(&event.what));
    let how = if heard { "told 4001" } else { "cut" };
    Ok(format!("{how}; {}", summary(&evidence)))
}

/// F63: a crowd watches two rooms whose speakers' replica dies, while no database can be asked.
pub async fn crowd(seed: u64) -> anyhow::Result<String> {
    const CROWD: usize = 100;
    let mut scene = Scene::new(Shape::new(2, seed)).await;
    scene.begin_many(2).await;
    scene.until_acked(1_000).await?;
    for number in 0..CROWD {
        let tenant = (number % 2 + 1) as u16;
        let name = format!("{tenant}-{number}");
        let watch = scene.cluster.watch(tenant, &name, &room(tenant)).at(number / 2 % 2);
        scene.viewers.push(Viewer::start(watch).await);
    }
    let there = |viewed: &Viewed| !viewed.tracks.is_empty();
    scene.until_all_watch("the crowd", LONG, there).await?;
    scene.cluster.postgres.kill()?;
    scene.cluster.kill(0);
    scene.until_words(75, LONG).await?;
    let least: Vec<u64> = scene.viewers.iter().map(|one| one.read(|viewed| viewed.joins)).collect();
    scene.cluster.postgres.restart()?;
    let evidence = scene.judge().await?;
    one_session_each(&evidence)?;
    let back = evidence.viewed.iter().filter(|viewed| viewed.joins > 1).count();
    ensure!(back >= CROWD / 2, "{back} came back, {least:?}");
    Ok(format!("{back} of {CROWD} moved; {}", summary(&evidence)))
}
