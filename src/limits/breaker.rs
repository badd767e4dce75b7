//! Remembers that Redis is away, so that not every caller has to find out by waiting.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long after a failure nobody tries again.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether Redis is worth asking.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// When the next caller may try; while it is set all others go without.
    try_at: Mutex<Option<Instant>>,
}

impl Breaker {
    /// Whether this caller should ask. After a failure one caller a second does.
    pub(super) fn may_ask(&self) -> bool {
        let mut try_at = self.try_at.lock().unwrap_or_else(PoisonError::into_inner);
        match *try_at {
            None => true,
            Some(at) if Instant::now() < at => false,
            Some(_) => {
                *try_at = Some(Instant::now() + PAUSE);
                true
            }
        }
    }

    /// Notes how asking went.
    pub(super) fn learn(&self, answered: bool) {
        let mut try_at = self.try_at.lock().unwrap_or_else(PoisonError::into_inner);
        *try_at = (!answered).then(|| Instant::now() + PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_nobody_asks_for_a_while() {
        let breaker = Breaker::default();
        assert!(breaker.may_ask() && breaker.may_ask());
        breaker.learn(false);
        assert!(!breaker.may_ask());
        *breaker.try_at.lock().unwrap() = Some(Instant::now());
        assert!(breaker.may_ask(), "one finds out");
        assert!(!breaker.may_ask(), "and all others wait for that");
        breaker.learn(true);
        assert!(breaker.may_ask() && breaker.may_ask());
    }
}
