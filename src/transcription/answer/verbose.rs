//! Segments and words with their times, as OpenAI writes them.
//!
//! Source: the OpenAI API's `TranscriptionVerboseJson`, 2026-08.

use serde_json::{Value, json};

use super::{rounded, seconds};
use crate::{
    model::{Word, language_name},
    providers::recorded::{Stretch, Transcription},
};

/// Silence between two words that ends a segment, where the provider has none of its own.
const PAUSE_MS: u64 = 1_000;
/// The longest segment made of words.
const LONGEST_MS: u64 = 30_000;

pub fn write(heard: &Transcription) -> Value {
    let segments = if heard.segments.is_empty() { of_words(heard) } else { heard.segments.clone() };
    let duration = heard.duration_ms.or_else(|| segments.last().map(|last| last.end_ms));
    let mut body = json!({
        "task": "transcribe",
        "language": language_name(heard.language.as_deref().unwrap_or("en")),
        "duration": duration.map_or(0.0, seconds),
        "text": heard.transcript,
        "segments": segments.iter().enumerate().map(segment).collect::<Value>(),
    });
    if !heard.words.is_empty() {
        body["words"] = heard.words.iter().map(word).collect();
    }
    body
}

fn of_words(heard: &Transcription) -> Vec<Stretch> {
    let mut segments: Vec<Stretch> = Vec::new();
    let mut begun = None;
    for word in &heard.words {
        let text = word.punctuated_word.as_deref().unwrap_or(&word.word);
        let goes_on = segments.last().is_some_and(|segment| {
            word.start_ms.saturating_sub(segment.end_ms) < PAUSE_MS
                && begun.is_some_and(|begun| word.end_ms.saturating_sub(begun) <= LONGEST_MS)
                && !segment.text.ends_with(['.', '?', '!'])
        });
        match segments.last_mut().filter(|_| goes_on) {
            Some(segment) => {
                segment.text.push(' ');
                segment.text.push_str(text);
                segment.end_ms = word.end_ms;
            }
            None => {
                begun = Some(word.start_ms);
                let (start_ms, end_ms) = (word.start_ms, word.end_ms);
                segments.push(Stretch {
                    text: text.to_owned(),
                    start_ms,
                    end_ms,
                    ..Stretch::default()
                });
            }
        }
    }
    segments
}

/// The fields that only OpenAI's own models know stand at rest.
fn segment((id, said): (usize, &Stretch)) -> Value {
    json!({
        "id": id,
        "seek": 0,
        "start": seconds(said.start_ms),
        "end": seconds(said.end_ms),
        "text": said.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": said.confidence.map_or(0.0, |sure| rounded(sure.max(1e-6).ln(), 6)),
        "compression_ratio": 1.0,
        "no_speech_prob": 0.0,
    })
}

fn word(word: &Word) -> Value {
    let text = word.punctuated_word.as_deref().unwrap_or(&word.word);
    json!({ "word": text, "start": seconds(word.start_ms), "end": seconds(word.end_ms) })
}
