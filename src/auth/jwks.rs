//! The tenant's signing keys: fetched ahead of need, kept while the tenant is away, and never
//! fetched more than once in thirty seconds, whatever tokens say.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{JwkSet, KeyAlgorithm, PublicKeyUse},
};
use tokio::sync::watch;
use tracing::warn;

use crate::{
    lifecycle::Shutdown,
    telemetry::{Metrics, metrics::label},
};

/// At most one fetch in this time; the slot is claimed before fetching.
const COOLDOWN: Duration = Duration::from_secs(30);
/// Keys older than this are fetched anew while they are still in use.
const REFRESH_AFTER: Duration = Duration::from_mins(10);
/// Keys older than this are not used any more.
const STALE_AFTER: Duration = Duration::from_hours(24);
/// How long one fetch may take.
const FETCH_DEADLINE: Duration = Duration::from_secs(5);
/// The largest key set that is read.
const LARGEST_SET_BYTES: usize = 256 * 1024;

type Keys = HashMap<String, Arc<DecodingKey>>;

/// The keys of one tenant; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Jwks {
    shared: Arc<Shared>,
    shutdown: Shutdown,
}

#[derive(Debug)]
struct Shared {
    url: String,
    http: reqwest::Client,
    metrics: Metrics,
    keys: Mutex<Option<(Instant, Arc<Keys>)>>,
    slot: Mutex<Slot>,
    /// Counts the fetches that have ended, well or not.
    ended: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Slot {
    claimed_at: Option<Instant>,
    in_flight: bool,
}

/// What became of a wish to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// One is on its way, started now or before.
    InFlight,
    /// The last one is too recent.
    Cooling,
}

impl Jwks {
    pub(super) fn new(
        url: String,
        metrics: Metrics,
        shutdown: Shutdown,
    ) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(FETCH_DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let shared = Shared {
            url,
            http,
            metrics,
            keys: Mutex::new(None),
            slot: Mutex::new(Slot::default()),
            ended: watch::Sender::new(0),
        };
        Ok(Self { shared: Arc::new(shared), shutdown })
    }

    /// The key of that id. Waits for a fetch only where the id is unknown and one may be made.
    pub(super) async fn key(&self, kid: &str) -> Option<Arc<DecodingKey>> {
        if let Some((age, key)) = self.shared.find(kid) {
            if age > REFRESH_AFTER {
                self.fetch();
            }
            return Some(key);
        }
        let mut ended = self.shared.ended.subscribe();
        if self.fetch() == Claim::InFlight {
            let wait = tokio::time::timeout(FETCH_DEADLINE, ended.changed()).await;
            wait.ok()?.ok()?;
        }
        self.shared.find(kid).map(|(_, key)| key)
    }

    /// Starts a fetch in a task of its own, so that a caller who hangs up does not stop it.
    pub(super) fn fetch(&self) -> Claim {
        {
            let mut slot = self.shared.slot.lock().unwrap_or_else(PoisonError::into_inner);
            if slot.in_flight {
                return Claim::InFlight;
            }
            if slot.claimed_at.is_some_and(|at| at.elapsed() < COOLDOWN) {
                return Claim::Cooling;
            }
            *slot = Slot { claimed_at: Some(Instant::now()), in_flight: true };
        }
        let shared = Arc::clone(&self.shared);
        self.shutdown.spawn(async move { shared.fetch().await });
        Claim::InFlight
    }
}

impl Shared {
    fn find(&self, kid: &str) -> Option<(Duration, Arc<DecodingKey>)> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, keys) = keys.as_ref()?;
        let age = at.elapsed();
        keys.get(kid).filter(|_| age < STALE_AFTER).map(|key| (age, Arc::clone(key)))
    }

    async fn fetch(&self) {
        let outcome = match self.read().await {
            Ok(keys) => {
                let fetched = Some((Instant::now(), Arc::new(keys)));
                *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = fetched;
                "ok"
            }
            Err(error) => {
                warn!(error = format!("{error:#}"), "signing keys could not be fetched");
                "error"
            }
        };
        self.metrics.jwks_fetches.add(1, &[label("outcome", outcome)]);
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).in_flight = false;
        self.ended.send_modify(|count| *count += 1);
    }

    async fn read(&self) -> anyhow::Result<Keys> {
        let mut response = self.http.get(&self.url).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await? {
            anyhow::ensure!(body.len() + piece.len() <= LARGEST_SET_BYTES, "key set is too large");
            body.extend_from_slice(&piece);
        }
        let keys = usable(&body)?;
        anyhow::ensure!(!keys.is_empty(), "key set holds no RS256 key");
        Ok(keys)
    }
}

/// The RS256 keys of a set; others are passed over, so that a new kind breaks nothing.
fn usable(body: &[u8]) -> anyhow::Result<Keys> {
    let set: JwkSet = serde_json::from_slice(body)?;
    let keys = set.keys.iter().filter_map(|jwk| {
        let algorithm = jwk.common.key_algorithm.is_none_or(|a| a == KeyAlgorithm::RS256);
        let signing = jwk
            .common
            .public_key_use
            .as_ref()
            .is_none_or(|usage| *usage == PublicKeyUse::Signature);
        let key = DecodingKey::from_jwk(jwk)
            .ok()
            .filter(|key| key.family() == Algorithm::RS256.family() && algorithm && signing)?;
        Some((jwk.common.key_id.clone()?, Arc::new(key)))
    });
    Ok(keys.collect())
}
