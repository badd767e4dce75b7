//! Keeps what this replica's sessions hold in Redis: renews it, and gives back what ended.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fred::types::{FromValue, Value, scripts::Script};
use opentelemetry::{KeyValue, metrics::Counter};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{
    Scope,
    table::{Due, Table},
};
use crate::{
    fleet::{EXPIRY, Fleet, HEARTBEAT},
    lifecycle::Shutdown,
    limits::breaker::Breaker,
    model::SessionId,
    redis::Redis,
    telemetry::{Metrics, metrics::label},
};

/// What goes before every script that asks for something.
pub const MARKER: &str = include_str!("marker.lua");

/// How soon a renewal that failed is tried again: owners must be quick once Redis is back.
const RETRY: Duration = Duration::from_millis(500);
/// How long nobody is admitted after Redis lost what is held: a heartbeat, in which every owner
/// registers again, and the longest that this may take.
const PAUSE: Duration = Duration::from_millis(3500);
/// What one script renews: Redis does nothing else meanwhile.
const BATCH: usize = 500;

/// The one that talks to Redis of what is held.
#[derive(Debug)]
pub struct Keeper {
    redis: Redis,
    fleet: Fleet,
    breaker: Breaker,
    scope: Scope,
    total_cap: Option<u32>,
    counter: Counter<u64>,
    labels: Vec<KeyValue>,
    renew_script: Script,
    release_script: Script,
    table: Mutex<Table>,
    freed: Notify,
    /// Whose turn it is: a renewal that overtook a release would bring back what was given back.
    turn: tokio::sync::Mutex<Known>,
}

/// What is known of Redis.
#[derive(Debug, Default)]
struct Known {
    /// The marker; 0 before the first is seen.
    marker: i64,
    /// Whether the last renewal failed: then Redis may have let expire what is in use.
    failed: bool,
}

impl Keeper {
    /// A keeper that works until the hard stop. Where there is a cap, no more are held in all.
    pub fn start(
        scope: Scope,
        total_cap: Option<u32>,
        (redis, fleet, metrics): (Redis, Fleet, &Metrics),
        shutdown: &Shutdown,
    ) -> Arc<Self> {
        let (counter, labels) = match scope {
            Scope::Leases => (metrics.leases.clone(), vec![]),
            Scope::Slots(provider) => {
                (metrics.upstream_slots.clone(), vec![label("provider", provider)])
            }
        };
        let renew = concat!(include_str!("marker.lua"), include_str!("renew.lua"));
        let keeper = Arc::new(Self {
            redis,
            fleet,
            breaker: Breaker::default(),
            scope,
            total_cap,
            counter,
            labels,
            renew_script: Script::from_lua(renew),
            release_script: Script::from_lua(include_str!("release.lua")),
            table: Mutex::default(),
            freed: Notify::new(),
            turn: tokio::sync::Mutex::default(),
        });
        let (stop, kept) = (shutdown.hard().clone(), keeper.clone());
        shutdown.spawn(async move { stop.run_until_cancelled(kept.keep()).await });
        keeper
    }

    /// Renews and gives back, until it is dropped.
    async fn keep(&self) {
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

    /// Runs a script that asks for something, after everything that ended here before has been given
    /// back. Nothing if Redis is away.
    ///
    /// It is told the marker, all that is held and what the account holds, then `keys`; and the
    /// marker that was seen, the pause and the expiry in milliseconds, then `arguments`.
    pub async fn ask<R: FromValue>(
        &self,
        script: &Script,
        account: &str,
        keys: Vec<String>,
        arguments: Vec<Value>,
    ) -> Option<R> {
        if !self.breaker.may_ask() {
            return None;
        }
        let asked = self.ask_in_turn(script, account, keys, arguments).await;
        self.breaker.learn(asked.is_ok());
        let scope = self.scope;
        asked.inspect_err(|error| tracing::debug!(?scope, "not shared now: {error}")).ok()
    }

    async fn ask_in_turn<R: FromValue>(
        &self,
        script: &Script,
        account: &str,
        keys: Vec<String>,
        arguments: Vec<Value>,
    ) -> Result<R, fred::error::Error> {
        let known = self.turn.lock().await;
        self.release_freed(&known).await?;
        let mut told = times(known.marker);
        drop(known);
        told.extend(arguments);
        let (scope, names) = (self.scope, self.redis.keys());
        let mut named = vec![scope.since(names), scope.all(names), scope.of(names, account)];
        named.extend(keys);
        script.evalsha_with_reload(self.redis.client(), named, told).await
    }

    /// How many replicas share, this one included.
    pub fn replicas(&self) -> u32 {
        self.fleet.replicas()
    }

    /// The names of keys.
    pub fn keys(&self) -> &crate::redis::Keys {
        self.redis.keys()
    }

    /// Ends a hold: it is given back soon.
    pub(super) fn free(&self, session: SessionId, grant: u64) {
        if self.table().free(session, grant) {
            self.freed.notify_one();
        }
    }

    /// Renews everything; whether Redis answered.
    async fn renew(&self) -> bool {
        let mut known = self.turn.lock().await;
        let renewed = self.renew_in_turn(&known).await;
        self.breaker.learn(renewed.is_ok());
        match renewed {
            Ok(marker) => *known = Known { marker, failed: false },
            Err(ref error) => {
                tracing::debug!(scope = ?self.scope, "nothing is renewed: {error}");
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
        // With nothing too: a replica must notice that what others hold is lost.
        for batch in due.chunks(BATCH).chain(due.is_empty().then_some(&[][..])) {
            marker = self.renew_batch(known, batch).await?;
        }
        Ok(marker)
    }

    async fn renew_batch(&self, known: &Known, batch: &[Due]) -> Result<i64, fred::error::Error> {
        let (scope, names) = (self.scope, self.redis.keys());
        let mut keys = vec![scope.since(names), scope.all(names)];
        let mut arguments = times(known.marker);
        arguments.push(cap(self.total_cap));
        for due in batch {
            keys.push(scope.of(names, &due.named.account));
            let must = due.unregistered || known.failed || scope.outlives_expiry();
            arguments.extend([
                due.named.session.to_string().into(),
                cap(due.cap),
                i64::from(must).into(),
            ]);
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
            tracing::debug!(scope = ?self.scope, "left to expire: {error}");
        }
    }

    /// Gives back what has ended; what cannot be given back expires.
    async fn release_freed(&self, _turn: &Known) -> Result<(), fred::error::Error> {
        let freed = self.table().take_freed();
        for batch in freed.chunks(BATCH) {
            let (mut keys, mut sessions) = (Vec::new(), Vec::new());
            for named in batch {
                let sets = self.scope.sets(self.redis.keys(), &named.account);
                sessions.extend(sets.iter().map(|_| named.session.to_string()));
                keys.extend(sets);
            }
            let client = self.redis.client();
            let _answer: i64 =
                self.release_script.evalsha_with_reload(client, keys, sessions).await?;
        }
        Ok(())
    }

    /// Counts what became of something that was asked for, and who decided: `redis` or the `share`.
    pub fn count(&self, outcome: &'static str, source: &'static str) {
        let more = [label("outcome", outcome), label("source", source)];
        self.counter.add(1, &[&self.labels[..], &more].concat());
    }

    /// What this replica's own sessions hold.
    pub fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What every script is told first.
fn times(marker: i64) -> Vec<Value> {
    let pause_ms = PAUSE.as_millis() as i64;
    let expiry_ms = EXPIRY.as_millis() as i64;
    vec![marker.into(), pause_ms.into(), expiry_ms.into()]
}

/// A cap as scripts read it.
fn cap(cap: Option<u32>) -> Value {
    cap.map_or(-1, i64::from).into()
}
