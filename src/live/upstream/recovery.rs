//! When to connect again: full jitter, and a clean slate once something was heard.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(4);

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
    /// The wait before the next attempt: `chance`, between 0 and 1, of what is allowed, but what the
    /// provider asked for at least.
    pub fn failed(&mut self, now: Instant, chance: f64, retry_after: Option<Duration>) -> Duration {
        self.since.get_or_insert(now);
        let jittered = self.backoff.next_bound().mul_f64(chance);
        retry_after.map_or(jittered, |told| told.max(jittered))
    }

    /// Nobody may be asked for now: the time counts, the attempt was none.
    pub fn held(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// The provider works again.
    pub fn succeeded(&mut self) {
        self.since = None;
        self.backoff.reset();
    }

    /// Others go on with the provider: what waits has not failed yet, but goes on as slowly.
    pub const fn overtaken(&mut self) {
        self.since = None;
    }

    /// For how long failures have not been made good.
    pub fn lasting(&self, now: Instant) -> Option<Duration> {
        self.since.map(|since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_bounded_and_what_was_asked_for_is_kept() {
        let (mut recovery, now) = (Recovery::default(), Instant::now());
        for attempt in 0..50 {
            let delay = recovery.failed(now, 1.0, None);
            assert_eq!(delay, (FIRST * 2_u32.pow(attempt.min(5))).min(LONGEST));
        }
        let told = Duration::from_secs(9);
        assert_eq!(recovery.failed(now, 0.5, Some(told)), told);
        assert_eq!(recovery.lasting(now + told), Some(told));
        recovery.succeeded();
        assert_eq!(recovery.lasting(now), None);
        assert_eq!(recovery.failed(now, 0.5, None), FIRST / 2);
    }
}
