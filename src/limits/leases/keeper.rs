//! Keeps this replica's leases in Redis: renews them, and gives back those that ended.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fred::types::{Value, scripts::Script};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{
    Caps,
    table::{Due, Named, Table},
};
use crate::{
    fleet::{EXPIRY, Fleet, HEARTBEAT},
    limits::breaker::Breaker,
    model::SessionId,
    redis::Redis,
    telemetry::{Metrics, metrics::label},
};

/// How soon a renewal that failed is tried again: owners must be quick once Redis is back.
const RETRY: Duration = Duration::from_millis(500);
/// How long nobody is admitted after Redis lost its leases: a heartbeat, in which every owner
/// registers again, and the longest that this may take.
const PAUSE: Duration = Duration::from_millis(3500);
/// Leases that one script renews: Redis does nothing else meanwhile.
const BATCH: usize = 500;

/// What Redis says of one who asks for a lease.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is theirs.
    Granted,
    /// The account has as many as it may.
    AccountFull,
    /// All together are as many as may be.
    Full,
    /// Leases were lost, and their owners register first.
    Paused(Duration),
}

/// The one that talks to Redis of leases.
#[derive(Debug)]
pub(super) struct Keeper {
    redis: Redis,
    pub(super) fleet: Fleet,
    metrics: Metrics,
    breaker: Breaker,
    total_cap: Option<u32>,
    acquire_script: Script,
    renew_script: Script,
    release_script: Script,
    table: Mutex<Table>,
    freed: Notify,
    /// Whose turn it is: a renewal that overtook a release would bring the lease back.
    turn: tokio::sync::Mutex<Known>,
}

/// What is known of the leases in Redis.
#[derive(Debug, Default)]
struct Known {
    /// The marker of the leases; 0 before the first is seen.
    marker: i64,
    /// Whether the last renewal failed: then Redis may have let leases expire that are in use.
    failed: bool,
}

impl Keeper {
    pub(super) fn new(
        redis: Redis,
        fleet: Fleet,
        metrics: Metrics,
        total_cap: Option<u32>,
    ) -> Self {
        Self {
            redis,
            fleet,
            metrics,
            breaker: Breaker::default(),
            total_cap,
            acquire_script: Script::from_lua(concat!(
                include_str!("marker.lua"),
                include_str!("acquire.lua")
            )),
            renew_script: Script::from_lua(concat!(
                include_str!("marker.lua"),
                include_str!("renew.lua")
            )),
            release_script: Script::from_lua(include_str!("release.lua")),
            table: Mutex::default(),
            freed: Notify::new(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Renews and gives back, until it is dropped.
    pub(super) async fn keep(&self) {
        let mut next = Instant::now();
        loop {
            tokio::select! {
                () = sleep_until(next) => {
                    let wait = if self.renew().await { HEARTBEAT } else { RETRY };
                    next = Instant::now() + wait;
                }
                () = self.freed.notified() => self.release().await,
            }
        }
    }

    /// Asks for a lease, after everything that ended here before has been given back. Nothing if
    /// Redis is away.
    pub(super) async fn ask_if_there(&self, named: &Named, caps: Caps) -> Option<Answer> {
        if !self.breaker.may_ask() {
            return None;
        }
        let asked = self.ask(named, caps).await;
        self.breaker.learn(asked.is_ok());
        let asked =
            asked.inspect_err(|error| tracing::debug!("leases are not shared now: {error}"));
        let (word, wait_ms) = asked.ok()?;
        Some(match word.as_str() {
            "granted" => Answer::Granted,
            "account" => Answer::AccountFull,
            "total" => Answer::Full,
            _ => Answer::Paused(Duration::from_millis(wait_ms)),
        })
    }

    async fn ask(&self, named: &Named, caps: Caps) -> Result<(String, u64), fred::error::Error> {
        let known = self.turn.lock().await;
        self.release_freed(&known).await?;
        let mut arguments = times(known.marker);
        drop(known);
        let keys = self.redis.keys();
        let keys = vec![keys.leases_since(), keys.leases(), keys.leases_of(&named.account)];
        arguments.push(named.session.to_string().into());
        arguments.extend([cap(caps.account), cap(caps.total)]);
        self.acquire_script.evalsha_with_reload(self.redis.client(), keys, arguments).await
    }

    /// Ends a lease: it is given back soon.
    pub(super) fn free(&self, session: SessionId, grant: u64) {
        if self.table().free(session, grant) {
            self.freed.notify_one();
        }
    }

    /// Renews every lease; whether Redis answered.
    async fn renew(&self) -> bool {
        let mut known = self.turn.lock().await;
        let renewed = self.renew_in_turn(&known).await;
        self.breaker.learn(renewed.is_ok());
        match renewed {
            Ok(marker) => *known = Known { marker, failed: false },
            Err(ref error) => {
                tracing::debug!("leases are not renewed: {error}");
                known.failed = true;
            }
        }
        renewed.is_ok()
    }

    /// Renews in batches; the marker that was seen with the last.
    async fn renew_in_turn(&self, known: &Known) -> Result<i64, fred::error::Error> {
        self.release_freed(known).await?;
        let due = self.table().due();
        let mut marker = known.marker;
        // Without a lease too: a replica must notice that those of others are lost.
        for batch in due.chunks(BATCH).chain(due.is_empty().then_some(&[][..])) {
            marker = self.renew_batch(known, batch).await?;
        }
        Ok(marker)
    }

    async fn renew_batch(&self, known: &Known, batch: &[Due]) -> Result<i64, fred::error::Error> {
        let names = self.redis.keys();
        let mut keys = vec![names.leases_since(), names.leases()];
        let mut arguments = times(known.marker);
        arguments.push(cap(self.total_cap));
        for due in batch {
            keys.push(names.leases_of(&due.named.account));
            let must = i64::from(due.unregistered || known.failed);
            arguments.extend([due.named.session.to_string().into(), cap(due.cap), must.into()]);
        }
        let client = self.redis.client();
        let answer: Vec<i64> =
            self.renew_script.evalsha_with_reload(client, keys, arguments).await?;
        let (marker, lost) = answer.split_first().map_or((0, &[][..]), |(id, lost)| (*id, lost));
        for (number, due) in (1..).zip(batch) {
            let lost = lost.contains(&number);
            self.table().renewed(due, lost);
            if lost {
                self.count("lost", "redis");
            }
        }
        Ok(marker)
    }

    async fn release(&self) {
        let released = self.release_freed(&*self.turn.lock().await).await;
        if let Err(error) = released {
            self.breaker.learn(false);
            tracing::debug!("leases are left to expire: {error}");
        }
    }

    /// Gives back what has ended; what cannot be given back expires.
    async fn release_freed(&self, _turn: &Known) -> Result<(), fred::error::Error> {
        let freed = self.table().take_freed();
        for batch in freed.chunks(BATCH) {
            let keys = self.redis.keys();
            let accounts = batch.iter().map(|named| keys.leases_of(&named.account));
            let keys: Vec<String> = std::iter::once(keys.leases()).chain(accounts).collect();
            let sessions = batch.iter().map(|named| named.session.to_string());
            let sessions: Vec<String> = sessions.collect();
            let client = self.redis.client();
            let _answer: i64 =
                self.release_script.evalsha_with_reload(client, keys, sessions).await?;
        }
        Ok(())
    }

    pub(super) fn count(&self, outcome: &'static str, source: &'static str) {
        self.metrics.leases.add(1, &[label("outcome", outcome), label("source", source)]);
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What every script of leases is told first.
fn times(marker: i64) -> Vec<Value> {
    let pause_ms = PAUSE.as_millis() as i64;
    let expiry_ms = EXPIRY.as_millis() as i64;
    vec![marker.into(), pause_ms.into(), expiry_ms.into()]
}

/// A cap as scripts read it.
fn cap(cap: Option<u32>) -> Value {
    cap.map_or(-1, i64::from).into()
}
