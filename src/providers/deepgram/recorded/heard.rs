//! Deepgram's answer, read with care: what is missing is left out, what is wild is bounded.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    model::Word,
    outbound::{Answer, protocol},
    providers::{
        ProviderError,
        recorded::{RecordedOptions, Stretch, Transcription},
    },
};

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    metadata: Metadata,
    results: Results,
}

#[derive(Default, Deserialize)]
struct Metadata {
    request_id: Option<String>,
    duration: Option<f64>,
}

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    channels: Vec<Channel>,
    #[serde(default)]
    utterances: Vec<Utterance>,
}

#[derive(Deserialize)]
struct Channel {
    #[serde(default)]
    alternatives: Vec<Alternative>,
    detected_language: Option<String>,
}

#[derive(Default, Deserialize)]
struct Alternative {
    #[serde(default)]
    transcript: String,
    confidence: Option<f64>,
    #[serde(default)]
    words: Vec<Heard>,
    paragraphs: Option<Paragraphs>,
    #[serde(default)]
    languages: Vec<String>,
}

#[derive(Deserialize)]
struct Heard {
    word: String,
    start: f64,
    end: f64,
    #[serde(default)]
    confidence: f32,
    punctuated_word: Option<String>,
    speaker: Option<u32>,
}

#[derive(Deserialize)]
struct Paragraphs {
    #[serde(default)]
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    #[serde(default)]
    sentences: Vec<Sentence>,
    start: f64,
    end: f64,
    speaker: Option<u32>,
}

#[derive(Deserialize)]
struct Sentence {
    text: String,
}

#[derive(Deserialize)]
struct Utterance {
    start: f64,
    end: f64,
    confidence: Option<f64>,
    transcript: String,
    speaker: Option<u32>,
}

/// What was heard in the first channel.
pub(super) fn read(
    answer: &Answer,
    model: String,
    options: &RecordedOptions,
) -> Result<Transcription, ProviderError> {
    let whole: Value = answer.json()?;
    let Body { metadata, results } = Body::deserialize(&whole)
        .map_err(|error| protocol(format!("not the expected answer: {error}")))?;
    let mut channels = results.channels.into_iter();
    let (alternative, detected) = match channels.next() {
        Some(channel) => (channel.alternatives.into_iter().next(), channel.detected_language),
        None => (None, None),
    };
    let alternative = alternative.unwrap_or_default();
    let paragraphs = alternative.paragraphs.map(|found| found.paragraphs).unwrap_or_default();
    let spoken = detected.or_else(|| alternative.languages.into_iter().next());
    Ok(Transcription {
        transcript: alternative.transcript,
        confidence: alternative.confidence,
        language: spoken.or_else(|| options.language.clone()),
        model,
        duration_ms: metadata.duration.map(ms),
        words: alternative.words.into_iter().map(word).collect(),
        segments: results.utterances.into_iter().map(utterance).collect(),
        paragraphs: paragraphs.into_iter().map(paragraph).collect(),
        request_id: metadata.request_id,
        answer: Some(Arc::new(whole)),
        ..Transcription::default()
    })
}

fn word(heard: Heard) -> Word {
    Word {
        word: heard.word,
        punctuated_word: heard.punctuated_word,
        start_ms: ms(heard.start),
        end_ms: ms(heard.end).max(ms(heard.start)),
        confidence: heard.confidence,
        speaker: heard.speaker,
    }
}

fn utterance(heard: Utterance) -> Stretch {
    Stretch {
        text: heard.transcript,
        start_ms: ms(heard.start),
        end_ms: ms(heard.end),
        speaker: heard.speaker,
        confidence: heard.confidence,
    }
}

fn paragraph(found: Paragraph) -> Stretch {
    let sentences: Vec<_> = found.sentences.into_iter().map(|sentence| sentence.text).collect();
    Stretch {
        text: sentences.join(" "),
        start_ms: ms(found.start),
        end_ms: ms(found.end),
        speaker: found.speaker,
        confidence: None,
    }
}

/// Seconds as milliseconds; a cast takes what is negative or beyond for the nearest that there is.
fn ms(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}
