//! The answer of `/transcriptions/local`: the embedded engine's.

use serde_json::{Value, json};

use super::{Told, word};

pub(super) fn write(told: &Told<'_>) -> Value {
    let heard = told.heard;
    json!({
        "transcript": heard.transcript,
        "confidence": heard.confidence.unwrap_or(0.0),
        "language": heard.language.as_deref().unwrap_or(told.asked_language),
        "model": heard.model,
        "service": "local",
        "words": heard.words.iter().map(word).collect::<Value>(),
    })
}
