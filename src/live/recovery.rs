//! When to connect again: full jitter within a budget of time, and a clean slate once a final came.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(4);
/// How long a provider may be away before the session gives up: what the ring can bridge.
const BUDGET: Duration = Duration::from_secs(30);

/// Attempts since the last success.
#[derive(Debug)]
pub struct Recovery {
    backoff: Backoff,
    since: Option<Instant>,
}

impl Default for Recovery {
    fn default() -> Self {
        Self { backoff: Backoff::new(FIRST, LONGEST), since: None }
    }
}

impl Recovery {
    /// The wait before the next attempt; `None` once the budget is used up.
    pub fn next_delay(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let jittered = self.backoff.next_delay();
        let delay = retry_after.map_or(jittered, |told| told.max(jittered));
        (since.elapsed() + delay < BUDGET).then_some(delay)
    }

    /// The provider works again.
    pub fn succeeded(&mut self) {
        self.since = None;
        self.backoff.reset();
    }

    /// Whether a failure has not been made good yet.
    pub fn is_recovering(&self) -> bool {
        self.since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_bounded_and_end() {
        let mut recovery = Recovery::default();
        for _ in 0..50 {
            assert!(recovery.next_delay(None).is_none_or(|delay| delay <= LONGEST));
        }
        assert!(recovery.is_recovering());
        assert_eq!(recovery.next_delay(Some(BUDGET)), None);
        recovery.succeeded();
        assert!(!recovery.is_recovering());
    }
}
