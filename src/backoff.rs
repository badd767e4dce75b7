//! How long to wait before the next attempt.

use std::time::Duration;

/// Exponential back-off with full jitter, so that replicas do not come back in step.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    attempts: u32,
}

impl Backoff {
    /// Waits up to `first`, then up to twice that, and so on up to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, attempts: 0 }
    }

    /// The next wait: anything from nothing to the present bound.
    pub fn next_delay(&mut self) -> Duration {
        self.next_bound().mul_f64(rand::random::<f64>())
    }

    /// The longest that the next wait may be, for callers with a chance of their own.
    pub fn next_bound(&mut self) -> Duration {
        let factor = 1_u32.checked_shl(self.attempts.min(30)).unwrap_or(u32::MAX);
        self.attempts = self.attempts.saturating_add(1);
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// Starts over after a success.
    pub const fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_grows_and_stays() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        for attempt in 0..100_u32 {
            let bound = Duration::from_millis(100 << attempt.min(5)).min(Duration::from_secs(2));
            assert!(backoff.next_delay() <= bound);
        }
    }
}
