//! Counts acts in Redis for all replicas together, or by this replica's share while it is away.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fred::types::scripts::Script;

use super::{LimitedAction, Verdict, breaker::Breaker, gcra::Count, share::Share};
use crate::{
    fleet::Fleet,
    redis::Redis,
    telemetry::{Metrics, log_patterns, metrics::label},
};

/// One act that is to be counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act<'a> {
    pub(super) action: LimitedAction,
    /// Whose it is: an account, or the address of somebody unknown.
    pub(super) subject: &'a str,
    /// How often a minute.
    pub(super) limit: u32,
}

/// Counts acts.
#[derive(Debug)]
pub(super) struct Limiter {
    redis: Redis,
    fleet: Fleet,
    metrics: Metrics,
    script: Script,
    breaker: Breaker,
    shares: [Mutex<Share>; LimitedAction::ALL.len()],
    started: Instant,
    /// In which second a refusal was logged last.
    told: [AtomicU64; LimitedAction::ALL.len()],
}

impl Limiter {
    pub(super) fn new(redis: Redis, fleet: Fleet, metrics: Metrics) -> Self {
        Self {
            redis,
            fleet,
            metrics,
            script: Script::from_lua(include_str!("gcra.lua")),
            breaker: Breaker::default(),
            shares: std::array::from_fn(|_| Mutex::default()),
            started: Instant::now(),
            told: Default::default(),
        }
    }

    /// Counts an act; never fails and, while Redis is away, hardly ever waits for it.
    pub(super) async fn count(&self, act: Act<'_>) -> Verdict {
        let (limit, counted, source) = match self.ask(act).await {
            Some(counted) => (act.limit, counted, "redis"),
            None => {
                let limit = (act.limit / self.fleet.replicas()).max(1);
                (limit, self.share(act, limit), "share")
            }
        };
        if !counted.allowed && self.may_tell(act.action) {
            log_patterns::limit_exceeded(act.action.name(), act.subject);
        }
        let outcome = if counted.allowed { "allowed" } else { "refused" };
        let labels = [
            label("action", act.action.name()),
            label("outcome", outcome),
            label("source", source),
        ];
        self.metrics.limit_checks.add(1, &labels);
        verdict(act.action, limit, counted)
    }

    /// Whether a refusal may be logged: one a second, since whoever is refused may go on asking.
    fn may_tell(&self, action: LimitedAction) -> bool {
        let second = self.started.elapsed().as_secs() + 1;
        self.told[action as usize].swap(second, Ordering::Relaxed) != second
    }

    /// What Redis says; nothing if it is away or too slow.
    async fn ask(&self, act: Act<'_>) -> Option<Count> {
        if !self.breaker.may_ask() {
            return None;
        }
        let counted = self.count_in_redis(act).await;
        self.breaker.learn(counted.is_ok());
        counted.inspect_err(|error| tracing::debug!("a limit is not shared now: {error}")).ok()
    }

    async fn count_in_redis(&self, act: Act<'_>) -> Result<Count, fred::error::Error> {
        let key = self.redis.keys().limit(act.action.name(), act.subject);
        let limit = i64::from(act.limit);
        let (allowed, remaining, reset_us, retry_us, _now): (bool, u64, u64, u64, u64) =
            self.script.evalsha_with_reload(self.redis.client(), key, limit).await?;
        Ok(Count { allowed, remaining, reset_us, retry_us })
    }

    fn share(&self, act: Act<'_>, limit: u32) -> Count {
        let now = self.started.elapsed().as_micros() as u64;
        let share = &self.shares[act.action as usize];
        share.lock().unwrap_or_else(PoisonError::into_inner).count(act.subject, now, limit)
    }
}

fn verdict(action: LimitedAction, limit: u32, counted: Count) -> Verdict {
    Verdict {
        action,
        allowed: counted.allowed,
        limit,
        remaining: counted.remaining as u32,
        reset_after: Duration::from_micros(counted.reset_us),
        retry_after: Duration::from_micros(counted.retry_us),
    }
}
