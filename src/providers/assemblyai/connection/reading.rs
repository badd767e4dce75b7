//! What a stream hears from its session, and what it makes of silence.

use futures_util::StreamExt;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::{Error as WsError, Message as Frame};

use super::{Connection, LAST_WORDS, writing::abandon};
use crate::{
    providers::{
        ErrorClass, ProviderError, StreamEvent,
        assemblyai::{
            PROVIDER, closing,
            handshake::{lost, told},
            message::{self, Message},
            turns::ms,
        },
        socket::Socket,
    },
    telemetry::log_patterns,
};

const SESSION_GONE: &str = "session_gone";

/// The end of a session, with the milliseconds that it heard where it says so.
type Termination = Option<u64>;

impl Connection {
    /// Takes in what came next.
    pub(super) async fn hear(
        &mut self,
        frame: Option<Result<Frame, WsError>>,
    ) -> Result<Option<Termination>, ProviderError> {
        self.unanswered = 0;
        match frame {
            Some(Ok(Frame::Text(text))) => self.read(&text).await,
            Some(Ok(Frame::Close(frame))) => Err(closing::closed(frame.as_ref())),
            Some(Ok(_)) => Ok(None),
            Some(Err(error)) => Err(lost(&error.to_string())),
            None => Err(lost("the connection ended")),
        }
    }

    async fn read(&mut self, text: &str) -> Result<Option<Termination>, ProviderError> {
        match message::parse(text) {
            Ok(Message::Turn(turn)) => {
                let ends = turn.ended;
                let forced = self.forced.as_ref().is_some_and(|forced| !forced.answered);
                let events = self.turns.hear(turn, forced);
                if let Some(forced) = self.forced.as_mut().filter(|_| ends) {
                    forced.answered = true;
                }
                self.tell(events).await?;
            }
            Ok(Message::SpeechStarted { timestamp }) if self.wanted.vad_events => {
                let at_ms = self.turns.origin_ms() + ms(timestamp);
                self.tell(vec![StreamEvent::SpeechStarted { at_ms }]).await?;
            }
            Ok(Message::Termination { audio_duration_seconds }) => {
                return Ok(Some(audio_duration_seconds.map(|seconds| ms(seconds * 1000.0))));
            }
            Ok(Message::Error { error_code, error }) => return Err(told(error_code, &error)),
            Ok(Message::Warning { warning }) => log_patterns::stream_complaint(PROVIDER, &warning),
            Ok(_) => {}
            Err(complaint) => log_patterns::stream_complaint(PROVIDER, &complaint),
        }
        Ok(None)
    }

    pub(super) async fn tell(&mut self, events: Vec<StreamEvent>) -> Result<(), ProviderError> {
        for event in events {
            if let StreamEvent::Covered { until_ms } = event {
                self.covered_ms = self.covered_ms.max(until_ms);
            }
            self.events.send(event).await.map_err(|_| {
                let detail = "the session is gone";
                ProviderError::new(ErrorClass::Unavailable, SESSION_GONE, detail)
            })?;
        }
        Ok(())
    }

    /// Looks after what is due; true once the session is to be ended, since it stayed silent.
    pub(super) async fn attend(&mut self) -> Result<bool, ProviderError> {
        let now = Instant::now();
        if self.turns.held_until().is_some_and(|until| until <= now) {
            let held = self.turns.release();
            self.tell(held).await?;
        }
        if self.forced.take_if(|forced| forced.due() <= now).is_none() {
            return Ok(false);
        }
        Ok(self.is_unproved(0))
    }

    /// Reads on to the end of the session.
    pub(super) async fn last_turns(
        &mut self,
        socket: &mut Socket,
    ) -> Result<Termination, ProviderError> {
        loop {
            let frame = socket.next().await;
            if let Some(termination) = self.hear(frame).await? {
                return Ok(termination);
            }
        }
    }

    /// Tells what was heard before a failure; returns why it failed, as the peer has it if it
    /// says so.
    pub(super) async fn part(
        &mut self,
        socket: &mut Socket,
        error: ProviderError,
    ) -> ProviderError {
        if error.code == SESSION_GONE {
            abandon(socket).await;
            return error;
        }
        let unsent = error.code == "send";
        let said =
            if unsent { timeout(LAST_WORDS, self.last_turns(socket)).await.ok() } else { None };
        let held = self.turns.release();
        // Nobody to tell is no other failure than this one.
        let _gone = self.tell(held).await;
        said.and_then(Result::err).unwrap_or(error)
    }
}
