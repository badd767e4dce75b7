//! Keeps a replay at the rate that Deepgram accepts: 1.25 times real time.

use std::time::{Duration, Instant};

/// What may go at once, in bytes, before the pace holds: a second of 16 kHz linear16.
const BURST_BYTES: f64 = 32_000.0;

/// Meters bytes against a rate.
#[derive(Debug)]
pub struct Pace {
    started: Instant,
    bytes_per_second: f64,
    sent_bytes: f64,
}

impl Pace {
    /// Holds audio of that byte rate to 1.25 times real time from now on.
    pub fn start(bytes_per_second: u64) -> Self {
        let bytes_per_second = bytes_per_second as f64 * 1.25;
        Self { started: Instant::now(), bytes_per_second, sent_bytes: 0.0 }
    }

    /// Counts audio that was sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent_bytes += bytes as f64;
    }

    /// How long to wait before the next send, if at all.
    pub fn wait(&mut self) -> Option<Duration> {
        let allowed = BURST_BYTES + self.started.elapsed().as_secs_f64() * self.bytes_per_second;
        let ahead = self.sent_bytes - allowed;
        (ahead > 0.0).then(|| Duration::from_secs_f64(ahead / self.bytes_per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_is_ahead_of_the_rate() {
        let mut pace = Pace::start(32_000);
        assert_eq!(pace.wait(), None);
        pace.sent(32_000 + 40_000);
        let wait = pace.wait().expect("a second ahead");
        assert!(wait <= Duration::from_secs(1) && wait > Duration::from_millis(900), "{wait:?}");
    }
}
