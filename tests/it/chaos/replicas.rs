//! Faults of replicas: killed, frozen, told to stop, and robbed of their sessions.

use std::time::Duration;

use anyhow::ensure;
use testkit::{
    history::{Spoken, What},
    oracle::Allowed,
    process::Signal,
};

use super::scene::{Scene, lasts, one_session_each, summary, talking};
use crate::harness::{LONG, SOON, Shape};

/// Words that must still come after a fault before the run is over.
const MORE: u64 = 75;
/// The longest silence that a fault may cause: five seconds to notice, and one to come back.
const NOTICED: Duration = Duration::from_secs(6);
const AT_ONCE: Duration = Duration::from_secs(5);

/// An older client beside the others, who may lose what was on its way.
async fn and_an_older_client(scene: &mut Scene, lost_ms: u64) {
    let plan = scene.cluster.plan(9, 1).old();
    scene.allowed.insert((9, 1), Allowed { lost_ms, ..Allowed::default() });
    scene.begin(plan).await;
    scene.watch(9).await;
}

fn resumed(scene: &Scene, least: usize) -> anyhow::Result<()> {
    for caller in &scene.callers {
        caller.read(|spoken| {
            let enough = !spoken.resumes || spoken.returns() >= least;
            ensure!(enough, "it did not resume: {}", spoken.story());
            Ok(())
        })?;
    }
    Ok(())
}

/// F1: SIGKILL in mid-utterance.
pub async fn killed(seed: u64) -> anyhow::Result<String> {
    let mut scene = Scene::new(Shape::new(2, seed)).await;
    scene.begin_many(2).await;
    // Un-finalised audio, and what was sent before the loss was felt.
    and_an_older_client(&mut scene, 3_000).await;
    scene.until_acked(2_000).await?;
    let killed = scene.moment();
    scene.cluster.kill(0);
    scene.until_words(MORE, SOON * 2).await?;
    let silence = scene.silence_since(&killed, AT_ONCE)?;
    resumed(&scene, 1)?;
    let evidence = scene.judge().await?;
    Ok(format!("silent for {silence:.1?}; {}", summary(&evidence)))
}

/// F2: SIGSTOP, and SIGCONT once another owns its sessions.
pub async fn frozen(seed: u64) -> anyhow::Result<String> {
    let scene = talking(Shape::new(2, seed), 3).await?;
    let frozen = scene.moment();
    scene.cluster.signal(0, Signal::Stop);
    scene.until_words(MORE, LONG).await?;
    let silence = scene.silence_since(&frozen, NOTICED * 2)?;
    ensure!(silence <= NOTICED + Duration::from_secs(2), "silent for {silence:?}");
    resumed(&scene, 1)?;
    lasts(Duration::from_secs(3)).await;
    scene.cluster.signal(0, Signal::Continue);
    // What it still believes misleads nobody, itself included.
    for address in [0, 1] {
        scene.all_move(address, SOON).await?;
        scene.until_words(MORE / 3, SOON * 2).await?;
    }
    let evidence = scene.judge().await?;
    one_session_each(&evidence)?;
    Ok(format!("silent for {silence:.1?}; {}", summary(&evidence)))
}

/// F3: SIGTERM in mid-utterance.
pub async fn told_to_stop(seed: u64) -> anyhow::Result<String> {
    let mut scene = talking(Shape::new(2, seed), 3).await?;
    let told = scene.moment();
    scene.cluster.signal(0, Signal::Terminate);
    let code = scene.cluster.replicas[0].process.guard.wait(SOON * 2)?;
    ensure!(code == 0, "exit code {code}");
    scene.until_words(MORE, SOON * 2).await?;
    let silence = scene.silence_since(&told, AT_ONCE)?;
    let evidence = scene.judge().await?;
    ensure!(evidence.spoken.iter().all(|one| one.returns() == 1), "each migrates once");
    one_session_each(&evidence)?;
    Ok(format!("silent for {silence:.1?}, exit code 0; {}", summary(&evidence)))
}

/// F4: SIGTERM, and clients that stay all the same.
pub async fn told_in_vain(seed: u64) -> anyhow::Result<String> {
    let mut scene = Scene::new(Shape::new(2, seed)).await;
    for tenant in 1..=2 {
        let mut plan = scene.cluster.plan(tenant, 1);
        plan.migrates = false;
        scene.begin(plan).await;
    }
    // What it says between its end and the notice is refused.
    and_an_older_client(&mut scene, 3_000).await;
    scene.until_acked(2_000).await?;
    scene.cluster.signal(0, Signal::Terminate);
    let code = scene.cluster.replicas[0].process.guard.wait(SOON * 2)?;
    ensure!(code == 0, "exit code {code}");
    scene.until_words(MORE, SOON * 2).await?;
    resumed(&scene, 1)?;
    let evidence = scene.judge().await?;
    for spoken in &evidence.spoken {
        let told = |what: &What| matches!(what, What::Told(told) if told["code"] == 4000);
        let heard = spoken.events.iter().any(|event| told(&event.what));
        ensure!(heard, "4000 was not heard: {}", spoken.story());
    }
    Ok(format!("closed with 4000, exit code 0; {}", summary(&evidence)))
}

/// F59: another socket claims a session whose socket is well.
pub async fn claimed_twice(seed: u64) -> anyhow::Result<String> {
    let scene = talking(Shape::new(2, seed), 2).await?;
    for address in [1, 0, 0] {
        scene.all_move(address, SOON).await?;
        scene.until_words(25, SOON).await?;
    }
    let evidence = scene.judge().await?;
    one_session_each(&evidence)?;
    for spoken in &evidence.spoken {
        let told = |what: &What| matches!(what, What::Told(told) if told["code"] == 4501);
        let times = spoken.events.iter().filter(|event| told(&event.what)).count();
        ensure!(times == 3, "4501 was heard {times} times: {}", Spoken::story(spoken));
    }
    Ok(summary(&evidence))
}
