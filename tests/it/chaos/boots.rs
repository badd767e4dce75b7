//! Replicas that start while something that they need is away, again and again.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, ensure};
use testkit::{
    auth0::{Auth0, Jwks},
    deepgram::{self, Script, Simulator},
    process::{Postgres, Redis, Signal},
    seed::Dice,
};

use crate::harness::{LONG, Ledger, SOON, ServiceProcess, Setup, Speaker, doors};

const AUDIENCE: &str = "https://api.transcripts.io";
/// Chunks that are said at each boot.
const CHUNKS: u32 = 12;
/// One boot in so many lacks the tenant's keys, which are asked for twice a minute at most.
const KEYS_AWAY: f64 = 0.2;

struct World {
    postgres: Postgres,
    redis: Redis,
    tenant: Auth0,
    deepgram: Simulator,
    database_url: String,
    variables: BTreeMap<String, String>,
    /// What was said so far, in milliseconds.
    said_ms: i64,
    /// Whether Redis remembers the tenant's keys.
    copied: bool,
}

/// What is away at a boot.
#[derive(Clone, Copy, Debug)]
struct Away {
    postgres: bool,
    redis: bool,
    keys: bool,
}

impl World {
    async fn start() -> anyhow::Result<Self> {
        let servers = tokio::task::spawn_blocking(|| (Postgres::start(), Redis::start()));
        let (postgres, redis) = servers.await?;
        let (postgres, redis, tenant) = (postgres?, redis?, Auth0::start().await?);
        let database_url = postgres.create_database()?;
        let scratch = std::env::temp_dir().join(format!("boots-{}", uuid::Uuid::new_v4().simple()));
        let config = deepgram::Config {
            longest_segment: Duration::from_secs(1),
            ..deepgram::Config::speaking(Script::numbered_audio())
        };
        let setup = Setup::on(&database_url, &redis.url())
            .deepgram(config)
            .with("AUTH0_ISSUER_URL", tenant.issuer())
            .with("AUTH0_DOMAIN", "transcripts.eu.auth0.com")
            .with("AUTH0_AUDIENCE", AUDIENCE)
            .with("LIMIT_LIVE_SESSIONS", "unlimited")
            .with("USAGE_SCRATCH_DIR", scratch.to_string_lossy());
        let (variables, deepgram) = setup.variables().await;
        let deepgram = deepgram.context("a simulator")?;
        let (said_ms, copied) = (0, false);
        Ok(Self { postgres, redis, tenant, deepgram, database_url, variables, said_ms, copied })
    }

    fn take_away(&mut self, away: Away) -> anyhow::Result<()> {
        if away.postgres {
            self.postgres.stop()?;
        }
        if away.redis {
            self.redis.stop()?;
            self.copied = false;
        }
        self.tenant.set_jwks(if away.keys { Jwks::Status(503) } else { Jwks::Healthy });
        Ok(())
    }

    fn bring_back(&mut self, away: Away) -> anyhow::Result<()> {
        self.tenant.set_jwks(Jwks::Healthy);
        if away.redis {
            self.redis.restart()?;
        }
        if away.postgres {
            self.postgres.restart()?;
        }
        Ok(())
    }

    /// A session from its beginning to its end, whose every word comes.
    async fn speak(&mut self, process: &ServiceProcess, token: &str) -> anyhow::Result<()> {
        let admitted = async || doors::websocket(&process.url(), token).await.ok();
        let mut socket = None;
        let open = async || {
            socket = admitted().await;
            socket.is_some()
        };
        testkit::wait_until("to be let in", LONG, open).await?;
        let mut speaker = Speaker::new(socket.context("a socket")?.0, 1);
        speaker.say(CHUNKS).await;
        speaker.finish().await;
        speaker.assert_whole();
        self.said_ms += speaker.said_ms();
        Ok(())
    }

    /// Waits until all that was said is billed, and no more.
    async fn until_billed(&self) -> anyhow::Result<()> {
        let query =
            "SELECT coalesce(sum(range_end_ms - range_start_ms), 0)::bigint FROM usage_logs";
        let billed = async || {
            let rows: Result<Vec<(i64,)>, _> = Ledger(&self.database_url).rows(query).await;
            rows.ok().and_then(|rows| rows.first().map(|row| row.0))
        };
        let whole = async || billed().await == Some(self.said_ms);
        let waited = testkit::wait_until("the bill", LONG, whole).await;
        let seen = billed().await;
        waited.with_context(|| format!("{seen:?} billed of {}", self.said_ms))
    }

    async fn boot(&mut self, away: Away) -> anyhow::Result<()> {
        self.take_away(away)?;
        let mut process = ServiceProcess::start(&self.variables).await;
        let lives = process.status("/health").await;
        ensure!(lives == Some(200), "/health answers {lives:?}");
        // A token that the replica can judge by itself, and one that takes the tenant's keys.
        let known = process.token();
        self.speak(&process, &known).await.context("a token of its own")?;
        let token = self.tenant.token("auth0|somebody", AUDIENCE)?;
        if !away.keys || self.copied {
            self.speak(&process, &token).await.context("a token of the tenant")?;
        }
        self.bring_back(away)?;
        let ready = async || {
            let Ok(answer) = reqwest::get(format!("{}/ready", process.url())).await else {
                return false;
            };
            let text = answer.text().await.unwrap_or_default();
            text.contains("\"status\":\"ready\"")
        };
        testkit::wait_until("to be ready", LONG, ready).await.context(process.log())?;
        // What waits in Redis alone would be lost with it.
        self.until_billed().await?;
        self.speak(&process, &token).await.context("a token of the tenant, with all there")?;
        // Keys that were fetched while Redis was away are left there with the next refresh only.
        self.copied |= !away.redis;
        process.guard.signal(Signal::Terminate)?;
        let code = process.guard.wait(SOON * 2)?;
        ensure!(code == 0, "exit code {code}");
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // It is only there if a replica made it.
        drop(std::fs::remove_dir_all(&self.variables["USAGE_SCRATCH_DIR"]));
    }
}

/// Boots that often, each time with other things away; all that was said is billed once.
pub async fn boots(seed: u64, times: u32) -> anyhow::Result<String> {
    let (mut dice, mut world) = (Dice::new(seed), World::start().await?);
    let mut lacking = [0, 0, 0];
    for _ in 0..times {
        let [postgres, redis] = [dice.happens(0.5), dice.happens(0.5)];
        let away = Away { postgres, redis, keys: dice.happens(KEYS_AWAY) };
        for (count, away) in lacking.iter_mut().zip([away.postgres, away.redis, away.keys]) {
            *count += u32::from(away);
        }
        world.boot(away).await.with_context(|| format!("{away:?}"))?;
    }
    world.until_billed().await?;
    let [postgres, redis, keys] = lacking;
    Ok(format!(
        "{times} boots, {postgres} without Postgres, {redis} without Redis, {keys} without keys; \
         {} ms said in {} streams and billed",
        world.said_ms,
        world.deepgram.streams().len()
    ))
}

/// S5: twenty of them.
pub async fn twenty(seed: u64) -> anyhow::Result<String> {
    boots(seed, 20).await
}
