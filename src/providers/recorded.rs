//! The seam of recorded audio: what is to be transcribed, how, and what came of it.

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Word;

/// A recording on this replica's disk, which whoever made it removes.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The name that providers are given; its ending says what it is, such as `audio.mp3`.
    pub file_name: String,
    /// Its media type, such as `audio/mpeg`, by its content.
    pub media_type: &'static str,
    /// How long it sounds, in milliseconds, where that is known.
    pub duration_ms: Option<u64>,
}

/// How it is to be transcribed. What a provider has no word for it leaves out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordedOptions {
    /// A language code as providers know them, such as `en` or `en-US`; `None` is found out.
    pub language: Option<String>,
    /// A model of the provider's; its own choice where there is none.
    pub model: Option<String>,
    /// Whether speakers are told apart.
    pub diarize: bool,
    /// Whether there is punctuation.
    pub punctuate: bool,
    /// Whether there are paragraphs.
    pub paragraphs: bool,
    /// What helps to understand it, in the recording's language.
    pub prompt: Option<String>,
    /// Between 0 and 1, where the provider takes one.
    pub temperature: Option<f32>,
    /// Words to listen for.
    pub keyterms: Vec<String>,
    /// Parameters in the provider's own words, handed on as they are.
    pub extra: Vec<(String, String)>,
}

/// What a provider heard, times in milliseconds of the recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transcription {
    /// All of it, as it is to be read.
    pub transcript: String,
    /// Between 0 and 1, where the provider tells.
    pub confidence: Option<f64>,
    /// The language that was heard or asked for, as a code such as `en`.
    pub language: Option<String>,
    /// The model that heard it.
    pub model: String,
    /// How long the recording sounds.
    pub duration_ms: Option<u64>,
    /// Words in order, where the provider tells.
    pub words: Vec<Word>,
    /// Stretches of text in order, where the provider tells: utterances of speakers where they are
    /// told apart, else its segments.
    pub segments: Vec<Stretch>,
    /// Paragraphs in order, where they were asked for.
    pub paragraphs: Vec<Stretch>,
    /// What the provider thinks important.
    pub highlights: Vec<String>,
    /// Tokens, where the provider counts those.
    pub tokens: Option<Tokens>,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// The provider's answer as it came, where clients are promised parts of it.
    pub answer: Option<Arc<Value>>,
}

/// A stretch of a transcription.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// Its text.
    pub text: String,
    /// Where it begins, in milliseconds.
    pub start_ms: u64,
    /// Where it ends, in milliseconds.
    pub end_ms: u64,
    /// Who speaks, counted from 0, where speakers are told apart.
    pub speaker: Option<u32>,
    /// Between 0 and 1, where the provider tells.
    pub confidence: Option<f64>,
}

/// What a provider counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Of the request.
    pub input: u64,
    /// Of those, the ones that cost less since the provider remembered them.
    pub cached: u64,
    /// Of the answer.
    pub output: u64,
}

/// Who is told words while they are heard.
pub type Say<'a> = dyn Fn(&str) + Send + Sync + 'a;
