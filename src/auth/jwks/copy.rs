//! The copy of the key set in Redis, which all replicas read and none believes unseen.

use std::time::Duration;

use chrono::{DateTime, Utc};
use fred::{interfaces::KeysInterface, types::Expiration};
use jsonwebtoken::jwk::Jwk;
use serde::{Deserialize, Serialize};

use super::{STALE_AFTER, set::KeySet};
use crate::{
    auth::{Purpose, Secrets},
    model::Clock,
    redis::Redis,
    telemetry::{Metrics, metrics::label},
};

/// How far the clock of the replica that fetched may be ahead.
const CLOCK_SKEW: Duration = Duration::from_mins(1);
/// More is not read: no copy of ours is larger.
const LARGEST_COPY_BYTES: usize = 512 * 1024;

/// What is sealed.
#[derive(Debug, Serialize, Deserialize)]
struct Copy {
    issuer: String,
    fetched_at: DateTime<Utc>,
    keys: Vec<Jwk>,
}

/// Reads and writes the copy.
#[derive(Debug)]
pub(super) struct Copies {
    pub(super) redis: Redis,
    pub(super) secrets: Secrets,
    pub(super) issuer: String,
    pub(super) metrics: Metrics,
}

impl Copies {
    /// The copy, if there is a good one that is newer; fails where Redis is away.
    pub(super) async fn read(
        &self,
        newer_than: Option<DateTime<Utc>>,
    ) -> Result<Option<KeySet>, fred::error::Error> {
        let name = self.redis.keys().jwks();
        let sealed: Vec<u8> = self.redis.client().getrange(&name, 0, LARGEST_COPY_BYTES).await?;
        if sealed.is_empty() {
            return Ok(None);
        }
        let text = str::from_utf8(&sealed).map_err(|_| "bad_mac");
        let judged = text.and_then(|text| self.judge(&name, text, newer_than));
        let outcome = *judged.as_ref().err().unwrap_or(&"adopted");
        self.metrics.jwks_copies.add(1, &[label("outcome", outcome)]);
        Ok(judged.ok())
    }

    /// The keys of a copy, or the reason why it is passed over.
    fn judge(
        &self,
        name: &str,
        sealed: &str,
        newer_than: Option<DateTime<Utc>>,
    ) -> Result<KeySet, &'static str> {
        let copy: Copy = self.secrets.open(Purpose::Jwks, name, sealed).ok_or("bad_mac")?;
        if copy.issuer != self.issuer {
            return Err("wrong_issuer");
        }
        let now = Clock.now();
        if copy.fetched_at > now + CLOCK_SKEW {
            return Err("from_future");
        }
        if newer_than.is_some_and(|known| copy.fetched_at <= known) {
            return Err("known");
        }
        let set = KeySet::new(copy.keys, copy.fetched_at, now);
        if set.age() >= STALE_AFTER {
            return Err("too_old");
        }
        if set.is_empty() { Err("empty") } else { Ok(set) }
    }

    /// Leaves a copy for the others. Without one they fetch for themselves.
    pub(super) async fn write(&self, set: &KeySet) {
        let name = self.redis.keys().jwks();
        let keys = set.published.clone();
        let copy = Copy { issuer: self.issuer.clone(), fetched_at: set.fetched_at, keys };
        let Ok(sealed) = self.secrets.seal(Purpose::Jwks, &name, &copy) else { return };
        let life = Some(Expiration::EX(STALE_AFTER.as_secs().cast_signed()));
        let written: Result<(), _> =
            self.redis.client().set(&name, sealed, life, None, false).await;
        if let Err(error) = written {
            tracing::warn!("the signing keys could not be left in redis: {error}");
        }
    }
}
