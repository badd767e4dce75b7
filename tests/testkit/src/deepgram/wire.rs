//! Messages as the real service writes them.

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use super::catalog::Model;
use super::options::Options;
use crate::recognizer::Segment;
use crate::script::Word;

const CONFIDENCE: f64 = 0.99;
const MODEL_VERSION: &str = "2024-01-18.26916";

/// What every message of a request says of it.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    pub(crate) request_id: Uuid,
    pub(crate) options: Options,
}

impl Stamp {
    pub(crate) fn results(&self, segment: &Segment, channel: usize, channels: usize) -> Value {
        json!({
            "type": "Results",
            "channel_index": [channel, channels],
            "duration": seconds(segment.end_us - segment.start_us),
            "start": seconds(segment.start_us),
            "is_final": segment.is_final,
            "speech_final": segment.speech_final,
            "channel": { "alternatives": [self.alternative(&segment.words)] },
            "metadata": self.metadata(),
            "from_finalize": segment.from_finalize,
        })
    }

    /// The end summary; `sha256` is that of all audio in hex.
    pub(crate) fn summary(&self, sha256: &str, heard_us: u64, channels: u64) -> Value {
        let mut summary = self.recorded_metadata(sha256, heard_us, channels);
        summary["type"] = json!("Metadata");
        summary
    }

    /// The `metadata` of recorded audio.
    pub(crate) fn recorded_metadata(&self, sha256: &str, heard_us: u64, channels: u64) -> Value {
        let mut metadata = json!({
            "transaction_key": "deprecated",
            "request_id": self.request_id,
            "sha256": sha256,
            "created": now(),
            "duration": seconds(heard_us),
            "channels": if heard_us == 0 { 0 } else { channels },
        });
        if heard_us > 0 {
            let uuid = model_uuid(&self.options.model);
            metadata["models"] = json!([uuid]);
            metadata["model_info"] = json!({ uuid.to_string(): self.model_info() });
        }
        if !self.options.extra.is_empty() {
            metadata["extra"] = json!(self.options.extra);
        }
        metadata
    }

    /// One hypothesis: the words and their text.
    pub(crate) fn alternative(&self, words: &[Word]) -> Value {
        let mut alternative = json!({
            "transcript": self.transcript(words),
            "confidence": if words.is_empty() { 0.0 } else { CONFIDENCE },
            "words": words.iter().map(|word| self.word(word)).collect::<Vec<_>>(),
        });
        if self.options.language == "multi" {
            alternative["languages"] = json!(["en"]);
        }
        alternative
    }

    /// The words as one text, written as asked for.
    pub(crate) fn transcript(&self, words: &[Word]) -> String {
        words.iter().map(|word| self.written(word)).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn word(&self, word: &Word) -> Value {
        let mut json = json!({
            "word": word.text,
            "start": seconds(word.start_us),
            "end": seconds(word.end_us),
            "confidence": CONFIDENCE,
        });
        if self.options.punctuate {
            json["punctuated_word"] = json!(self.written(word));
        }
        if self.options.diarize {
            json["speaker"] = json!(word.speaker.unwrap_or(0));
        }
        if self.options.language == "multi" {
            json["language"] = json!("en");
        }
        json
    }

    fn written<'a>(&self, word: &'a Word) -> &'a str {
        let written = word.punctuated.as_deref().filter(|_| self.options.punctuate);
        written.unwrap_or(&word.text)
    }

    fn metadata(&self) -> Value {
        let mut metadata = json!({
            "request_id": self.request_id,
            "model_info": self.model_info(),
            "model_uuid": model_uuid(&self.options.model),
        });
        if !self.options.extra.is_empty() {
            metadata["extra"] = json!(self.options.extra);
        }
        metadata
    }

    fn model_info(&self) -> Value {
        let model = &self.options.model;
        json!({ "name": model.display_name(), "version": MODEL_VERSION, "arch": model.arch })
    }
}

pub(crate) fn speech_started(at_us: u64, channel: usize, channels: usize) -> Value {
    json!({ "type": "SpeechStarted", "channel": [channel, channels], "timestamp": seconds(at_us) })
}

pub(crate) fn utterance_end(last_word_end_us: u64, channel: usize, channels: usize) -> Value {
    let last_word_end = seconds(last_word_end_us);
    json!({ "type": "UtteranceEnd", "channel": [channel, channels], "last_word_end": last_word_end })
}

/// The answer to text that does not parse; the stream stays open.
pub(crate) fn schema_error(text: &str) -> Value {
    json!({
        "type": "Error",
        "variant": "SchemaError",
        "description": "Could not deserialize last text message: unknown message type.",
        "message": text,
    })
}

pub(crate) fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// A UUID that a model always has.
fn model_uuid(model: &Model) -> Uuid {
    let digest = Sha256::digest(model.name.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_random_bytes(bytes).into_uuid()
}

fn now() -> String {
    DateTime::<Utc>::from(SystemTime::now()).to_rfc3339_opts(SecondsFormat::Millis, true)
}
