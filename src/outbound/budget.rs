//! How many attempts to connect a replica may make again: a share of the ordinary ones, and a few
//! each second so that a quiet replica can. Pure.

use std::time::{Duration, Instant};

/// Repeated attempts for each ordinary one.
const RATIO: f64 = 0.2;
/// Most that ordinary ones may earn ahead.
const MOST_EARNED: f64 = 20.0;
/// Repeated attempts a second that are always allowed.
const PER_SECOND: f64 = 5.0;
/// Most of those at once.
const BURST: f64 = 10.0;

/// What is left of the budget.
#[derive(Debug)]
pub struct Budget {
    earned: f64,
    reserve: f64,
    counted: Instant,
}

impl Budget {
    /// The whole reserve.
    pub const fn new(now: Instant) -> Self {
        Self { earned: 0.0, reserve: BURST, counted: now }
    }

    /// An ordinary attempt is made.
    pub fn earn(&mut self) {
        self.earned = (self.earned + RATIO).min(MOST_EARNED);
    }

    /// Makes a repeated attempt, or says how long to wait for one.
    pub fn spend(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.counted).as_secs_f64();
        self.reserve = passed.mul_add(PER_SECOND, self.reserve).min(BURST);
        self.counted = self.counted.max(now);
        let purse = if self.reserve >= 1.0 { &mut self.reserve } else { &mut self.earned };
        if *purse < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.reserve) / PER_SECOND));
        }
        *purse -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quiet_replica_can_reconnect_and_a_busy_one_earns_more() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        let spent = (0..100).filter(|_| budget.spend(now).is_ok()).count();
        assert_eq!(spent, 10);
        assert_eq!(budget.spend(now), Err(Duration::from_millis(200)));
        assert!(budget.spend(now + Duration::from_millis(200)).is_ok());
        (0..50).for_each(|_| budget.earn());
        let earned = (0..100).filter(|_| budget.spend(now).is_ok()).count();
        assert!((9..=10).contains(&earned), "{earned}");
    }

    proptest! {
        #[test]
        fn repeated_attempts_are_bounded(
            steps in proptest::collection::vec((any::<bool>(), 0_u64..200), 1..500),
        ) {
            let begun = Instant::now();
            let (mut budget, mut now) = (Budget::new(begun), begun);
            let (mut ordinary, mut repeated) = (0.0, 0.0);
            for (is_ordinary, ms) in steps {
                now += Duration::from_millis(ms);
                if is_ordinary {
                    budget.earn();
                    ordinary += 1.0;
                } else {
                    match budget.spend(now) {
                        Ok(()) => repeated += 1.0,
                        Err(wait) => prop_assert!(wait <= Duration::from_millis(200)),
                    }
                }
                let seconds = (now - begun).as_secs_f64();
                prop_assert!(repeated <= RATIO * ordinary + PER_SECOND * seconds + BURST + 0.01);
            }
        }
    }
}
