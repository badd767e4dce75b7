//! What a provider heard, on the timeline of the audio.

use serde::{Deserialize, Serialize};

/// One recognised word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// Lower-case, without punctuation.
    pub word: String,
    /// As it is written in the transcript.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub punctuated_word: Option<String>,
    /// Start in milliseconds of session audio.
    pub start_ms: u64,
    /// End in milliseconds of session audio.
    pub end_ms: u64,
    /// Between 0 and 1.
    pub confidence: f32,
    /// Speaker number, when speakers are told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaker: Option<u32>,
}

impl Word {
    /// A word in lower case without the punctuation around it; `%`, `$` and the like are part of
    /// a word.
    pub fn plain(written: &str) -> String {
        let spoken = |letter: char| letter.is_alphanumeric() || "%$€£&+#@°".contains(letter);
        written.trim_matches(|letter| !spoken(letter)).to_lowercase()
    }
}

/// How word times came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Timing {
    /// The provider measured each word.
    Measured,
    /// Words are spread over their segment.
    Estimated,
}

impl Timing {
    /// The name that clients see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Estimated => "estimated",
        }
    }
}

/// A stretch of transcript, interim or final.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Start in milliseconds of audio.
    pub start_ms: u64,
    /// End in milliseconds of audio: for a final, audio before it is done with.
    pub end_ms: u64,
    /// The text; empty where there was only silence.
    pub transcript: String,
    /// Between 0 and 1.
    pub confidence: f32,
    /// Whether this text will not change any more.
    pub is_final: bool,
    /// Whether the speaker was heard to stop.
    pub speech_final: bool,
    /// Whether a finalize request brought it forth.
    pub from_finalize: bool,
    /// Words in order.
    pub words: Vec<Word>,
    /// Channel that this is about, and how many there are.
    pub channel: (u16, u16),
    /// How word times came about.
    pub timing: Timing,
}

impl Segment {
    /// The same segment, `offset_ms` later: a provider counts from its own first byte.
    pub fn shifted(mut self, offset_ms: u64) -> Self {
        self.start_ms += offset_ms;
        self.end_ms += offset_ms;
        for word in &mut self.words {
            word.start_ms += offset_ms;
            word.end_ms += offset_ms;
        }
        self
    }
}
