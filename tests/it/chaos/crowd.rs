//! A thousand people watch one room, and the replica of who speaks there is killed.

use std::time::{Duration, Instant};

use anyhow::ensure;
use testkit::{
    history::{Track, Viewed},
    viewer::Viewer,
};

use super::{
    scene::{Scene, lasts, one_session_each, room, summary},
    sizes::large,
};
use crate::harness::LONG;

const VIEWERS: usize = 1_000;
/// Viewers that join before the next do.
const STEP: usize = 50;
/// How soon everybody must hear something again.
const LIVE: Duration = Duration::from_secs(5);
/// How soon everybody must have what was spoken until [`LIVE`] after the kill.
const WHOLE: Duration = Duration::from_secs(20);
/// How long nothing is done, for comparison.
const REST: Duration = Duration::from_secs(10);

fn ends_ms(viewed: &Viewed) -> u64 {
    viewed.tracks.values().map(Track::end_ms).max().unwrap_or(0)
}

async fn gather(scene: &mut Scene) -> anyhow::Result<()> {
    for number in 0..VIEWERS {
        let watch = scene.cluster.watch(1, &format!("1-{number}"), &room(1)).at(number % 3);
        scene.viewers.push(Viewer::start(watch).await);
        if number % STEP == STEP - 1 {
            scene.until_all_watch("a final", LONG, |viewed| ends_ms(viewed) > 0).await?;
        }
    }
    Ok(())
}

/// The longest that any viewer heard nothing after its moment.
fn silence(scene: &Scene, since: &[Duration], within: Duration) -> Duration {
    let of = |(viewer, since): (&Viewer, &Duration)| {
        viewer.read(|viewed| viewed.longest_silence(*since, within))
    };
    scene.viewers.iter().zip(since).map(of).max().unwrap_or_default()
}

/// S3: everybody hears the rest, soon, and the database is not asked by each of them.
pub async fn moved(seed: u64) -> anyhow::Result<String> {
    let mut shape = large(3, seed);
    shape.deepgram.longest_segment = Duration::from_secs(1);
    shape.deepgram.interim_every = Duration::from_millis(500);
    let mut scene = Scene::new(shape).await;
    scene.begin(scene.cluster.plan(1, 1)).await;
    gather(&mut scene).await?;
    scene.until_acked(2_000).await?;
    let before = scene.cluster.transactions().await;
    let (began, rested) = (scene.viewers.iter().map(Viewer::now).collect::<Vec<_>>(), REST);
    lasts(rested).await;
    let at_rest = silence(&scene, &began, rested);
    let between = scene.cluster.transactions().await;
    let moments: Vec<_> = scene.viewers.iter().map(Viewer::now).collect();
    let (killed, spoken) = (Instant::now(), scene.callers[0].read(|spoken| spoken.frames));
    scene.cluster.kill(0);
    let goal = u64::from(spoken) * 20 + LIVE.as_millis() as u64;
    scene.until_all_watch("the whole sequence", LONG, |viewed| ends_ms(viewed) >= goal).await?;
    let whole = killed.elapsed();
    let silent = silence(&scene, &moments, whole);
    lasts(rested.saturating_sub(whole)).await;
    let after = scene.cluster.transactions().await;
    let (quiet, asked) = (between - before, after - between);
    let evidence = scene.judge().await?;
    one_session_each(&evidence)?;
    let moved = evidence.viewed.iter().filter(|viewed| viewed.joins > 1).count();
    let seen = format!(
        "{moved} of {VIEWERS} moved, silent for {silent:.1?} at most ({at_rest:.1?} at rest), whole \
         after {whole:.1?}, {asked} transactions ({quiet} in {rested:?} at rest); {}",
        summary(&evidence)
    );
    ensure!(moved >= VIEWERS / 4, "few moved: {seen}");
    ensure!(silent <= LIVE && whole <= WHOLE, "late: {seen}");
    ensure!(asked < 2 * quiet + VIEWERS as i64 / 10, "the database is asked by each: {seen}");
    Ok(seen)
}
