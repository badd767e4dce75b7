//! One connection to a provider, in the making or open, and what happens on it next.

use std::{future::pending, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::sleep;

use super::{
    dial::{Made, Unmade},
    lane::Link,
    lanes::{Opening, Outgoing},
};
use crate::{
    limits,
    model::AudioChunk,
    providers::{
        CloseReason, Closed, ErrorClass, LiveStream, ProviderError, StreamCommand, StreamEvent,
        lineup::Pass,
    },
};

/// A connection that is being made.
pub type Attempt = BoxFuture<'static, Result<Made, Unmade>>;

/// One connection.
pub struct Slot {
    /// Its number.
    pub link: Link,
    /// Its own, where the session's is not for it.
    pub extra: Option<limits::Slot>,
    /// Whether the session's slot is for it, or may be, while it is being made.
    pub lent: bool,
    state: State,
}

enum State {
    Connecting(Attempt),
    Open(LiveStream, Pass),
}

/// What happened on it.
pub enum Moment {
    /// It was made, or refused; once made it is kept here.
    Connected(Result<Opening, Unmade>),
    /// The provider said something.
    Heard(StreamEvent),
    /// Audio was handed over.
    Sent(AudioChunk),
    /// The close was handed over.
    Closing,
    /// It may be sent more.
    Rested,
}

impl Slot {
    /// A connection in the making, for which the session's slot may be.
    pub fn new(link: Link, attempt: Attempt, lent: bool) -> Self {
        Self { link, extra: None, lent, state: State::Connecting(attempt) }
    }

    /// Who is at the other end, once it is open.
    pub const fn provider(&self) -> Option<&'static str> {
        match &self.state {
            State::Connecting(_) => None,
            State::Open(stream, _) => Some(stream.provider),
        }
    }

    /// Hands a command over, if it is open and has room.
    pub fn try_send(&self, command: StreamCommand) -> bool {
        match &self.state {
            State::Connecting(_) => false,
            State::Open(stream, _) => stream.commands.try_send(command).is_ok(),
        }
    }

    /// The next thing that happens. Safe to drop and call again.
    pub async fn next(&mut self, outgoing: Outgoing) -> Moment {
        match &mut self.state {
            State::Connecting(attempt) => {
                let connected = attempt.await.map(|Made { stream, extra, pass }| {
                    let opening = Opening {
                        provider: stream.provider,
                        model: stream.model.clone(),
                        request_id: stream.request_id.clone(),
                    };
                    self.lent &= extra.is_none();
                    self.extra = extra;
                    self.state = State::Open(stream, pass);
                    opening
                });
                Moment::Connected(connected)
            }
            State::Open(stream, pass) => {
                let moment = talk(stream, outgoing).await;
                settle(pass, &moment);
                moment
            }
        }
    }
}

/// Tells the others how it goes.
fn settle(pass: &mut Pass, moment: &Moment) {
    match moment {
        Moment::Heard(StreamEvent::Closed(Closed {
            reason: CloseReason::Failed(error), ..
        })) => {
            pass.failed(error);
        }
        Moment::Heard(StreamEvent::Sent { .. } | StreamEvent::Closed(_)) => {}
        Moment::Heard(_) => pass.answered(),
        _ => {}
    }
}

/// Sends the next audio or hears the next event, whichever comes first.
async fn talk(stream: &mut LiveStream, outgoing: Outgoing) -> Moment {
    let rest = match outgoing {
        Outgoing::Later(rest) => Some(rest),
        _ => None,
    };
    let sends = matches!(outgoing, Outgoing::Audio(_) | Outgoing::Close);
    tokio::select! {
        event = stream.events.recv() => Moment::Heard(event.unwrap_or_else(vanished)),
        permit = stream.commands.reserve(), if sends => match (permit, outgoing) {
            (Ok(permit), Outgoing::Audio(chunk)) => {
                permit.send(StreamCommand::Audio(chunk.clone()));
                Moment::Sent(chunk)
            }
            (Ok(permit), _) => {
                permit.send(StreamCommand::Close);
                Moment::Closing
            }
            // The connection is gone; its last event says why.
            (Err(_), _) => Moment::Heard(stream.events.recv().await.unwrap_or_else(vanished)),
        },
        () = sleep(rest.unwrap_or(Duration::MAX)), if rest.is_some() => Moment::Rested,
    }
}

/// What happens next in a slot, which may be empty.
pub async fn next(slot: &mut Option<Slot>, outgoing: Outgoing) -> (Option<Link>, Moment) {
    match slot {
        Some(slot) => {
            let link = slot.link;
            (Some(link), slot.next(outgoing).await)
        }
        None => pending().await,
    }
}

fn vanished() -> StreamEvent {
    let error = ProviderError::new(ErrorClass::Unavailable, "vanished", "the stream just ended");
    StreamEvent::Closed(Closed { reason: CloseReason::Failed(error), audio_ms: None })
}
