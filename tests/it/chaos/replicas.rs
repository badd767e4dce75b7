//! Faults of replicas: killed, frozen, told to stop, and robbed of their sessions.

use std::time::Duration;

use anyhow::ensure;
use testkit::{
    history::{Spoken, What},
    process::Signal,
};

use super::scene::{Scene, summary};
use crate::harness::{SOON, Shape};

/// Words that must still come after a fault before the run is over.
const MORE: u64 = 75;

/// F1: SIGKILL in mid-utterance.
pub async fn killed(seed: u64) -> anyhow::Result<String> {
    let mut scene = Scene::new(Shape::new(2, seed)).await;
    scene.begin_many(3).await;
    scene.until_acked(2_000).await?;
    let killed = scene.moment();
    scene.cluster.kill(0);
    scene.until_words(MORE, SOON * 2).await?;
    let silence = scene.silence_since(&killed, Duration::from_secs(5))?;
    let evidence = scene.judge().await?;
    ensure!(evidence.spoken.iter().all(|one| one.returns() >= 1), "somebody did not resume");
    Ok(format!("silent for {silence:?}; {}", summary(&evidence)))
}

/// F3: SIGTERM in mid-utterance.
pub async fn told_to_stop(seed: u64) -> anyhow::Result<String> {
    let mut scene = Scene::new(Shape::new(2, seed)).await;
    scene.begin_many(3).await;
    scene.until_acked(2_000).await?;
    let told = scene.moment();
    scene.cluster.signal(0, Signal::Terminate);
    let code = scene.cluster.replicas[0].process.guard.wait(SOON * 2)?;
    ensure!(code == 0, "exit code {code}");
    scene.until_words(MORE, SOON * 2).await?;
    let silence = scene.silence_since(&told, Duration::from_secs(5))?;
    let evidence = scene.judge().await?;
    ensure!(evidence.spoken.iter().all(|one| one.returns() == 1), "each migrates once");
    ensure!(evidence.spoken.iter().all(|one| one.sessions.len() == 1), "none begins anew");
    Ok(format!("silent for {silence:?}, exit code 0; {}", summary(&evidence)))
}

/// F59: another socket claims a session whose socket is well.
pub async fn claimed_twice(seed: u64) -> anyhow::Result<String> {
    let mut scene = Scene::new(Shape::new(2, seed)).await;
    scene.begin_many(2).await;
    scene.until_acked(1_000).await?;
    for (turn, address) in [1, 0, 0].into_iter().enumerate() {
        for caller in &scene.callers {
            caller.move_to(address).await;
        }
        let moved = |spoken: &Spoken| spoken.returns() > turn;
        scene.until_all("the claim", SOON, moved).await?;
        scene.until_words(25, SOON).await?;
    }
    let evidence = scene.judge().await?;
    for spoken in &evidence.spoken {
        let told = |what: &What| matches!(what, What::Told(told) if told["code"] == 4501);
        let times = spoken.events.iter().filter(|event| told(&event.what)).count();
        ensure!(times == 3, "4501 was heard {times} times: {}", spoken.story());
    }
    Ok(summary(&evidence))
}
