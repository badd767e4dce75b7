//! One key set of the tenant, brought down to the keys that verify RS256.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{Jwk, KeyAlgorithm, PublicKeyUse},
};

/// A key set with the time when the tenant gave it.
#[derive(Debug)]
pub(super) struct KeySet {
    /// By the clock of the replica that fetched it.
    pub(super) fetched_at: DateTime<Utc>,
    /// As they were published, for the copy.
    pub(super) published: Vec<Jwk>,
    keys: HashMap<String, Arc<DecodingKey>>,
    /// How old it was at `since`: from there on no clock that jumps makes it older or younger.
    age: Duration,
    since: Instant,
}

impl KeySet {
    /// The usable keys of a set; others are passed over, so that a new kind breaks nothing.
    pub(super) fn new(published: Vec<Jwk>, fetched_at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let named = |jwk: &Jwk| Some((jwk.common.key_id.clone()?, Arc::new(usable(jwk)?)));
        let keys: HashMap<_, _> = published.iter().filter_map(named).collect();
        let listed = |jwk: &Jwk| jwk.common.key_id.as_ref().is_some_and(|id| keys.contains_key(id));
        let published = published.into_iter().filter(listed).collect();
        let age = (now - fetched_at).to_std().unwrap_or_default();
        Self { fetched_at, published, keys, age, since: Instant::now() }
    }

    /// The key of that id.
    pub(super) fn find(&self, kid: &str) -> Option<Arc<DecodingKey>> {
        self.keys.get(kid).cloned()
    }

    /// How long ago the tenant gave it.
    pub(super) fn age(&self) -> Duration {
        self.age + self.since.elapsed()
    }

    /// Whether nothing can be verified with it.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn usable(jwk: &Jwk) -> Option<DecodingKey> {
    let common = &jwk.common;
    let algorithm = common.key_algorithm.is_none_or(|a| a == KeyAlgorithm::RS256);
    let signing = common.public_key_use.as_ref().is_none_or(|u| *u == PublicKeyUse::Signature);
    let key = DecodingKey::from_jwk(jwk).ok()?;
    (key.family() == Algorithm::RS256.family() && algorithm && signing).then_some(key)
}
