//! One connection to a provider, in the making or open, and what happens on it next.

use std::{future::pending, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::sleep;

use super::{lane::Link, lanes::Outgoing};
use crate::{
    limits,
    model::AudioChunk,
    providers::{
        CloseReason, Closed, ErrorClass, LiveStream, ProviderError, StreamCommand, StreamEvent,
    },
};

/// A connection that is being made, with a slot of its own where it is the second.
pub type Attempt = BoxFuture<'static, Result<(LiveStream, Option<limits::Slot>), ProviderError>>;

/// One connection.
pub struct Slot {
    /// Its number.
    pub link: Link,
    /// Its own, where another connection has the session's.
    pub extra: Option<limits::Slot>,
    state: State,
}

enum State {
    Connecting(Attempt),
    Open(LiveStream),
}

/// What happened on it.
pub enum Moment {
    /// It was made, or refused; once made it is kept here.
    Connected(Result<(String, Option<String>), ProviderError>),
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
    /// A connection in the making.
    pub fn new(link: Link, attempt: Attempt) -> Self {
        Self { link, extra: None, state: State::Connecting(attempt) }
    }

    /// Hands a command over, if it is open and has room.
    pub fn try_send(&self, command: StreamCommand) -> bool {
        match &self.state {
            State::Connecting(_) => false,
            State::Open(stream) => stream.commands.try_send(command).is_ok(),
        }
    }

    /// The next thing that happens. Safe to drop and call again.
    pub async fn next(&mut self, outgoing: Outgoing) -> Moment {
        match &mut self.state {
            State::Connecting(attempt) => {
                let connected = attempt.await.map(|(stream, extra)| {
                    let told = (stream.model.clone(), stream.request_id.clone());
                    self.extra = extra;
                    self.state = State::Open(stream);
                    told
                });
                Moment::Connected(connected)
            }
            State::Open(stream) => talk(stream, outgoing).await,
        }
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
