//! Payloads about a session.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{Timing, Word};

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
    /// Where it publishes.
    pub room: String,
    /// What lets its holder go on with the session, on any replica.
    pub resume_token: String,
    /// How long after a loss that is possible, in milliseconds.
    pub resume_within_ms: u64,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

/// A session goes on here.
#[derive(Clone, Debug, Serialize)]
pub struct SessionResumed {
    /// Our id of the session.
    pub session_id: String,
    /// Where it publishes.
    pub room: String,
    /// What lets its holder go on with the session again.
    pub resume_token: String,
    /// The first chunk that is to be sent again.
    pub next_seq: u64,
    /// Where the session goes on, in milliseconds of its audio: what a chunk has before it is cut.
    pub from_ms: u64,
    /// The last final that counts: those after it, if the client has any, are said again.
    pub last_n: u64,
    /// Whether all finals up to that one follow which the client has not seen.
    pub recovered: bool,
    /// Whether the session was stopped and is transcribed to its end: no audio is wanted, and
    /// `streaming_stopped` follows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Where the stored transcript is, where finals are missing and one is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
    /// Who transcribes.
    pub provider: &'static str,
    /// With which model.
    pub model: String,
    /// Which language.
    pub language: &'static str,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

/// A session is over.
#[derive(Clone, Debug, Serialize)]
pub struct SessionEnded {
    /// Our id of the session.
    pub session_id: String,
    /// Where it published.
    pub room: String,
    /// Its number, after that of the last final.
    pub n: u64,
    /// `finished`, or the code of an error.
    pub outcome: &'static str,
    /// What became of its audio.
    pub report: Report,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

/// What became of a session's audio, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What came in.
    pub received_ms: u64,
    /// What was transcribed, silence included.
    pub transcribed_ms: u64,
    /// What has no transcript, and is not billed.
    pub lost_ms: u64,
    /// The same by reason.
    pub lost: BTreeMap<String, u64>,
}

impl Report {
    /// What becomes of audio that came in and is done with up to there, with what was lost of it.
    pub fn of(received_ms: u64, covered_ms: u64, lost: BTreeMap<String, u64>) -> Self {
        let lost_ms = lost.values().fold(0_u64, |sum, ms| sum.saturating_add(*ms));
        Self {
            received_ms: received_ms.max(covered_ms),
            transcribed_ms: covered_ms.saturating_sub(lost_ms),
            lost_ms,
            lost,
        }
    }
}

/// Audio without a transcript, in its place among the finals.
#[derive(Clone, Debug, Serialize)]
pub struct Gap {
    /// Our id of the session.
    pub session_id: String,
    /// Its number among the finals.
    pub n: u64,
    /// Where it begins, in milliseconds of session audio.
    pub from_ms: u64,
    /// Where it ends.
    pub to_ms: u64,
    /// Why.
    pub reason: &'static str,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

/// The replica goes away.
#[derive(Clone, Debug, Serialize)]
pub struct Migrate {
    /// Our id of the session.
    pub session_id: String,
    /// When to open another socket, in milliseconds from now.
    pub reconnect_after_ms: u64,
    /// How long this one stays, in milliseconds.
    pub deadline_ms: u64,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

/// All connections to the provider are in use: the session waits for its turn.
#[derive(Clone, Debug, Serialize)]
pub struct Queued {
    /// Our id of the session.
    pub session_id: String,
    /// Its place among those who wait, from 1; 0 once its turn has come.
    pub position: u32,
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
    /// Whether it answers a demand for finals; Deepgram's clients look for it here.
    #[serde(skip)]
    pub from_finalize: bool,
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

/// Finals of all audio that came before they were asked for have come.
#[derive(Clone, Debug, Serialize)]
pub struct Finalized {
    /// Our id of the session.
    pub session_id: String,
    /// Up to where everything is final, in milliseconds of session audio.
    pub until_ms: u64,
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
