//! Sending audio on time: an open loop, so that a slow receiver cannot slow the speaker down.

use std::time::Duration;

use tokio::time::Instant;

/// A steady beat: beat `k` is due at `start + k · every`, however late the ones before were.
#[derive(Clone, Debug)]
pub struct Pace {
    start: Instant,
    every: Duration,
    next: u32,
}

impl Pace {
    /// Starts now; `speed` 1 is real time, 10 is ten times as fast.
    pub fn new(chunk: Duration, speed: f64) -> Self {
        Self { start: Instant::now(), every: chunk.div_f64(speed), next: 0 }
    }

    /// Waits for the next beat; when it was due.
    pub async fn beat(&mut self) -> Instant {
        let due = self.start + self.every * self.next;
        self.next += 1;
        tokio::time::sleep_until(due).await;
        due
    }
}

/// Chunks of audio, each given out when it is due.
#[derive(Clone, Debug)]
pub struct Paced<'a> {
    chunks: std::slice::Chunks<'a, u8>,
    pace: Pace,
}

impl<'a> Paced<'a> {
    /// Raw audio of `bytes_per_second` in chunks of `chunk`, at `speed` times real time.
    pub fn new(audio: &'a [u8], bytes_per_second: usize, chunk: Duration, speed: f64) -> Self {
        let bytes = (bytes_per_second as f64 * chunk.as_secs_f64()) as usize;
        Self { chunks: audio.chunks(bytes.max(1)), pace: Pace::new(chunk, speed) }
    }

    /// The next chunk, when it is due.
    pub async fn next(&mut self) -> Option<&'a [u8]> {
        let chunk = self.chunks.next()?;
        self.pace.beat().await;
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn chunks_come_on_time() {
        let audio = [0; 3200];
        let mut paced = Paced::new(&audio, 32_000, Duration::from_millis(20), 2.0);
        let started = Instant::now();
        let mut count = 0;
        while paced.next().await.is_some() {
            count += 1;
        }
        assert_eq!(count, 5);
        assert!(started.elapsed() >= Duration::from_millis(40));
    }
}
