//! Events and payloads exactly as clients see them: the only bridge between their words and ours.

mod audience;
mod close;
mod retold;
mod session;
mod socket;

use serde::Serialize;

pub use audience::{HistoryGap, Joined, RoomStatus, Seen, Viewers};
pub use close::{Close, Closing};
pub use retold::Retold;
pub use session::{
    AudioAck, Finalized, Gap, Migrate, Queued, Report, SessionEnded, SessionResumed,
    SessionStarted, SpeechStarted, Transcription, UtteranceEnd,
};
pub use socket::{Authenticated, Connected, Failure, Notice, TokenExpiring};

use crate::model::{Error, ErrorKind};

/// The longest message that a client may send, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1_000_000;

/// An event to a client, with its payload.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// The socket is authenticated.
    Connected(Connected),
    /// The socket's credential ends soon.
    TokenExpiring(TokenExpiring),
    /// Another credential of the same user counts from now on.
    Authenticated(Authenticated),
    /// A session is set up with its provider.
    SessionStarted(SessionStarted),
    /// A session waits for its turn at the provider.
    Queued(Queued),
    /// A session goes on here.
    SessionResumed(SessionResumed),
    /// A session is over, for those who watch its room.
    SessionEnded(SessionEnded),
    /// Audio without a transcript.
    Gap(Gap),
    /// The replica goes away: the session is to go on elsewhere.
    Migrate(Migrate),
    /// Text, interim or final.
    Transcription(Box<Transcription>),
    /// How far audio is durable: it need not be kept any more.
    AudioAck(AudioAck),
    /// Finals that were asked for have come.
    Finalized(Finalized),
    /// Speech began.
    SpeechStarted(SpeechStarted),
    /// A gap between words ended an utterance.
    UtteranceEnd(UtteranceEnd),
    /// What a session said before.
    Retold(Retold),
    /// The session is over; its last words came before.
    StreamingStopped(Notice),
    /// A room is watched from now on.
    Joined(Box<Joined>),
    /// What a session said in a room that is watched.
    Seen(Seen),
    /// How many watch a room.
    Viewers(Viewers),
    /// Whether a room comes late.
    RoomStatus(RoomStatus),
    /// Finals of a room are missing.
    HistoryGap(HistoryGap),
    /// Something went wrong.
    Error(Failure),
    /// The server is about to close this socket.
    Closing(Closing),
}

impl Event {
    /// The event's name, which is also the raw WebSocket's `type`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connected(_) => "connected",
            Self::TokenExpiring(_) => "token_expiring",
            Self::Authenticated(_) => "authenticated",
            Self::SessionStarted(_) => "session_started",
            Self::Queued(_) => "queued",
            Self::SessionResumed(_) => "session_resumed",
            Self::SessionEnded(_) => "session_ended",
            Self::Gap(_) => "gap",
            Self::Migrate(_) => "migrate",
            Self::Transcription(_) => "transcription",
            Self::AudioAck(_) => "audio_ack",
            Self::Finalized(_) => "finalized",
            Self::SpeechStarted(_) => "speech_started",
            Self::UtteranceEnd(_) => "utterance_end",
            Self::Retold(told) => told.name(),
            Self::StreamingStopped(_) => "streaming_stopped",
            Self::Joined(_) => "joined",
            Self::Seen(seen) => seen.name(),
            Self::Viewers(_) => "viewers",
            Self::RoomStatus(_) => "room_status",
            Self::HistoryGap(_) => "history_gap",
            Self::Error(_) => "error",
            // Not `disconnecting`: Socket.IO reserves it, and its JavaScript client drops the connection on it.
            Self::Closing(_) => "closing",
        }
    }

    /// What may be lost when a client does not read fast enough.
    pub fn weight(&self) -> Weight {
        match self {
            Self::Transcription(transcription) if !transcription.is_final => Weight::Interim,
            Self::AudioAck(_) | Self::SpeechStarted(_) | Self::Viewers(_) | Self::Queued(_) => {
                Weight::Passing
            }
            Self::Seen(seen) => seen.weight(),
            Self::Retold(told) => told.weight(),
            _ => Weight::Kept,
        }
    }

    /// The event as one message of the raw WebSocket: its payload plus `type`.
    pub fn to_json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Tagged<'a> {
            r#type: &'static str,
            #[serde(flatten)]
            payload: &'a Event,
        }
        match self {
            Self::Seen(seen) => Ok(seen.message()),
            event => serde_json::to_string(&Tagged { r#type: event.name(), payload: event }),
        }
    }
}

/// What a full queue does with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The newest replaces the one before.
    Interim,
    /// Left out while the client is behind.
    Passing,
    /// Kept to the bound; past it the client is closed, reconnectably.
    Kept,
}

/// Texts of `error` that old clients know.
pub mod text {
    /// A payload that is no base64.
    pub const INVALID_AUDIO: &str = "Invalid audio data format";
    /// A payload of another shape.
    pub const UNREADABLE_AUDIO: &str = "Error processing audio data";
    /// Audio after a stop.
    pub const NOT_READY: &str = "Transcription service not ready";
    /// The provider failed.
    pub const PROVIDER: &str = "Transcription service error";
}

/// Audio came after a stop, and no session was started again.
pub fn not_ready() -> Error {
    Error::new(ErrorKind::Conflict, text::NOT_READY)
}
