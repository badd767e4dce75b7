//! How the service lets a client go that has not gone by itself.

use std::time::Duration;

use super::{Client, Phase};
use crate::live::wire::Close;

/// How long the last words may take before a socket is closed whose credential has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl Client {
    /// The replica drains: a client without a session is let go at once, the others after theirs.
    pub fn drain(&self) {
        if matches!(*self.lock(), Phase::Fresh | Phase::Stopped) {
            self.outbox.close(Close::Draining);
        }
    }

    /// Takes no more audio, waits a moment for the last words of what runs, and closes.
    pub async fn part(&self, close: Close) {
        self.standing.part(close);
        if self.wind_up() {
            tokio::time::sleep(LAST_WORDS).await;
        }
        self.outbox.close(close);
    }

    /// Lets a session that runs come to its end; false if there is none.
    fn wind_up(&self) -> bool {
        let mut phase = self.lock();
        if let Phase::Running(id, inbox) = &*phase {
            inbox.close();
            *phase = Phase::Stopping(*id);
        }
        matches!(*phase, Phase::Stopping(_))
    }
}
