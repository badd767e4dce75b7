//! Faults at full size: hundreds of sessions in real time while every replica is replaced, and a
//! thousand that come back at once.

use std::{
    fmt,
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::ensure;
use testkit::{caller::Plan, history::Spoken, oracle::Allowed};

use super::{
    fleet,
    scene::{Moment, Scene, lasts, one_session_each, summary},
};
use crate::harness::{LONG, Shape};

/// Live sessions at once.
const SESSIONS: u16 = 300;
/// Sessions that come back at once.
const CROWD: u16 = 1_000;
/// Sessions that begin before the next do.
const STEP: u16 = 25;
/// Sessions of one tenant.
const OF_A_TENANT: u16 = 10;
/// How long nothing is done to anybody, for comparison.
const REST: Duration = Duration::from_secs(15);
/// How late 99 of 100 finals may be while replicas are replaced.
const LATE: Duration = Duration::from_secs(2);
/// What an older client may lose each time its session is ended: what it says between the end and
/// the notice is refused.
const LOST_MS: u64 = 3_000;

/// A fleet that has room for as many as there are.
pub fn large(replicas: usize, seed: u64) -> Shape {
    let mut shape = Shape::new(replicas, seed).with("LOG_LEVEL", "INFO");
    for (name, value) in [
        ("DRAIN_SECONDS", "20"),
        ("LIVE_MAX_SESSIONS", "5000"),
        ("EDGE_RATE", "10000"),
        ("EDGE_BURST", "10000"),
    ] {
        shape = shape.with(name, value);
    }
    shape.deepgram.longest_segment = Duration::from_secs(2);
    shape.deepgram.interim_every = Duration::from_secs(1);
    shape.deepgram.kept_audio_bytes = 0;
    shape
}

/// So many begin to speak, spread over the replicas, a few at a time; each has heard a final.
async fn gather(scene: &mut Scene, count: u16, of: impl Fn(Plan) -> Plan) -> anyhow::Result<()> {
    for number in 0..count {
        let (tenant, session) = (number / OF_A_TENANT + 1, number % OF_A_TENANT + 1);
        let plan = scene.cluster.plan(tenant, session).at(usize::from(number)).narrow();
        scene.begin_alone(of(plan)).await;
        if number % STEP == STEP - 1 {
            scene.until_all("a final", LONG, |spoken| !spoken.finals.is_empty()).await?;
        }
    }
    scene.until_all("a final", LONG, |spoken| !spoken.finals.is_empty()).await
}

/// How late finals were.
struct Delays(Vec<Duration>);

impl Delays {
    /// Of finals whose last sound was spoken between two moments.
    fn between(scene: &Scene, from: &Moment, until: &Moment) -> Self {
        let mut delays = Vec::new();
        for (caller, (from, until)) in scene.callers.iter().zip(from.0.iter().zip(&until.0)) {
            let spoken: Range<Duration> = *from..*until;
            delays.extend(caller.read(|history| history.delays(&spoken)));
        }
        delays.sort_unstable();
        Self(delays)
    }

    fn at(&self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most, all] = [0.5, 0.99, 1.0].map(|share| self.at(share).as_millis());
        write!(f, "{} finals, half within {half} ms, 99 % {most} ms, all {all} ms", self.0.len())
    }
}

/// Replaces every replica; how late finals were before, and meanwhile.
async fn replace(scene: &mut Scene) -> anyhow::Result<(Delays, Delays)> {
    let rested = scene.moment();
    lasts(REST).await;
    let began = scene.moment();
    fleet::roll(scene, 0.0).await?;
    let over = scene.moment();
    // What was spoken until then is said.
    scene.until_words(200, LONG).await?;
    let meanwhile = Delays::between(scene, &began, &over);
    Ok((Delays::between(scene, &rested, &began), meanwhile))
}

/// S1: every replica is replaced under load.
pub async fn rolled(seed: u64) -> anyhow::Result<String> {
    let mut scene = Scene::new(large(3, seed)).await;
    gather(&mut scene, SESSIONS, |plan| plan).await?;
    let (rest, rolled) = replace(&mut scene).await?;
    let evidence = scene.judge().await?;
    one_session_each(&evidence)?;
    let seen = format!("at rest {rest}; meanwhile {rolled}; {}", summary(&evidence));
    ensure!(rolled.at(0.99) <= LATE, "late: {seen}");
    Ok(seen)
}

/// S2: the same with clients that neither migrate nor resume.
pub async fn rolled_with_older_clients(seed: u64) -> anyhow::Result<String> {
    let mut scene = Scene::new(large(3, seed)).await;
    gather(&mut scene, SESSIONS, Plan::old).await?;
    let (rest, rolled) = replace(&mut scene).await?;
    for caller in &scene.callers {
        caller.read(|spoken| {
            let ends = spoken.sessions.len().saturating_sub(1) as u64;
            let allowed = Allowed { lost_ms: LOST_MS * ends, ..Allowed::default() };
            scene.allowed.insert((spoken.tenant, spoken.session), allowed);
        });
    }
    let evidence = scene.judge().await?;
    let lost = evidence.spoken.iter().map(lost_words);
    let (all, worst) = lost.fold((0, 0), |(all, worst), lost| (all + lost, worst.max(lost)));
    let ends: usize = evidence.spoken.iter().map(|spoken| spoken.sessions.len() - 1).sum();
    Ok(format!(
        "{all} words lost at {ends} ends, {worst} of one speaker at most; \
         at rest {rest}; meanwhile {rolled}; {}",
        summary(&evidence)
    ))
}

/// Words that a client sent and that nobody said.
fn lost_words(spoken: &Spoken) -> u64 {
    let let_go: u64 =
        spoken.dropped.iter().map(|frames| u64::from(frames.end - frames.start)).sum();
    u64::from(spoken.frames).saturating_sub(spoken.heard_frames() + let_go)
}

/// S4: a thousand sessions, silent at that moment, lose their sockets at once.
pub async fn storm(seed: u64) -> anyhow::Result<String> {
    let mut scene = Scene::new(large(3, seed)).await;
    for _ in 0..CROWD / STEP {
        let begun = scene.callers.len() as u16;
        for number in begun..begun + STEP {
            let (tenant, session) = (number / OF_A_TENANT + 1, number % OF_A_TENANT + 1);
            let plan = scene.cluster.plan(tenant, session).at(usize::from(number));
            scene.begin_alone(plan.narrow()).await;
        }
        scene.until_all("a final", LONG, |spoken| !spoken.finals.is_empty()).await?;
        for caller in &scene.callers[usize::from(begun)..] {
            caller.hush().await;
        }
    }
    let fetched = scene.cluster.tenant.jwks_fetches();
    let cut = Instant::now();
    let count: usize = scene.cluster.replicas.iter().map(|replica| replica.door.cut_all()).sum();
    ensure!(count >= usize::from(CROWD), "only {count} were cut");
    scene.until_all("a return", LONG * 2, |spoken| spoken.returns() >= 1).await?;
    let back = cut.elapsed();
    let fetched = scene.cluster.tenant.jwks_fetches() - fetched;
    ensure!(fetched <= 1, "the keys were fetched {fetched} times");
    let evidence = scene.judge().await?;
    one_session_each(&evidence)?;
    Ok(format!("{CROWD} are back after {back:.1?}; {}", summary(&evidence)))
}
