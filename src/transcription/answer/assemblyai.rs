//! The answer of `/transcriptions/assemblyai`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Told, seconds, word};
use crate::providers::recorded::Stretch;

pub(super) fn write(told: &Told<'_>) -> Value {
    let heard = told.heard;
    let mut body = json!({
        "transcript": heard.transcript,
        "confidence": heard.confidence.unwrap_or(0.0),
        "language": heard.language.as_deref().unwrap_or(told.asked_language),
        "model": heard.model,
        "service": "assemblyai",
        "words": heard.words.iter().map(word).collect::<Value>(),
    });
    let speakers: BTreeSet<u32> = heard.segments.iter().filter_map(|said| said.speaker).collect();
    if !speakers.is_empty() {
        body["speakers"] = json!(speakers.len());
        body["utterances"] = heard.segments.iter().map(utterance).collect();
    }
    if !heard.highlights.is_empty() {
        body["highlights"] = json!(heard.highlights);
    }
    body
}

fn utterance(said: &Stretch) -> Value {
    json!({
        "speaker": said.speaker.map(|id| format!("Speaker_{id}")),
        "text": said.text,
        "start": seconds(said.start_ms),
        "end": seconds(said.end_ms),
    })
}
