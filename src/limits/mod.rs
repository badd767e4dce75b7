//! How much each user may do, counted by all replicas together.

mod action;
mod breaker;
mod gcra;
mod holdings;
mod leases;
mod limiter;
mod share;
mod slots;
#[cfg(test)]
mod tests;
mod verdict;

use std::sync::Arc;

pub use action::LimitedAction;
pub use leases::{Lease, Leases};
pub use slots::{Line, Seek, Seeker, Slot, Slots};
pub use verdict::Verdict;

use crate::{config::LimitsConfig, fleet::Fleet, model::Plan, redis::Redis, telemetry::Metrics};
use limiter::{Act, Limiter};

/// Counts what users do; cheap to clone.
#[derive(Clone, Debug)]
pub struct Limits {
    config: Arc<LimitsConfig>,
    limiter: Arc<Limiter>,
}

impl Limits {
    /// Limits of that configuration.
    pub fn new(config: LimitsConfig, redis: Redis, fleet: Fleet, metrics: Metrics) -> Self {
        let limiter = Arc::new(Limiter::new(redis, fleet, metrics));
        Self { config: Arc::new(config), limiter }
    }

    /// Sockets that an account of that plan may have open at once on one replica.
    pub fn open_sockets(&self, plan: Plan) -> Option<u32> {
        self.config.open_sockets.of(plan)
    }

    /// Sockets that may be open at once on one replica by one share token.
    pub fn share_sockets(&self) -> Option<u32> {
        self.config.share_sockets.of(Plan::default())
    }

    /// Counts one act of a subject (an account, or the address of somebody unknown), or refuses it.
    /// Nothing where the plan sets no limit. Never fails: while Redis is away, this replica counts
    /// its share.
    pub async fn check(&self, action: LimitedAction, subject: &str, plan: Plan) -> Option<Verdict> {
        let limit = action.allowance(&self.config).of(plan)?;
        Some(self.limiter.count(Act { action, subject, limit }).await)
    }
}
