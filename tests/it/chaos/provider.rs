//! Faults of the provider: refusals, breaks, silence, nonsense.

use std::time::Duration;

use anyhow::ensure;
use testkit::{
    assemblyai,
    caller::Plan,
    deepgram::{Action, Door, Fault, Record, Refusal, Script},
    history::{Spoken, What},
    oracle::Evidence,
    proxy::Mode,
};

use super::scene::{Scene, lasts, one_session_each, summary, talking};
use crate::harness::{ASSEMBLYAI_KEY, LONG, SOON, Shape};

const SECRET: &str = "test-deepgram-key";
/// A break and the replay after it.
const RECOVERY: Duration = Duration::from_secs(30);
/// A refused account is left alone for a minute.
const FORGIVEN: Duration = Duration::from_secs(100);

async fn people(seed: u64) -> anyhow::Result<Scene> {
    talking(Shape::new(1, seed), 3).await
}

/// What was said in the end, with our key in no log.
async fn judged(scene: Scene) -> anyhow::Result<Evidence> {
    let evidence = scene.judge().await?;
    let told = evidence.texts.iter().find(|text| text.text.contains(SECRET));
    ensure!(told.is_none(), "our key is in the log");
    Ok(evidence)
}

/// Everybody goes on in the same session, and hears more.
async fn recovers(scene: Scene) -> anyhow::Result<String> {
    scene.until_words(75, RECOVERY).await?;
    let evidence = judged(scene).await?;
    one_session_each(&evidence)?;
    Ok(summary(&evidence))
}

/// Nobody is let in for a while, for a reason that does not pass by itself: clients are told, and
/// the provider is not stormed.
async fn refused_for_good(seed: u64, statuses: &[u16]) -> anyhow::Result<String> {
    let mut scene = Scene::new(Shape::new(1, seed)).await;
    for status in statuses {
        scene.cluster.deepgram.refuse(Door::Live, 1_000, Refusal::of(*status));
        for session in 1..=2 {
            // Nobody's buffer overflows while the account counts as refused.
            let plan = scene.cluster.plan(1, *status * 10 + session);
            scene.begin(Plan { keeps: 2 * FORGIVEN, ..plan }).await;
        }
        let told = |spoken: &Spoken| {
            let code = |what: &What| matches!(what, What::Told(told) if told["code"] == "provider_unavailable");
            spoken.events.iter().any(|event| code(&event.what))
        };
        scene.until_all("the refusal", SOON, told).await?;
        lasts(Duration::from_secs(4)).await;
        let clients: usize = scene.callers.iter().map(|one| one.read(|h| h.sessions.len())).sum();
        let asked = scene.cluster.deepgram.requests().len();
        ensure!(asked <= clients, "{asked} requests for {clients} sessions");
        scene.cluster.deepgram.clear_faults();
        scene.until_words(75, FORGIVEN).await?;
    }
    let evidence = judged(scene).await?;
    Ok(summary(&evidence))
}

/// F24: 401 and 403 at the upgrade.
pub async fn unauthorised(seed: u64) -> anyhow::Result<String> {
    refused_for_good(seed, &[401, 403]).await
}

/// F25: 402.
pub async fn unpaid(seed: u64) -> anyhow::Result<String> {
    refused_for_good(seed, &[402]).await
}

/// F26: 429 for a while.
pub async fn too_many(seed: u64) -> anyhow::Result<String> {
    let mut scene = Scene::new(Shape::new(1, seed)).await;
    scene.cluster.deepgram.refuse(Door::Live, 6, Refusal::of(429));
    scene.begin_many(3).await;
    recovers(scene).await
}

/// F27: 503 and 500 for every other attempt, while what was open breaks again and again.
pub async fn flapping(seed: u64) -> anyhow::Result<String> {
    let scene = people(seed).await?;
    let mut broken = 0;
    for status in [500, 503, 500] {
        scene.cluster.deepgram.refuse(Door::Live, 2, Refusal::of(status));
        broken += scene.cluster.deepgram.inject(None, &Action::Reset);
        scene.until_words(50, RECOVERY).await?;
    }
    let attempts = scene.cluster.deepgram.requests().len();
    // Six are refused, and the rest is what it takes: a fifth more than the ordinary ones is the budget.
    let ordinary = 3 + broken;
    ensure!(attempts <= ordinary + 6 + ordinary / 5, "{attempts} attempts after {broken} breaks");
    recovers(scene).await
}

fn close(code: u16, reason: &str) -> Action {
    Action::Close(code, reason.to_owned())
}

/// F68: it dies in mid-utterance and stays away, with another behind it.
pub async fn replaced(seed: u64) -> anyhow::Result<String> {
    let config = assemblyai::Config {
        longest_turn: Duration::from_secs(1),
        ..assemblyai::Config::speaking(Script::numbered_audio())
    };
    let second = assemblyai::Simulator::start(config).await?;
    let shape = Shape::new(2, seed)
        .with("ASSEMBLYAI_API_KEY", ASSEMBLYAI_KEY)
        .with("ASSEMBLYAI_STREAMING_URL", second.base_url())
        .with("LIVE_FALLBACKS", "assemblyai");
    let scene = talking(shape, 3).await?;
    scene.cluster.deepgram.go_down();
    scene.until_words(50, RECOVERY).await?;
    let taken = second.open_sessions();
    ensure!(taken >= 3, "{taken} sessions went on");
    recovers(scene).await
}

/// F28: 1011 in mid-utterance, with both reasons.
pub async fn closed(seed: u64) -> anyhow::Result<String> {
    let scene = people(seed).await?;
    for reason in ["NET-0000 https://dpgr.am/net0000", "NET-0001 https://dpgr.am/net0001"] {
        scene.cluster.deepgram.inject(None, &close(1011, reason));
        scene.until_words(50, RECOVERY).await?;
    }
    recovers(scene).await
}

/// F29: 1008 for one session: bad audio is not sent again as it is, and others are not touched.
pub async fn poisoned(seed: u64) -> anyhow::Result<String> {
    let scene = people(seed).await?;
    let before = scene.cluster.deepgram.requests().len();
    scene.cluster.deepgram.inject(Some(0), &close(1008, "DATA-0000 https://dpgr.am/data0000"));
    let ended = |spoken: &&Spoken| spoken.sessions.len() > 1;
    let told = async || {
        let count = scene.callers.iter().filter(|one| one.read(|spoken| ended(&spoken))).count();
        count == 1
    };
    testkit::wait_until("one session to end", SOON, told).await?;
    scene.until_words(75, RECOVERY).await?;
    let asked = scene.cluster.deepgram.requests().len() - before;
    ensure!(asked == 1, "{asked} new streams for one new session");
    let evidence = judged(scene).await?;
    let begun: usize = evidence.spoken.iter().map(|spoken| spoken.sessions.len()).sum();
    ensure!(begun == 4, "{begun} sessions instead of 4");
    Ok(summary(&evidence))
}

/// F30: nothing is said for long.
pub async fn idle(seed: u64) -> anyhow::Result<String> {
    let shape = Shape::new(1, seed).with("LIVE_IDLE_SECONDS", "9");
    let scene = talking(shape, 2).await?;
    for caller in &scene.callers {
        caller.hush().await;
    }
    let let_go = |streams: &[Record]| streams.iter().all(|record| record.end.is_some());
    let streams = scene.cluster.deepgram.wait_for(SOON * 3, let_go).await?;
    let kept = streams.iter().all(|record| record.count_texts("KeepAlive") >= 1);
    ensure!(kept, "no stream was kept alive before it was let go");
    for caller in &scene.callers {
        caller.speak().await;
    }
    recovers(scene).await
}

/// F31: the way to the provider is open and dead.
pub async fn half_open(seed: u64) -> anyhow::Result<String> {
    let scene = people(seed).await?;
    scene.cluster.deepgram_way.set(Mode::blackhole());
    lasts(Duration::from_secs(8)).await;
    scene.cluster.deepgram_way.pass();
    scene.until_words(50, RECOVERY).await?;
    let streams = scene.cluster.deepgram.streams().len();
    ensure!(streams > 3, "it was not noticed that nothing came");
    recovers(scene).await
}

/// F32: it reads a thousand bytes a second.
pub async fn slow(seed: u64) -> anyhow::Result<String> {
    let scene = people(seed).await?;
    scene.cluster.deepgram.inject(None, &Action::ReadSlowly(1_000));
    lasts(Duration::from_secs(8)).await;
    scene.cluster.deepgram.inject(None, &Action::Heal);
    recovers(scene).await
}

/// F33: finals come twice, and again after a replay.
pub async fn doubled(seed: u64) -> anyhow::Result<String> {
    let scene = people(seed).await?;
    scene.cluster.deepgram.plan_every(vec![Fault::at_open(Action::DuplicateFinals)]);
    scene.cluster.deepgram.inject(None, &Action::DuplicateFinals);
    scene.until_words(50, SOON).await?;
    scene.cluster.deepgram.inject(None, &Action::Drop);
    recovers(scene).await
}

/// F34: text that is no message, twenty megabytes, binary.
pub async fn garbled(seed: u64) -> anyhow::Result<String> {
    let scene = people(seed).await?;
    let garbage = [
        Action::SendText("<html>bad gateway</html>".to_owned()),
        Action::SendBinary(vec![0; 1000]),
        Action::SendHugeText(20 * 1024 * 1024),
        Action::SendRaw(vec![0xFF; 4]),
    ];
    for action in &garbage {
        scene.cluster.deepgram.inject(None, action);
        scene.until_words(25, RECOVERY).await?;
    }
    recovers(scene).await
}

/// F35: `CloseStream` is never answered on the streams that are open at the end.
pub async fn never_closed(seed: u64) -> anyhow::Result<String> {
    let scene = people(seed).await?;
    scene.cluster.deepgram.inject(None, &Action::IgnoreCloseStream);
    let finishing = scene.callers.iter().map(|caller| caller.finish(LONG));
    let ended = futures_util::future::join_all(finishing).await;
    ensure!(ended.iter().all(|spoken| spoken.over), "somebody waits for ever");
    let evidence = judged(scene).await?;
    one_session_each(&evidence)?;
    Ok(summary(&evidence))
}
