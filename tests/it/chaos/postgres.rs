//! Faults of Postgres: killed, failed over, cut between the act and the answer, locked.

use std::time::Duration;

use anyhow::{Context, ensure};
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};

use super::scene::{Scene, lasts, one_session_each, summary, talking};
use crate::harness::{LONG, SOON, Shape};

/// No word may be later than this: none waits for Postgres.
const UNTOUCHED: Duration = Duration::from_secs(3);
const OUTAGE: Duration = Duration::from_secs(10);

async fn people(seed: u64) -> anyhow::Result<Scene> {
    talking(Shape::new(2, seed), 3).await
}

async fn is_well(scene: Scene, silence: Duration) -> anyhow::Result<String> {
    scene.until_more_acked(2_000, LONG).await?;
    let evidence = scene.judge().await?;
    one_session_each(&evidence)?;
    Ok(format!("silent for {silence:.1?}; {}", summary(&evidence)))
}

/// F16: killed, and back after a while. Sessions even change hands meanwhile.
pub async fn killed(seed: u64) -> anyhow::Result<String> {
    let mut scene = people(seed).await?;
    let began = scene.moment();
    scene.cluster.postgres.kill()?;
    lasts(OUTAGE / 2).await;
    let rest = format!("{}/sessions", scene.cluster.replicas[0].process.url());
    let request = reqwest::Client::new().get(rest).bearer_auth(scene.cluster.token(1));
    let status = request.send().await?.status().as_u16();
    ensure!(status == 503, "REST answers {status} without a database");
    // What is acknowledged without Postgres is durable elsewhere.
    scene.until_more_acked(1_000, SOON).await?;
    scene.all_move(1, SOON).await?;
    lasts(OUTAGE / 2).await;
    let silence = scene.silence_since(&began, UNTOUCHED)?;
    scene.cluster.postgres.restart()?;
    is_well(scene, silence).await
}

/// F17: the server is killed, and one that followed it takes over elsewhere.
pub async fn failed_over(seed: u64) -> anyhow::Result<String> {
    let mut scene = people(seed).await?;
    scene.begin_stored([4]).await;
    let other = scene.cluster.postgres.follow()?;
    scene.until_more_acked(1_000, LONG).await?;
    let began = scene.moment();
    scene.cluster.postgres.kill()?;
    lasts(Duration::from_secs(2)).await;
    other.promote()?;
    let former = scene.cluster.move_postgres(other);
    scene.until_words(75, SOON).await?;
    let silence = scene.silence_since(&began, UNTOUCHED)?;
    let seen = is_well(scene, silence).await;
    drop(former);
    seen
}

/// F18: the commit is done, and its answer is lost, again and again.
pub async fn unanswered(seed: u64) -> anyhow::Result<String> {
    const TIMES: u32 = 4;
    let scene = people(seed).await?;
    let (began, before) = (scene.moment(), scene.cluster.postgres_way.counts().cut);
    scene.cluster.postgres_way.cut_before(b"COMMIT\0", TIMES);
    let cut = async || scene.cluster.postgres_way.counts().cut - before >= u64::from(TIMES);
    testkit::wait_until("lost answers", LONG, cut).await.context("commits are answered")?;
    let silence = scene.silence_since(&began, UNTOUCHED)?;
    is_well(scene, silence).await
}

/// F19: somebody holds a lock on the table of usage.
pub async fn locked(seed: u64) -> anyhow::Result<String> {
    let scene = people(seed).await?;
    let began = scene.moment();
    let options: PgConnectOptions = scene.cluster.database_url.parse()?;
    let mut holder = options.connect().await?;
    let mut held = holder.begin().await?;
    let lock = "LOCK TABLE usage_logs IN ACCESS EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut *held).await?;
    lasts(OUTAGE).await;
    let silence = scene.silence_since(&began, UNTOUCHED)?;
    let lived = scene.cluster.metric(0, "live_sessions", &[]).await;
    ensure!(lived >= 3.0, "{lived} sessions live");
    held.rollback().await?;
    is_well(scene, silence).await
}
