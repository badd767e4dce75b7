//! The generic cell rate algorithm, in whole microseconds, exactly as `gcra.lua` has it.

/// A minute, over which every limit counts.
const WINDOW_US: u64 = 60_000_000;

/// What counting one act came to; times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// Whether it may be.
    pub(super) allowed: bool,
    /// Acts that may follow at once.
    pub(super) remaining: u64,
    /// Until the whole allowance is there again.
    pub(super) reset_us: u64,
    /// Until one act is possible again, if none is now.
    pub(super) retry_us: u64,
}

/// Counts one act of a subject whose whole allowance of `limit` acts is there at `full_at`; moves
/// that on if the act is allowed.
pub(super) fn count(full_at: &mut u64, now: u64, limit: u32) -> Count {
    let limit = u64::from(limit.max(1));
    let interval = WINDOW_US / limit;
    let window = interval * limit;
    let since = (*full_at).clamp(now, now + window);
    let next = since + interval;
    match (next - now).checked_sub(window) {
        None | Some(0) => {
            *full_at = next;
            let remaining = (now + window - next) / interval;
            Count { allowed: true, remaining, reset_us: next - now, retry_us: 0 }
        }
        Some(over) => Count { allowed: false, remaining: 0, reset_us: since - now, retry_us: over },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut full_at = 0;
        let now = 1_000_000_000;
        for left in (0..4).rev() {
            let counted = count(&mut full_at, now, 4);
            assert_eq!((counted.allowed, counted.remaining), (true, left));
        }
        let refused = count(&mut full_at, now, 4);
        let wait =
            Count { allowed: false, remaining: 0, reset_us: 60_000_000, retry_us: 15_000_000 };
        assert_eq!(refused, wait);
        assert!(!count(&mut full_at, now + 14_999_999, 4).allowed);
        assert!(count(&mut full_at, now + 15_000_000, 4).allowed);
        assert!(!count(&mut full_at, now + 15_000_001, 4).allowed);
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out() {
        let mut full_at = 3_600_000_000_000;
        let refused = count(&mut full_at, 1_000_000, 60);
        assert_eq!((refused.allowed, refused.retry_us), (false, 1_000_000));
    }
}
