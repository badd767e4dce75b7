//! When to connect again: full jitter, a budget of time, and none of it once a final came.

use std::time::{Duration, Instant};

const BASE: Duration = Duration::from_millis(200);
const CAP: Duration = Duration::from_secs(4);
/// How long a provider may be away before the session gives up: what the ring can bridge.
const BUDGET: Duration = Duration::from_secs(30);

/// Attempts since the last success.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
    since: Option<Instant>,
}

impl Backoff {
    /// The wait before the next attempt; `None` once the budget is used up.
    pub fn next(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let ceiling = BASE.saturating_mul(1 << self.failures.min(8)).min(CAP);
        self.failures += 1;
        let jittered = ceiling.mul_f64(rand::random::<f64>());
        let delay = retry_after.map_or(jittered, |told| told.max(jittered));
        (since.elapsed() + delay < BUDGET).then_some(delay)
    }

    /// The provider works again.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Whether a failure has not been made good yet.
    pub fn is_recovering(&self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_bounded_and_end() {
        let mut backoff = Backoff::default();
        for _ in 0..50 {
            assert!(backoff.next(None).is_none_or(|delay| delay <= CAP));
        }
        assert!(backoff.is_recovering());
        assert_eq!(backoff.next(Some(BUDGET)), None);
        backoff.succeeded();
        assert!(!backoff.is_recovering());
    }
}
