//! Single acts over REST, each one row of `usage_logs`, written once whatever is repeated.

mod store;

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, oneshot},
    time::{sleep, timeout},
};
use uuid::Uuid;

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
const PATIENCE: Duration = Duration::from_secs(2);
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// Something that was done and is billed.
#[derive(Clone, Debug)]
pub struct Act {
    /// Its own id: what is charged twice under one id is one row.
    pub id: Uuid,
    /// Whose account pays.
    pub owner: Owner,
    /// Who did it.
    pub service: &'static str,
    /// The path that was asked for.
    pub endpoint: &'static str,
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
}

impl Acts {
    pub(super) fn new(
        database: Database,
        users: Users,
        metrics: Metrics,
        shutdown: Shutdown,
    ) -> Self {
        Self { database, users, metrics, shutdown, room: Arc::new(Semaphore::new(WAITING)) }
    }

    /// Sees to it that the act is written: before this returns, unless Postgres is slow or away; then
    /// it waits in memory, until Postgres is back or the replica is stopped hard.
    pub async fn charge(&self, act: Act) {
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            return self.lost(&act, "too many wait");
        };
        let (written, is_written) = oneshot::channel();
        let acts = self.clone();
        self.shutdown.spawn(async move {
            acts.write(act).await;
            drop(room);
            // Who waited may have gone on.
            written.send(()).ok();
        });
        // Whether it was written in time is told by the counter.
        timeout(PATIENCE, is_written).await.ok();
    }

    async fn write(&self, act: Act) {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        let at = Clock.now().naive_utc();
        loop {
            let write = store::insert(self.database.pool(), &self.users, &act, at);
            match self.database.run(write).await {
                Ok(true) => return self.count("inserted"),
                Ok(false) => return self.count("duplicate"),
                Err(error) if error.kind != ErrorKind::DatabaseUnavailable => {
                    return self.lost(&act, &error.to_string());
                }
                Err(_) => self.count("retried"),
            }
            tokio::select! {
                () = self.shutdown.hard().cancelled() => {
                    return self.lost(&act, "the replica was stopped while Postgres was away");
                }
                () = sleep(backoff.next_delay()) => {}
            }
        }
    }

    fn count(&self, outcome: &'static str) {
        self.metrics.usage_rows.add(1, &[label("outcome", outcome)]);
    }

    fn lost(&self, act: &Act, why: &str) {
        self.count("lost");
        let (service, cost) = (act.service, act.cost.0);
        tracing::error!(act = %act.id, service, cost, "usage cannot be written: {why}");
    }
}
