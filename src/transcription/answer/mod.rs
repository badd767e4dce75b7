//! Answers in the contract's shapes, one for each provider, and the forms that can be asked for.

mod assemblyai;
mod deepgram;
mod listen;
mod local;
mod plain;
mod subtitles;
#[cfg(test)]
mod tests;
mod verbose;
mod whisper;

use serde_json::{Value, json};

pub use self::plain::{delta, last_event};

use crate::{
    model::{Error, ErrorKind, Word},
    providers::recorded::{RecordedOptions, Transcription},
};

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// The contract's object.
    #[default]
    Json,
    /// What was said.
    Text,
    /// Subtitles, as SubRip writes them.
    Srt,
    /// Subtitles, as WebVTT writes them.
    Vtt,
    /// Segments and words with their times, as OpenAI writes them.
    VerboseJson,
    /// OpenAI's plain object.
    Plain,
    /// The same as events.
    Events,
    /// Deepgram's object.
    Listen,
}

impl Form {
    /// The names that a caller may give.
    const NAMES: [(&'static str, Self); 5] = [
        ("json", Self::Json),
        ("text", Self::Text),
        ("srt", Self::Srt),
        ("vtt", Self::Vtt),
        ("verbose_json", Self::VerboseJson),
    ];

    /// The form of that name.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let known = Self::NAMES.into_iter().find(|(known, _)| *known == name);
        let refused =
            || Error::invalid("response_format must be one of json, text, srt, vtt, verbose_json");
        known.map(|(_, form)| form).ok_or_else(refused)
    }

    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::VerboseJson | Self::Plain | Self::Listen => "application/json",
            Self::Events => "text/event-stream",
            Self::Text => "text/plain; charset=utf-8",
            Self::Srt => "application/x-subrip; charset=utf-8",
            Self::Vtt => "text/vtt; charset=utf-8",
        }
    }
}

/// Who was asked, and why they did not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Who.
    pub provider: &'static str,
    /// The error's code.
    pub code: String,
}

/// What an answer is made of.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    /// What was heard.
    pub heard: &'a Transcription,
    /// Who heard it.
    pub provider: &'static str,
    /// How it was to be heard.
    pub options: &'a RecordedOptions,
    /// What the caller named as the language.
    pub asked_language: &'a str,
    /// The model that the caller named, or that stands in its place.
    pub asked_model: &'a str,
    /// Bytes of the upload.
    pub bytes: u64,
    /// Pieces that it was cut into, and the length of the longest in milliseconds; 1 if it was not.
    pub pieces: (usize, u64),
    /// Who was asked before, where the caller left it to us.
    pub attempts: &'a [Attempt],
}

impl Told<'_> {
    /// The body in that form.
    pub fn write(&self, form: Form) -> Result<String, Error> {
        Ok(match form {
            Form::Json => text(&self.object())?,
            Form::VerboseJson => text(&verbose::write(self.heard))?,
            Form::Text => format!("{}\n", self.heard.transcript),
            Form::Srt => subtitles::srt(self.heard),
            Form::Vtt => subtitles::vtt(self.heard),
            Form::Plain => text(&plain::write(self))?,
            Form::Events => plain::events(self),
            Form::Listen => text(&listen::write(self))?,
        })
    }

    /// The contract's object, with who served beside it.
    pub fn object(&self) -> Value {
        let mut body = match self.provider {
            "deepgram" => deepgram::write(self),
            "whisper" => whisper::write(self),
            "assemblyai" => assemblyai::write(self),
            _ => local::write(self),
        };
        body["provider"] = json!(self.provider);
        body["word_count"] = json!(self.heard.transcript.split_whitespace().count());
        if let Some(ms) = self.heard.duration_ms {
            body["duration_seconds"] = json!(seconds(ms));
        }
        if !self.attempts.is_empty() {
            let tell =
                |attempt: &Attempt| json!({ "provider": attempt.provider, "code": attempt.code });
            body["attempts"] = self.attempts.iter().map(tell).collect();
        }
        body
    }
}

/// A body as it is sent.
pub fn text(body: &Value) -> Result<String, Error> {
    let failed = |error: serde_json::Error| {
        Error::new(ErrorKind::Internal, "Internal server error").because(error)
    };
    serde_json::to_string(body).map_err(failed)
}

/// Milliseconds as the contract tells times.
pub fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// A number with so many digits behind the point.
fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// A word as Deepgram tells it.
fn word(word: &Word) -> Value {
    let mut told = json!({
        "word": word.word,
        "start": seconds(word.start_ms),
        "end": seconds(word.end_ms),
        "confidence": rounded(f64::from(word.confidence), 6),
    });
    if let Some(written) = &word.punctuated_word {
        told["punctuated_word"] = json!(written);
    }
    if let Some(speaker) = word.speaker {
        told["speaker"] = json!(speaker);
    }
    told
}
