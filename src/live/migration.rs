//! How a session leaves a replica that drains: its client is told to go on elsewhere, at a time of
//! its own within the window, and what has not left by its end is finished here.

use std::{pin::Pin, time::Duration};

use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::LiveService;

/// Time before the drain limit in which those who stayed are finished.
const FINISHING: Duration = Duration::from_secs(5);
/// Longest time that a client is told to wait before it reconnects, in milliseconds: those who are
/// told at once must not come at once.
const JITTER_MS: u64 = 500;

/// What a session does next to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Tells its client to go on elsewhere.
    Tell {
        /// How long the client waits, in milliseconds.
        reconnect_after_ms: u64,
        /// How long it may stay, in milliseconds.
        deadline_ms: u64,
    },
    /// Finishes: its time is over.
    Finish,
}

/// One session's way out.
#[derive(Debug)]
pub struct Migration {
    leaving: CancellationToken,
    window: Duration,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Staying,
    Called { at: Pin<Box<Sleep>>, limit: Instant },
    Told { limit: Pin<Box<Sleep>> },
    Gone,
}

impl Migration {
    /// The way out of a session of this service, taken once its socket has to go.
    pub fn new(service: &LiveService, leaving: CancellationToken) -> Self {
        let drain = service.drain;
        let window = drain.saturating_sub(FINISHING.min(drain / 2));
        Self { leaving, window, phase: Phase::Staying }
    }

    /// The next step, when it is due. A call that is dropped goes on with the next.
    pub async fn next(&mut self) -> Step {
        loop {
            match &mut self.phase {
                Phase::Staying => {
                    self.leaving.cancelled().await;
                    let now = Instant::now();
                    // The later half of the window is for those who were told last.
                    let at = now + self.window.mul_f64(rand::random_range(0.0..0.5));
                    let limit = now + self.window;
                    self.phase = Phase::Called { at: Box::pin(sleep_until(at)), limit };
                }
                Phase::Called { at, limit } => {
                    at.as_mut().await;
                    let limit = *limit;
                    let left = limit.saturating_duration_since(Instant::now());
                    self.phase = Phase::Told { limit: Box::pin(sleep_until(limit)) };
                    return Step::Tell {
                        reconnect_after_ms: rand::random_range(0..=JITTER_MS),
                        deadline_ms: left.as_millis() as u64,
                    };
                }
                Phase::Told { limit } => {
                    limit.as_mut().await;
                    self.phase = Phase::Gone;
                    return Step::Finish;
                }
                Phase::Gone => std::future::pending().await,
            }
        }
    }
}
