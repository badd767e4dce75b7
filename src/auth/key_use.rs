//! When keys were used and how often: counted in memory, written in batches.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::NaiveDateTime;
use tracing::warn;

use super::store;
use crate::{
    lifecycle::Shutdown,
    model::Clock,
    postgres::Database,
    telemetry::{Metrics, metrics::label},
};

/// How often uses are written.
const EVERY: Duration = Duration::from_secs(5);
/// Keys whose uses wait at once; further ones are not counted.
const WAITING_KEYS: usize = 10_000;

type Uses = HashMap<i32, (i32, NaiveDateTime)>;

/// Uses that are not written yet; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct KeyUse {
    waiting: Arc<Mutex<Uses>>,
    metrics: Metrics,
}

impl KeyUse {
    /// Starts the task that writes, which ends with the replica's soft shutdown.
    pub(super) fn start(database: Database, metrics: Metrics, shutdown: &Shutdown) -> Self {
        let this = Self { waiting: Arc::default(), metrics };
        let (writer, stop) = (this.clone(), shutdown.soft().clone());
        shutdown.spawn(async move {
            while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
                writer.write(&database).await;
            }
            writer.write(&database).await;
        });
        this
    }

    /// Counts one use.
    pub(super) fn record(&self, key_id: i32) {
        let now = Clock.now().naive_utc();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_KEYS && !waiting.contains_key(&key_id) {
            let labels = [label("type", "api_key"), label("outcome", "use_not_counted")];
            self.metrics.authentications.add(1, &labels);
            return;
        }
        let (count, at) = waiting.entry(key_id).or_insert((0, now));
        (*count, *at) = (count.saturating_add(1), now);
    }

    async fn write(&self, database: &Database) {
        let uses =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if uses.is_empty() {
            return;
        }
        let ids: Vec<i32> = uses.keys().copied().collect();
        let counts: Vec<i32> = uses.values().map(|(count, _)| *count).collect();
        let times: Vec<NaiveDateTime> = uses.values().map(|(_, at)| *at).collect();
        let written = store::add_key_uses(database.pool(), &ids, &counts, &times);
        if let Err(error) = database.run(written).await {
            warn!(?error, keys = ids.len(), "uses of api keys could not be written");
            self.put_back(uses);
        }
    }

    /// The next round tries again, with whatever came meanwhile.
    fn put_back(&self, uses: Uses) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, (count, at)) in uses {
            let (sum, last) = waiting.entry(id).or_insert((0, at));
            (*sum, *last) = (sum.saturating_add(count), at.max(*last));
        }
    }
}
