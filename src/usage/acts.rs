//! Single acts over REST, each one row of `usage_logs`, written once whatever is repeated.

mod refuge;
pub(super) mod store;

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Duration};

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Semaphore, oneshot},
    time::{sleep, timeout},
};
use uuid::Uuid;

use self::refuge::Refuge;
use super::fallback::Fallback;
use crate::{
    auth::{Owner, Users},
    backoff::Backoff,
    lifecycle::Shutdown,
    model::{Clock, ErrorKind, Micros},
    postgres::Database,
    telemetry::{Metrics, metrics::label},
};

/// Acts that may wait to be written.
const WAITING: usize = 65_536;
/// How long an answer waits for its act to be durable. After it the act is written all the same.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long Postgres has, before the act is left in Redis, and how long that has. A server that is
/// away says so by itself within three seconds; one that is busy is waited for a little longer.
const IN_POSTGRES: Duration = Duration::from_secs(4);
const IN_REDIS: Duration = Duration::from_secs(1);
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// Something that was done and is billed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Act {
    /// Its own id: what is charged twice under one id is one row.
    pub id: Uuid,
    /// Whose account pays.
    pub owner: Owner,
    /// Who did it.
    pub service: Cow<'static, str>,
    /// The path that was asked for.
    pub endpoint: Cow<'static, str>,
    /// With which model.
    pub model: String,
    /// In which language, where that is known.
    pub language: Option<String>,
    /// Whether speakers were told apart.
    pub diarize: bool,
    /// Milliseconds of audio, where there was any.
    pub audio_ms: Option<u64>,
    /// Tokens of text, of the request and of the answer, where those were counted.
    pub tokens: Option<u64>,
    /// Characters of text, where there was any.
    pub characters: Option<u64>,
    /// What the user is billed.
    pub cost: Micros,
    /// What the provider takes.
    pub provider_cost: Micros,
    /// Whether it was answered without a provider.
    pub cached: bool,
    /// From where it was asked for.
    pub ip: Option<IpAddr>,
    /// With what.
    pub user_agent: Option<String>,
}

/// Writes acts; cheap to clone.
#[derive(Clone, Debug)]
pub struct Acts {
    database: Database,
    users: Users,
    metrics: Metrics,
    shutdown: Shutdown,
    room: Arc<Semaphore>,
    refuge: Option<Refuge>,
}

impl Acts {
    pub(super) fn new(
        database: Database,
        users: Users,
        metrics: Metrics,
        shutdown: Shutdown,
        fallback: Option<Fallback>,
    ) -> Self {
        let refuge = fallback.map(|Fallback { waiting, sealed, scratch_of_acts, .. }| {
            Refuge::new(waiting, sealed, scratch_of_acts)
        });
        let room = Arc::new(Semaphore::new(WAITING));
        Self { database, users, metrics, shutdown, room, refuge }
    }

    /// Writes what killed processes left on this disk.
    pub(super) async fn restore(&self) {
        let Some(refuge) = &self.refuge else { return };
        let left = refuge.restore().await;
        if !left.is_empty() {
            tracing::info!(acts = left.len(), "acts of a replica that died are written");
        }
        for (act, at) in left {
            self.count_fallback("restored");
            self.write(act, at, true).await;
        }
    }

    /// Sees to it that the act is written: before this returns, unless Postgres is slow or away; then
    /// it waits in Redis, on the disk while that is away too, and else in memory.
    pub async fn charge(&self, act: Act) {
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            return self.lost(&act, "too many wait");
        };
        let (written, is_written) = oneshot::channel();
        let acts = self.clone();
        let at = Clock.now().naive_utc();
        self.shutdown.spawn(async move {
            acts.write(act, at, false).await;
            drop(room);
            // Who waited may have gone on.
            written.send(()).ok();
        });
        // Whether it was written in time is told by the counter.
        timeout(PATIENCE, is_written).await.ok();
    }

    async fn write(&self, act: Act, at: NaiveDateTime, mut on_disk: bool) {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        loop {
            if self.settle(&act, at).await {
                break;
            }
            if let Some(refuge) = self.refuge.as_ref().filter(|_| !on_disk) {
                on_disk = refuge.keep(&act, at).await;
                self.count_fallback(if on_disk { "scratched" } else { "unscratched" });
            }
            tokio::select! {
                () = self.shutdown.hard().cancelled() => {
                    if !on_disk {
                        self.lost(&act, "the replica was stopped while Postgres was away");
                    }
                    return;
                }
                () = sleep(backoff.next_delay()) => {}
            }
        }
        if let Some(refuge) = self.refuge.as_ref().filter(|_| on_disk) {
            refuge.done().await;
        }
    }

    /// Brings the act to Postgres, or to Redis, from where it comes there; whether there is no more
    /// to do.
    async fn settle(&self, act: &Act, at: NaiveDateTime) -> bool {
        // Before the tables are there a database refuses what it will take.
        if !self.database.schema_seen() {
            return self.leave(act, at).await;
        }
        let write = self.database.run(store::insert(self.database.pool(), &self.users, act, at));
        match timeout(IN_POSTGRES, write).await {
            Ok(Ok(true)) => self.count("inserted"),
            Ok(Ok(false)) => self.count("duplicate"),
            Ok(Err(error)) if error.kind != ErrorKind::DatabaseUnavailable => {
                self.lost(act, &error.to_string());
            }
            Ok(Err(_)) | Err(_) => {
                self.count("retried");
                return self.leave(act, at).await;
            }
        }
        true
    }

    async fn leave(&self, act: &Act, at: NaiveDateTime) -> bool {
        let Some(refuge) = &self.refuge else { return false };
        let left = timeout(IN_REDIS, refuge.leave(act, at)).await.is_ok_and(|left| left);
        if left {
            self.count_fallback("waiting");
        }
        left
    }

    fn count_fallback(&self, outcome: &'static str) {
        self.metrics.usage_fallback.add(1, &[label("outcome", outcome)]);
    }

    fn count(&self, outcome: &'static str) {
        self.metrics.usage_rows.add(1, &[label("outcome", outcome)]);
    }

    fn lost(&self, act: &Act, why: &str) {
        self.count("lost");
        let (service, cost) = (&*act.service, act.cost.0);
        tracing::error!(act = %act.id, service, cost, "usage cannot be written: {why}");
    }
}
