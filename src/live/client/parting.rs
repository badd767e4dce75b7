//! How the service lets a client go that has not gone by itself.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Client, Phase};
use crate::{
    live::{inbox::Ending, outcome::Outcome, wire::Close},
    model::{Error, ErrorKind, SessionId},
    telemetry::log_patterns,
};

/// How long the last words may take before a socket is closed whose credential has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl Client {
    /// Cancelled once this socket has to go; whoever cancels it makes it go.
    pub fn leaving(&self) -> &CancellationToken {
        &self.caller.leaving
    }

    /// The replica drains: a client without a session is let go at once, the others after theirs.
    pub fn drain(&self) {
        if matches!(*self.lock(), Phase::Fresh | Phase::Stopped) {
            self.outbox.close(Close::Draining);
        }
    }

    /// Notes in the log that the service closes this socket.
    pub fn log_close(&self, code: u16, reason: &str) {
        log_patterns::socket_closed(&self.caller.principal.subject, code, reason);
    }

    /// Logs why a session could not go on; a refusal once, and how soon the next may be asked for.
    pub(super) fn log_failure(&self, id: SessionId, outcome: &Outcome, error: &Error) {
        let (user, provider) = (&self.caller.principal.subject, self.service.live.name());
        let refused = || tracing::info!(session_id = %id, user, "a session was refused: {error}");
        match (outcome, error.kind) {
            (Outcome::Refused(_), ErrorKind::RateLimited | ErrorKind::Overloaded) => {
                self.turned_away.note(error);
                self.complain(3, refused);
            }
            (_, ErrorKind::RateLimited) => refused(),
            _ => log_patterns::stream_failed(id, user, provider, error),
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
            inbox.close(Ending::Parked);
            *phase = Phase::Stopping(*id);
        }
        matches!(*phase, Phase::Stopping(_))
    }
}
