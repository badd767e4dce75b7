//! What is kept of a session, as it is stored and handed out.

use chrono::NaiveDateTime;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::model::{Clock, Word};

/// A final, as it was said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Final {
    /// Its number in the session, from 1.
    pub n: u64,
    /// Start in milliseconds of session audio.
    pub start_ms: u64,
    /// End in milliseconds of session audio.
    pub end_ms: u64,
    /// What was said.
    pub text: String,
    /// Between 0 and 1.
    pub confidence: f32,
    /// Words in order.
    pub words: Vec<Word>,
    /// `measured` or `estimated`.
    pub timing: String,
    /// Speaker of the first word, where speakers are told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaker: Option<u32>,
    /// Channel, where each is transcribed by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<u16>,
    /// What was spoken.
    pub language: String,
    /// Who transcribed it.
    pub provider: String,
}

/// Audio without a transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Its number among those of the finals.
    pub n: u64,
    /// Start in milliseconds of session audio.
    pub from_ms: u64,
    /// End in milliseconds of session audio.
    pub to_ms: u64,
    /// Why there is none.
    pub reason: String,
}

impl Gap {
    /// What readers are told in its place.
    pub fn told(&self) -> String {
        let seconds = self.to_ms.saturating_sub(self.from_ms).div_ceil(1_000);
        format!("[… {seconds} s without transcript]")
    }
}

/// What is kept of a session, each in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// What was said.
    pub finals: Vec<Final>,
    /// What has no transcript.
    pub gaps: Vec<Gap>,
}

/// A live session of the past or the present.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Session {
    /// Our id of it.
    #[serde(rename = "session_id")]
    pub id: Uuid,
    /// Who transcribed.
    pub provider: String,
    /// With which model.
    pub model: String,
    /// What was spoken.
    pub language: String,
    /// When its first audio came, UTC.
    #[serde(serialize_with = "time")]
    pub started_at: NaiveDateTime,
    /// When it was over, UTC; nothing while it runs.
    #[serde(serialize_with = "optional_time")]
    pub ended_at: Option<NaiveDateTime>,
    /// Milliseconds of its audio that are transcribed.
    pub audio_ms: u64,
    /// What is kept of what was said; nothing if the session did not ask for that.
    pub transcript: Option<Kept>,
}

/// How much of a session is kept, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Whether every final of the session, which came to its end, is there, and nothing of its audio
    /// was lost.
    pub complete: bool,
    /// How it ended: `finished`, `abandoned`, or an error's code.
    pub outcome: Option<String>,
    /// Finals that were said.
    pub finals: u64,
    /// Finals that are there.
    pub stored: u64,
    /// When it goes by itself, UTC; nothing if it does not.
    #[serde(serialize_with = "optional_time")]
    pub expires_at: Option<NaiveDateTime>,
    /// When it was deleted, UTC.
    #[serde(serialize_with = "optional_time")]
    pub deleted_at: Option<NaiveDateTime>,
}

/// Times of the database have no zone and mean UTC.
fn time<S: Serializer>(at: &NaiveDateTime, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&Clock.format(at.and_utc()))
}

#[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
fn optional_time<S: Serializer>(at: &Option<NaiveDateTime>, to: S) -> Result<S::Ok, S::Error> {
    at.map(|at| Clock.format(at.and_utc())).serialize(to)
}
