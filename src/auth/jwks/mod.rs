//! The tenant's signing keys: fetched ahead of need by one replica for all, shared through Redis,
//! kept while the tenant is away, and never fetched more than once in thirty seconds for key ids
//! that nobody knows.

mod claim;
mod copy;
mod fetch;
mod pace;
mod refresh;
mod search;
mod set;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use jsonwebtoken::DecodingKey;
use tokio::{sync::watch, time::Instant};
use tracing::warn;

use super::Secrets;
use crate::{
    lifecycle::Shutdown,
    redis::Redis,
    telemetry::{Metrics, metrics::label},
};
use copy::Copies;
use pace::{Pace, Turn};
use set::KeySet;

/// At most one fetch for unknown key ids in this time; it is claimed before fetching.
const COOLDOWN: Duration = Duration::from_secs(30);
/// Keys older than this are not used any more.
const STALE_AFTER: Duration = Duration::from_hours(24);
/// How long a caller waits for a key: less than a door waits for the caller.
const WAIT: Duration = Duration::from_secs(4);

/// The keys of one tenant; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Jwks(Arc<Shared>);

/// What the keys stand on.
#[derive(Debug)]
pub(super) struct Source {
    /// The tenant's `iss`.
    pub(super) issuer: String,
    /// Where it publishes its keys.
    pub(super) url: String,
    /// Follows no redirects.
    pub(super) http: reqwest::Client,
    pub(super) redis: Redis,
    pub(super) secrets: Secrets,
    pub(super) metrics: Metrics,
    pub(super) shutdown: Shutdown,
}

#[derive(Debug)]
struct Shared {
    url: String,
    http: reqwest::Client,
    copies: Copies,
    keys: Mutex<Option<Arc<KeySet>>>,
    pace: Pace,
    /// Counts the searches that have ended, well or not.
    ended: watch::Sender<u64>,
    shutdown: Shutdown,
}

/// No such key now; the time after which asking again makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unknown(pub(super) Duration);

impl Jwks {
    /// Starts to fetch the keys, and to keep them fresh until the hard stop.
    pub(super) fn start(source: Source) -> Self {
        let Source { issuer, url, http, redis, secrets, metrics, shutdown } = source;
        let copies = Copies { redis, secrets, issuer, metrics };
        let (keys, pace, ended) = (Mutex::default(), Pace::default(), watch::Sender::new(0));
        let shared = Arc::new(Shared { url, http, copies, keys, pace, ended, shutdown });
        // Whoever asks meanwhile waits, and causes no fetch.
        shared.pace.begin_search();
        shared.in_background(async |shared| shared.keep_fresh().await);
        Self(shared)
    }

    /// The key of that id, in memory alone.
    pub(super) fn known(&self, kid: &str) -> Option<Arc<DecodingKey>> {
        self.0.find(kid)
    }

    /// The key of that id. Waits only where the id is unknown and a fetch is on its way or may be
    /// made.
    pub(super) async fn key(&self, kid: &str) -> Result<Arc<DecodingKey>, Unknown> {
        let deadline = Instant::now() + WAIT;
        loop {
            let mut ended = self.0.ended.subscribe();
            if let Some(key) = self.0.find(kid) {
                return Ok(key);
            }
            match self.0.pace.begin_search() {
                Turn::Begin => self.search(kid.to_owned()),
                Turn::Wait => {}
                Turn::Later => break,
            }
            if tokio::time::timeout_at(deadline, ended.changed()).await.is_err() {
                break;
            }
        }
        // A search may have ended since the last look.
        self.0.find(kid).ok_or_else(|| Unknown(self.0.pace.cooling().max(Duration::from_secs(1))))
    }

    /// Searches in a task of its own, so that a caller who hangs up does not stop it.
    fn search(&self, kid: String) {
        self.0.in_background(async move |shared| {
            shared.search(&kid).await;
            shared.pace.end_search();
            shared.ended.send_modify(|count| *count += 1);
        });
    }
}

impl Shared {
    /// Does something until the hard stop at most.
    fn in_background<F>(self: &Arc<Self>, work: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.shutdown.hard().clone();
        let work = work(Arc::clone(self));
        self.shutdown.spawn(async move {
            // At the hard stop nobody needs the keys any more.
            let _stopped = stop.run_until_cancelled(work).await;
        });
    }

    fn set(&self) -> Option<Arc<KeySet>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn find(&self, kid: &str) -> Option<Arc<DecodingKey>> {
        self.set().filter(|set| set.age() < STALE_AFTER)?.find(kid)
    }

    fn fetched_at(&self) -> Option<DateTime<Utc>> {
        self.set().map(|set| set.fetched_at)
    }

    /// Takes over the copy in Redis if it is newer; whether it was. Fails where Redis is away.
    async fn look(&self) -> Result<bool, fred::error::Error> {
        let Some(copy) = self.copies.read(self.fetched_at()).await? else { return Ok(false) };
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        // A fetch may have ended meanwhile.
        let newer = keys.as_ref().is_none_or(|set| set.fetched_at < copy.fetched_at);
        if newer {
            *keys = Some(Arc::new(copy));
        }
        Ok(newer)
    }

    /// Fetches, and leaves a copy for the others; keeps what is there if that fails.
    async fn fetch(&self) {
        self.pace.note_fetch();
        let outcome = match fetch::fetch(&self.http, &self.url).await {
            Ok(set) => {
                let set = Arc::new(set);
                let current = Some(Arc::clone(&set));
                *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = current;
                self.copies.write(&set).await;
                "ok"
            }
            Err(error) => {
                warn!(error = format!("{error:#}"), "signing keys could not be fetched");
                "error"
            }
        };
        self.copies.metrics.jwks_fetches.add(1, &[label("outcome", outcome)]);
    }
}
