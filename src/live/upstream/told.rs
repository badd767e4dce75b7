//! What a session learns of its provider, in milliseconds of session audio.

use std::time::Instant;

use crate::{model::Segment, providers::ProviderError};

/// Why audio has no transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// The provider was away for longer than audio is kept, or never answered the close.
    ProviderAway,
    /// Newer audio had overtaken it, and it could not be made up for.
    BackfillFailed,
}

impl GapReason {
    /// The name on the wire and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProviderAway => "provider_away",
            Self::BackfillFailed => "backfill_failed",
        }
    }
}

/// Text, interim or final.
#[derive(Clone, Debug)]
pub struct Text {
    /// What was heard.
    pub segment: Segment,
    /// Whether speakers before this one have other numbers now, whoever they are.
    pub speakers_reset: bool,
    /// Who heard it.
    pub provider: &'static str,
    /// How many finals are known to come before it that were not told yet; 0 for a final.
    pub ahead: u64,
}

/// What the session learns. Finals, `Covered` and `Gap` come in the order of the audio.
#[derive(Debug)]
pub enum Upstreamed {
    /// A connection is open.
    Opened {
        /// Who transcribes over it.
        provider: &'static str,
        /// Whether what is said now goes over it.
        is_live: bool,
        /// The model in use.
        model: String,
        /// The provider's id of the connection.
        request_id: Option<String>,
    },
    /// A chunk was written; only where that is traced.
    Sent {
        /// Its number.
        seq: u64,
        /// When.
        at: Instant,
        /// To whom.
        provider: &'static str,
    },
    /// Text, interim or final.
    Text(Box<Text>),
    /// Everything up to here is final.
    Covered {
        /// F.
        until_ms: u64,
        /// Who heard what lies before it, back to the last final, `Covered` or `Gap`.
        provider: &'static str,
    },
    /// Audio without a transcript, which is not billed.
    Gap {
        /// Where it begins.
        from_ms: u64,
        /// Where it ends, which is where F is from now on.
        to_ms: u64,
        /// Why.
        reason: GapReason,
    },
    /// Speech began.
    SpeechStarted(u64),
    /// The last word of an utterance ended.
    UtteranceEnd(u64),
    /// Everything was delivered after [`super::Upstream::finish`].
    Finished,
    /// It cannot go on.
    Failed(ProviderError),
}
