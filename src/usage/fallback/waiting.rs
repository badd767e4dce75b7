//! The stream in Redis in which usage waits for Postgres, and the one for what cannot be billed.

use std::sync::Arc;

use bytes::Bytes;
use fred::{
    error::Error,
    interfaces::{KeysInterface, StreamsInterface},
    types::{Value, scripts::Script},
};

use crate::redis::Redis;

/// Entries that may wait: a session has one, however long Postgres is away.
const WAITING: i64 = 65_536;
/// Entries that are kept for an operator.
const PARKED: i64 = 1_000;
/// The longest text that can be ours.
const TEXT_BYTES: i64 = 64 << 10;

/// The two streams; cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::usage) struct Waiting {
    redis: Redis,
    scripts: Arc<Scripts>,
}

#[derive(Debug)]
struct Scripts {
    append: Script,
    claim: Script,
    park: Script,
}

/// An entry of the stream as it was found, which may be anything.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) text: String,
}

impl Waiting {
    pub(super) fn new(redis: Redis) -> Self {
        let scripts = Scripts {
            append: Script::from_lua(include_str!("append.lua")),
            claim: Script::from_lua(include_str!("claim.lua")),
            park: Script::from_lua(include_str!("park.lua")),
        };
        Self { redis, scripts: Arc::new(scripts) }
    }

    /// Appends sealed texts, each in the place of an older entry, if any; their ids, or nothing
    /// where there was no room.
    pub(in crate::usage) async fn append(
        &self,
        entries: Vec<(Option<String>, String)>,
    ) -> Result<Vec<Option<String>>, Error> {
        let mut arguments: Vec<Value> = vec![WAITING.into()];
        for (older, sealed) in entries {
            arguments.push(older.unwrap_or_default().into());
            arguments.push(sealed.into());
        }
        let key = self.redis.keys().usage_waiting();
        let script = &self.scripts.append;
        let ids: Vec<String> =
            script.evalsha_with_reload(self.redis.client(), key, arguments).await?;
        Ok(ids.into_iter().map(|id| Some(id).filter(|id| !id.is_empty())).collect())
    }

    /// The oldest entries, for whoever holds the claim on draining; nothing while another does.
    pub(super) async fn claim(
        &self,
        who: &str,
        claim_ms: i64,
        entries: i64,
    ) -> Result<Vec<Found>, Error> {
        let keys = vec![self.redis.keys().usage_drain(), self.redis.keys().usage_waiting()];
        let arguments: Vec<Value> =
            vec![who.into(), claim_ms.into(), entries.into(), TEXT_BYTES.into()];
        let script = &self.scripts.claim;
        // Bytes, since whoever writes to Redis need not write UTF-8.
        let found: Vec<Bytes> =
            script.evalsha_with_reload(self.redis.client(), keys, arguments).await?;
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let pairs = found.chunks_exact(2);
        Ok(pairs.map(|pair| Found { id: text(&pair[0]), text: text(&pair[1]) }).collect())
    }

    /// Takes entries out that are in Postgres.
    pub(super) async fn remove(&self, ids: Vec<String>) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        self.redis.client().xdel::<i64, _, _>(self.redis.keys().usage_waiting(), ids).await?;
        Ok(())
    }

    /// Moves entries that cannot be billed out of the way, each with the cause.
    pub(super) async fn park(&self, entries: &[(String, &'static str)]) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut arguments: Vec<Value> = vec![PARKED.into(), TEXT_BYTES.into()];
        for (id, why) in entries {
            arguments.push(id.clone().into());
            arguments.push((*why).into());
        }
        let keys = vec![self.redis.keys().usage_waiting(), self.redis.keys().usage_parked()];
        let script = &self.scripts.park;
        script.evalsha_with_reload::<i64, _, _>(self.redis.client(), keys, arguments).await?;
        Ok(())
    }

    /// Gives a claim back, so that nobody waits for its end.
    pub(super) async fn release(&self) -> Result<(), Error> {
        self.redis.client().del::<i64, _>(self.redis.keys().usage_drain()).await?;
        Ok(())
    }
}
