//! Keeps a replay at the rate that Deepgram accepts: 1.25 times real time.

use std::time::{Duration, Instant};

/// Meters bytes against a rate; a second of audio may go at once.
#[derive(Debug)]
pub struct Pace {
    started: Instant,
    burst_bytes: f64,
    bytes_per_second: f64,
    sent_bytes: f64,
}

impl Pace {
    /// Holds audio of that byte rate to 1.25 times real time from now on.
    pub fn start(bytes_per_second: u64, now: Instant) -> Self {
        let burst_bytes = bytes_per_second as f64;
        let bytes_per_second = burst_bytes * 1.25;
        Self { started: now, burst_bytes, bytes_per_second, sent_bytes: 0.0 }
    }

    /// Counts audio that was sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent_bytes += bytes as f64;
    }

    /// How long to wait before the next send, if at all.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let elapsed = now.saturating_duration_since(self.started).as_secs_f64();
        let ahead = self.sent_bytes - self.burst_bytes - elapsed * self.bytes_per_second;
        // A wait of nothing at all would be asked for again and again.
        (ahead > 1.0).then(|| Duration::from_secs_f64(ahead / self.bytes_per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_is_ahead_of_the_rate() {
        let now = Instant::now();
        let mut pace = Pace::start(32_000, now);
        assert_eq!(pace.wait(now), None);
        pace.sent(32_000 + 40_000);
        assert_eq!(pace.wait(now), Some(Duration::from_secs(1)));
        assert_eq!(pace.wait(now + Duration::from_millis(600)), Some(Duration::from_millis(400)));
        assert_eq!(pace.wait(now + Duration::from_secs(1)), None);
    }
}
