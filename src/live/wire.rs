//! Events and payloads exactly as clients see them: the only bridge between their words and ours.

use serde::Serialize;
use serde_json::Value;

use crate::model::{Error, ErrorKind, Timing, Word};

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
    /// Text, interim or final.
    Transcription(Box<Transcription>),
    /// How far audio is durable: it need not be kept any more.
    AudioAck(AudioAck),
    /// Speech began.
    SpeechStarted(SpeechStarted),
    /// A gap between words ended an utterance.
    UtteranceEnd(UtteranceEnd),
    /// The session is over; its last words came before.
    StreamingStopped(Notice),
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
            Self::Transcription(_) => "transcription",
            Self::AudioAck(_) => "audio_ack",
            Self::SpeechStarted(_) => "speech_started",
            Self::UtteranceEnd(_) => "utterance_end",
            Self::StreamingStopped(_) => "streaming_stopped",
            Self::Error(_) => "error",
            // Not `disconnecting`: Socket.IO reserves it, and its JavaScript client drops the connection on it.
            Self::Closing(_) => "closing",
        }
    }

    /// What may be lost when a client does not read fast enough.
    pub fn weight(&self) -> Weight {
        match self {
            Self::Transcription(transcription) if !transcription.is_final => Weight::Interim,
            Self::AudioAck(_) | Self::SpeechStarted(_) => Weight::Passing,
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
        serde_json::to_string(&Tagged { r#type: self.name(), payload: self })
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

/// The greeting.
#[derive(Clone, Debug, Serialize)]
pub struct Connected {
    /// Always the contract's sentence.
    pub message: &'static str,
    /// Who the credential belongs to.
    pub user_id: String,
    /// `auth0`, `jwt`, `api_key`, `session` or `development`.
    pub auth_type: &'static str,
    /// Language of sessions that do not choose their own.
    pub language: &'static str,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

impl Connected {
    /// The contract's sentence.
    pub const MESSAGE: &'static str = "Successfully connected to audio streaming service";
}

/// The socket's credential ends soon.
#[derive(Clone, Debug, Serialize)]
pub struct TokenExpiring {
    /// ISO 8601, UTC.
    pub expires_at: String,
    /// The same from now, in milliseconds.
    pub expires_in_ms: u64,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

/// Another credential counts from now on.
#[derive(Clone, Debug, Serialize)]
pub struct Authenticated {
    /// Who the credential belongs to.
    pub user_id: String,
    /// `auth0`, `jwt`, `api_key`, `session` or `development`.
    pub auth_type: &'static str,
    /// When it ends, ISO 8601, UTC; null if it does not.
    pub expires_at: Option<String>,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

/// A session is set up.
#[derive(Clone, Debug, Serialize)]
pub struct SessionStarted {
    /// Our id of the session.
    pub session_id: String,
    /// Who transcribes.
    pub provider: &'static str,
    /// With which model.
    pub model: String,
    /// Which language.
    pub language: &'static str,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

/// Text of a session.
#[derive(Clone, Debug, Serialize)]
pub struct Transcription {
    /// The text.
    pub transcript: String,
    /// Whether it will not change any more.
    pub is_final: bool,
    /// Between 0 and 1.
    pub confidence: f32,
    /// ISO 8601, UTC.
    pub timestamp: String,
    /// Whether the speaker was heard to stop.
    pub speech_final: bool,
    /// Our id of the session.
    pub session_id: String,
    /// Number of the final in the session, from 1; an interim carries the one it will become.
    pub n: u64,
    /// Start in milliseconds of session audio.
    pub start_ms: u64,
    /// End in milliseconds of session audio.
    pub end_ms: u64,
    /// Words with their times.
    pub words: Vec<Word>,
    /// Speaker of the first word, when speakers are told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaker: Option<u32>,
    /// Whether speakers are counted anew from here on: numbers given before mean nobody any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub speakers_reset: bool,
    /// Channel that this is about, when channels are transcribed each by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<u16>,
    /// Whether words were measured or spread.
    pub timing: Timing,
    /// Who transcribed it.
    pub provider: &'static str,
}

/// How far audio is durable.
#[derive(Clone, Debug, Serialize)]
pub struct AudioAck {
    /// Our id of the session.
    pub session_id: String,
    /// Last chunk that is wholly durable; null before the first.
    pub acked_seq: Option<u64>,
    /// Milliseconds of session audio that are durable.
    pub acked_ms: u64,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

/// Speech began.
#[derive(Clone, Debug, Serialize)]
pub struct SpeechStarted {
    /// Our id of the session.
    pub session_id: String,
    /// Milliseconds of session audio.
    pub at_ms: u64,
}

/// An utterance ended.
#[derive(Clone, Debug, Serialize)]
pub struct UtteranceEnd {
    /// Our id of the session.
    pub session_id: String,
    /// End of the last word, in milliseconds of session audio.
    pub last_word_end_ms: u64,
}

/// A sentence and a time.
#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    /// The contract's sentence.
    pub message: &'static str,
    /// Our id of the session that ended, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

impl Notice {
    /// The contract's sentence after a stop.
    pub const STOPPED: &'static str = "Streaming stopped successfully";
}

/// Something went wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Text, as old clients read it.
    pub message: String,
    /// Stable code.
    pub code: &'static str,
    /// Whether the same may succeed later.
    pub retryable: bool,
    /// When to try again, in milliseconds, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// ISO 8601, UTC.
    pub timestamp: String,
    /// Our id of the session that failed, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The option that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub option: Option<&'static str>,
    /// What it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Value>,
}

impl Failure {
    /// The event for an error of ours.
    pub fn of(error: &Error, timestamp: String) -> Self {
        let kind = error.kind;
        let (code, retryable) = (kind.code(), kind.retryable());
        Self {
            message: error.detail.clone(),
            code,
            retryable,
            retry_after_ms: error.retry_after.map(|wait| wait.as_millis() as u64),
            timestamp,
            session_id: None,
            option: None,
            allowed: None,
        }
    }
}

/// The server is about to close this socket.
#[derive(Clone, Debug, Serialize)]
pub struct Closing {
    /// Close code, see [`Close`].
    pub code: u16,
    /// What for.
    pub reason: &'static str,
    /// Whether to come back.
    pub reconnect: bool,
    /// How long to wait before, in milliseconds.
    pub reconnect_after_ms: u64,
}

/// Why the server closes a socket. 4000–4499 ask to reconnect, 4500–4999 ask not to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The replica is going away.
    Draining,
    /// The client does not read its finals.
    SlowReader,
    /// The client answers no ping.
    Silent,
    /// The credential came to its end.
    TokenExpired,
    /// The credential was taken back.
    CredentialRevoked,
}

impl Close {
    /// Every close, for the table in the docs.
    pub const ALL: [Self; 5] = [
        Self::Draining,
        Self::SlowReader,
        Self::Silent,
        Self::TokenExpired,
        Self::CredentialRevoked,
    ];

    /// The code on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Self::Draining => 4000,
            Self::SlowReader => 4001,
            Self::Silent => 4002,
            Self::TokenExpired => 4003,
            Self::CredentialRevoked => 4500,
        }
    }

    /// The reason on the wire.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::SlowReader => "slow_reader",
            Self::Silent => "silent",
            Self::TokenExpired => "token_expired",
            Self::CredentialRevoked => "credential_revoked",
        }
    }

    /// Whether the client should come back.
    pub const fn reconnect(self) -> bool {
        self.code() < 4500
    }

    /// The notice that goes before the close.
    pub const fn notice(self, reconnect_after_ms: u64) -> Event {
        Event::Closing(Closing {
            code: self.code(),
            reason: self.reason(),
            reconnect: self.reconnect(),
            reconnect_after_ms,
        })
    }
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
