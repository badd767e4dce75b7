//! The seam between a session and a provider: options in, a pair of bounded channels out.

use std::time::Instant;

use tokio::sync::mpsc;

use super::ProviderError;
use crate::model::{AudioChunk, AudioFormat, Language, Segment};

/// When a provider should take a pause for the end of speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpointing {
    /// The provider's own default.
    Default,
    /// Never.
    Off,
    /// After this many milliseconds of silence.
    AfterMs(u32),
}

/// Everything a provider needs to know of a stream, already validated.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamOptions {
    /// What is spoken.
    pub language: Language,
    /// The provider's model, where the client chose one.
    pub model: Option<String>,
    /// What the audio is.
    pub format: AudioFormat,
    /// Whether to send text that may still change.
    pub interim_results: bool,
    /// Whether to write punctuation and capitals.
    pub punctuate: bool,
    /// Whether to format numbers, dates and the like.
    pub smart_format: bool,
    /// Whether to tell speakers apart.
    pub diarize: bool,
    /// Whether to transcribe each channel by itself.
    pub multichannel: bool,
    /// Whether to write numbers as digits.
    pub numerals: bool,
    /// Whether to mask profanity.
    pub profanity_filter: bool,
    /// Whether to tell when speech starts.
    pub vad_events: bool,
    /// Words to listen for.
    pub keyterms: Vec<String>,
    /// When a pause ends speech.
    pub endpointing: Endpointing,
    /// Gap between words, in milliseconds, after which `UtteranceEnd` is told.
    pub utterance_end_ms: Option<u32>,
    /// Whether to report each chunk's send time: only for sessions that are traced.
    pub report_sent: bool,
}

impl StreamOptions {
    /// Channels that are transcribed, and so billed, each by itself.
    pub fn billed_channels(&self) -> u16 {
        match self.format {
            AudioFormat::Raw(raw) if self.multichannel => raw.channels.max(1),
            _ => 1,
        }
    }
}

/// What a session tells a provider's connection.
#[derive(Debug)]
pub enum StreamCommand {
    /// Audio, in order; never empty.
    Audio(AudioChunk),
    /// Turn everything heard so far into finals now.
    Finalize,
    /// No more audio: return what is left, then end.
    Close,
}

/// What a provider's connection tells the session. Times count from its first byte of audio.
#[derive(Debug)]
pub enum StreamEvent {
    /// A chunk was written to the wire; only with [`StreamOptions::report_sent`].
    Sent {
        /// The chunk's number.
        seq: u64,
        /// When the write returned.
        at: Instant,
    },
    /// Text, interim or final.
    Transcript(Box<Segment>),
    /// Something was heard, and there is nothing to say to it yet.
    Nothing,
    /// Every final up to here has been sent: words or silence.
    Covered {
        /// Milliseconds of this connection's audio.
        until_ms: u64,
    },
    /// Speech began.
    SpeechStarted {
        /// Milliseconds of this connection's audio.
        at_ms: u64,
    },
    /// A gap between words was long enough to end an utterance.
    UtteranceEnd {
        /// Milliseconds of this connection's audio.
        last_word_end_ms: u64,
    },
    /// The connection is over; nothing follows.
    Closed(Closed),
}

/// How a connection ended.
#[derive(Debug)]
pub struct Closed {
    /// Why.
    pub reason: CloseReason,
    /// Milliseconds of audio that the provider says it processed.
    pub audio_ms: Option<u64>,
}

/// Why a connection ended.
#[derive(Debug)]
pub enum CloseReason {
    /// We asked, and everything was delivered.
    Finished,
    /// It failed.
    Failed(ProviderError),
}

/// One open connection to a provider, or one stream of the embedded engine.
#[derive(Debug)]
pub struct LiveStream {
    /// The provider's name, such as `deepgram`.
    pub provider: &'static str,
    /// The model in use.
    pub model: String,
    /// The provider's id of this connection.
    pub request_id: Option<String>,
    /// To the provider; bounded.
    pub commands: mpsc::Sender<StreamCommand>,
    /// From the provider; bounded. Ends after [`StreamEvent::Closed`].
    pub events: mpsc::Receiver<StreamEvent>,
}
