//! Deepgram's messages, as its clients read them.
//!
//! Shapes: <https://developers.deepgram.com/reference/speech-to-text/listen-streaming>.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use crate::{
    live::wire::{Report, Transcription},
    model::Word,
};

/// A message to the client.
#[derive(Debug, Serialize)]
#[serde(tag = "type")]
pub enum Message<'a> {
    /// Text, or the proof that there is none.
    Results(Results<'a>),
    /// The end, with what was heard.
    Metadata(Metadata<'a>),
    /// Speech began.
    SpeechStarted {
        /// Of so many.
        channel: [u16; 2],
        /// Seconds of audio.
        timestamp: f64,
    },
    /// A gap between words ended an utterance.
    UtteranceEnd {
        /// Of so many.
        channel: [u16; 2],
        /// Seconds of audio.
        last_word_end: f64,
    },
    /// Something went wrong.
    Error {
        /// Our code.
        variant: &'a str,
        /// What.
        description: &'a str,
        /// The same again: its clients read one or the other.
        message: &'a str,
    },
}

/// Text of a stretch of audio, in seconds.
#[derive(Debug, Serialize)]
pub struct Results<'a> {
    channel_index: [u16; 2],
    duration: f64,
    start: f64,
    is_final: bool,
    speech_final: bool,
    channel: Channel<'a>,
    metadata: About<'a>,
    from_finalize: bool,
}

#[derive(Debug, Serialize)]
struct Channel<'a> {
    alternatives: [Alternative<'a>; 1],
}

#[derive(Debug, Serialize)]
struct Alternative<'a> {
    transcript: &'a str,
    confidence: f32,
    words: Vec<Heard<'a>>,
}

#[derive(Debug, Serialize)]
struct Heard<'a> {
    word: &'a str,
    start: f64,
    end: f64,
    confidence: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    punctuated_word: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<u32>,
}

impl<'a> Heard<'a> {
    fn of(word: &'a Word) -> Self {
        Self {
            word: &word.word,
            start: seconds(word.start_ms),
            end: seconds(word.end_ms),
            confidence: word.confidence,
            punctuated_word: word.punctuated_word.as_deref(),
            speaker: word.speaker,
        }
    }
}

#[derive(Debug, Serialize)]
struct About<'a> {
    request_id: &'a str,
    model_info: &'a Model,
    model_uuid: Uuid,
}

/// A model, as far as we know it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Of the many of its name.
    pub version: &'static str,
    /// What it is built like.
    pub arch: String,
}

impl Model {
    /// A model of that name.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), version: "latest", arch: name.to_owned() }
    }

    /// The same for the same name, on every replica.
    fn uuid(&self) -> Uuid {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(self.name.as_bytes());
        let bytes = std::array::from_fn(|at| digest[at]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

/// What a stream is known by.
#[derive(Debug)]
pub struct Stream<'a> {
    /// Its id.
    pub request_id: &'a str,
    /// Who hears it.
    pub model: &'a Model,
    /// Channels that are heard each by itself.
    pub channels: u16,
}

impl<'a> Results<'a> {
    /// What was said, or may yet turn out otherwise.
    pub fn said(text: &'a Transcription, stream: &Stream<'a>) -> Self {
        let of = if text.channel.is_some() { stream.channels } else { 1 };
        Self {
            channel_index: [text.channel.unwrap_or(0), of],
            duration: seconds(text.end_ms.saturating_sub(text.start_ms)),
            start: seconds(text.start_ms),
            is_final: text.is_final,
            speech_final: text.speech_final,
            channel: Channel {
                alternatives: [Alternative {
                    transcript: &text.transcript,
                    confidence: text.confidence,
                    words: text.words.iter().map(Heard::of).collect(),
                }],
            },
            metadata: stream.about(),
            from_finalize: text.from_finalize,
        }
    }

    /// There was nothing to say up to there, when finals were asked for.
    pub fn silent(until_ms: u64, stream: &Stream<'a>) -> Self {
        Self {
            channel_index: [0, 1],
            duration: 0.0,
            start: seconds(until_ms),
            is_final: true,
            speech_final: true,
            channel: Channel {
                alternatives: [Alternative { transcript: "", confidence: 0.0, words: vec![] }],
            },
            metadata: stream.about(),
            from_finalize: true,
        }
    }
}

impl<'a> Stream<'a> {
    fn about(&self) -> About<'a> {
        let Self { request_id, model, .. } = *self;
        About { request_id, model_info: model, model_uuid: model.uuid() }
    }
}

/// What was heard of a stream.
#[derive(Debug, Serialize)]
pub struct Metadata<'a> {
    transaction_key: &'static str,
    request_id: &'a str,
    sha256: String,
    created: &'a str,
    duration: f64,
    channels: u16,
    models: Vec<Uuid>,
    model_info: BTreeMap<Uuid, &'a Model>,
}

impl<'a> Metadata<'a> {
    /// A stream that began then; `sha256` is that of all its audio.
    pub fn of(
        stream: &Stream<'a>,
        report: Option<&Report>,
        created: &'a str,
        sha256: String,
    ) -> Self {
        let duration = report.map_or(0.0, |report| seconds(report.received_ms));
        let heard = report.map(|_| stream.model);
        Self {
            transaction_key: "deprecated",
            request_id: stream.request_id,
            sha256,
            created,
            duration,
            channels: report.map_or(0, |_| stream.channels),
            models: heard.map(Model::uuid).into_iter().collect(),
            model_info: heard.map(|model| (model.uuid(), model)).into_iter().collect(),
        }
    }
}

/// Milliseconds as seconds.
pub fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
