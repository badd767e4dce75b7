//! Upstream slots: how many connections of live sessions a provider has at once, over every replica,
//! and who is next where all are taken.

mod line;
mod seek;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use fred::types::scripts::Script;

pub use seek::Seek;

use super::holdings::{Hold, Keeper, MARKER, Named, Scope};
use crate::{
    fleet::Fleet,
    lifecycle::Shutdown,
    model::SessionId,
    redis::Redis,
    telemetry::{Metrics, metrics::label},
};

/// Sessions that wait for one provider at most.
const MOST_WAITING: u32 = 100;
/// How long a session waits at most: less than the audio that its inbox keeps.
const PATIENCE: Duration = Duration::from_secs(25);
/// How long one counts as waiting who does not ask again, as on a replica that died.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3);

/// How many may have slots of a provider, and how many wait how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Slots that may be held at once.
    pub cap: u32,
    /// Sessions that may wait at once.
    pub bound: u32,
    /// How long each may wait.
    pub patience: Duration,
}

impl Line {
    /// The line before so many slots.
    pub fn of(cap: u32) -> Self {
        let bound = cap.saturating_mul(2).clamp(1, MOST_WAITING);
        Self { cap, bound, patience: PATIENCE }
    }

    /// What one of so many replicas may grant by itself.
    fn share(self, replicas: u32) -> Self {
        let share = |all: u32| (all / replicas).max(1);
        Self { cap: share(self.cap), bound: share(self.bound), ..self }
    }
}

/// Who asks for a slot.
#[derive(Clone, Debug)]
pub struct Seeker {
    /// For which session. A slot is the session's: its next owner takes it over.
    pub session: SessionId,
    /// Among which account's slots it counts.
    pub account: String,
}

/// The slots of every provider that has a cap. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Slots(Arc<[Arc<Pool>]>);

/// The slots of one provider.
#[derive(Debug)]
struct Pool {
    provider: &'static str,
    line: Line,
    keeper: Arc<Keeper>,
    script: Script,
    metrics: Metrics,
}

impl Slots {
    /// Slots of these providers, which are kept until the hard stop. Others have as many as are asked
    /// for.
    pub fn new(
        lines: &[(&'static str, Line)],
        redis: &Redis,
        fleet: &Fleet,
        metrics: &Metrics,
        shutdown: &Shutdown,
    ) -> Self {
        let pool = |&(provider, line): &(&'static str, Line)| {
            let ground = (redis.clone(), fleet.clone(), metrics);
            let keeper = Keeper::start(Scope::Slots(provider), Some(line.cap), ground, shutdown);
            let script = Script::from_lua([MARKER, include_str!("acquire.lua")].concat());
            Arc::new(Pool { provider, line, keeper, script, metrics: metrics.clone() })
        };
        Self(lines.iter().map(pool).collect())
    }

    /// Begins to look for a slot of a provider; nothing happens before [`Seek::slot`].
    pub fn seek(&self, provider: &str, seeker: &Seeker) -> Seek {
        Seek::new(self.pool(provider), seeker)
    }

    /// Takes a slot if there is one at once.
    pub async fn take_now(&self, provider: &str, seeker: &Seeker) -> Option<Slot> {
        self.seek(provider, seeker).slot_at_once().await
    }

    /// With whom of a line-up a session begins: the first who has a slot at once, and that slot. Else
    /// the first of all, for whom it has to wait.
    pub async fn begin_with(
        &self,
        lineup: &[&'static str],
        seeker: &Seeker,
    ) -> (usize, Option<Slot>) {
        // Without a choice there is nothing to ask: it waits for the only one.
        let choices = lineup.iter().enumerate().filter(|_| lineup.len() > 1);
        for (number, provider) in choices {
            if let Some(slot) = self.take_now(provider, seeker).await {
                return (number, Some(slot));
            }
            if let Some(pool) = self.pool(provider) {
                pool.keeper.count("overflow", "redis");
            }
        }
        (0, None)
    }

    fn pool(&self, provider: &str) -> Option<&Arc<Pool>> {
        self.0.iter().find(|pool| pool.provider == provider)
    }
}

/// The right to a connection to a provider. Given back when it is dropped.
#[derive(Debug)]
pub struct Slot(Option<Held>);

#[derive(Debug)]
struct Held {
    hold: Hold,
    pool: Arc<Pool>,
}

impl Slot {
    /// Leaves the slot to the session's next owner, which takes it over; nobody does so within its
    /// expiry, and it is free. One in another name, as a second connection's is, nobody would look
    /// for: it is given back at once.
    pub fn hand_over(self, session: SessionId) {
        if let Some(held) = self.0.as_ref().filter(|held| held.hold.named().session == session) {
            held.hold.hand_over();
        }
    }
}

impl Held {
    fn new(hold: Hold, pool: Arc<Pool>) -> Self {
        pool.metrics.upstream_slots_held.add(1, &[label("provider", pool.provider)]);
        Self { hold, pool }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let provider = label("provider", self.pool.provider);
        self.pool.metrics.upstream_slots_held.add(-1, &[provider]);
    }
}
