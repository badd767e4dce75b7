//! What a stream asks of its session: to hear audio, to come to an end of a turn, or of all.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::{Bytes, Message as Frame};

use super::{Connection, Forced};
use crate::{
    model::AudioChunk,
    providers::{
        ErrorClass, ProviderError, StreamEvent,
        socket::{Socket, send},
    },
};

/// A live peer says something between pings; after this many without a word it is gone.
const HALF_OPEN_PINGS: u32 = 4;
/// How long the last turns may take after `Terminate`.
const CLOSING: Duration = Duration::from_secs(5);
/// `Termination` counts whole seconds.
const ROUNDING_MS: u64 = 1_500;

impl Connection {
    pub(super) async fn audio(
        &mut self,
        socket: &mut Socket,
        chunk: AudioChunk,
    ) -> Result<(), ProviderError> {
        self.forced = self.forced.take().filter(Forced::is_followed);
        if let Some(forced) = &mut self.forced {
            forced.flowing = true;
        }
        if self.wanted.report_sent {
            let ends = self.written + self.packer.waiting_bytes() + chunk.bytes.len() as u64;
            self.unreported.push_back((chunk.seq, ends));
        }
        for message in self.packer.pack(&chunk.bytes) {
            let bytes = message.len() as u64;
            send(socket, Frame::Binary(message)).await?;
            self.wrote(bytes).await?;
        }
        Ok(())
    }

    /// Counts audio, and tells of the chunks that ended in it.
    async fn wrote(&mut self, bytes: u64) -> Result<(), ProviderError> {
        self.written += bytes;
        let written = self.written;
        while let Some((seq, _)) = self.unreported.pop_front_if(|(_, ends)| *ends <= written) {
            let at = std::time::Instant::now();
            self.tell(vec![StreamEvent::Sent { seq, at }]).await?;
        }
        Ok(())
    }

    /// Asks for the end of the present turn; without one there may be no answer.
    pub(super) async fn force(&mut self, socket: &mut Socket) -> Result<(), ProviderError> {
        text(socket, r#"{"type":"ForceEndpoint"}"#).await?;
        self.forced.get_or_insert(Forced { at: Instant::now(), flowing: false, answered: false });
        Ok(())
    }

    /// Pings, and notices a peer that is gone. A session needs nothing else to be kept alive.
    pub(super) async fn ping(&mut self, socket: &mut Socket) -> Result<(), ProviderError> {
        if self.unanswered >= HALF_OPEN_PINGS {
            let detail = "no answer to a ping";
            return Err(ProviderError::new(ErrorClass::Timeout, "half_open", detail));
        }
        self.unanswered += 1;
        send(socket, Frame::Ping(Bytes::new())).await
    }

    /// Ends the session: all of its audio is final then.
    pub(super) async fn terminate(&mut self, socket: &mut Socket) -> Result<(), ProviderError> {
        let waiting = self.packer.waiting_bytes();
        if let Some(rest) = self.packer.rest() {
            send(socket, Frame::Binary(rest)).await?;
        }
        self.wrote(waiting).await?;
        text(socket, r#"{"type":"Terminate"}"#).await?;
        let Ok(heard) = timeout(CLOSING, self.last_turns(socket)).await else {
            let detail = "no summary after the close";
            return Err(ProviderError::new(ErrorClass::Timeout, "close_timeout", detail));
        };
        let heard_ms = heard?;
        let held = self.turns.release();
        self.tell(held).await?;
        let sent_ms = self.wanted.raw.bytes_to_ms(self.written - self.began).unwrap_or(0);
        if heard_ms.is_some_and(|heard_ms| heard_ms + ROUNDING_MS < sent_ms) {
            let detail = "the provider ended the session before the end of its audio";
            return Err(ProviderError::new(ErrorClass::Unavailable, "ended_early", detail));
        }
        let until_ms = self.taken_ms();
        self.tell(vec![StreamEvent::Covered { until_ms }]).await
    }
}

async fn text(socket: &mut Socket, body: &'static str) -> Result<(), ProviderError> {
    send(socket, Frame::Text(body.into())).await
}

/// Ends a session whose turns nobody wants any more, so that it is not charged for.
pub(super) async fn abandon(socket: &mut Socket) {
    // It ends with its connection in any case.
    let _lost = text(socket, r#"{"type":"Terminate"}"#).await;
}
