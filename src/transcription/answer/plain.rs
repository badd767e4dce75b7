//! The plain object of OpenAI's door, whole or as events.
//!
//! Source: the OpenAI API's `CreateTranscriptionResponseJson` and its stream, 2026-08.

use serde_json::{Value, json};

use super::{Told, seconds};
use crate::providers::recorded::Tokens;

pub(super) fn write(told: &Told<'_>) -> Value {
    json!({ "text": told.heard.transcript, "usage": usage(told) })
}

fn usage(told: &Told<'_>) -> Value {
    match told.heard.tokens {
        Some(Tokens { input, output, .. }) => json!({
            "type": "tokens", "input_tokens": input, "output_tokens": output,
            "total_tokens": input + output,
            "input_token_details": { "text_tokens": 0, "audio_tokens": input } }),
        None => json!({
            "type": "duration", "seconds": told.heard.duration_ms.map_or(0.0, seconds).ceil() }),
    }
}

/// Words as an event.
pub fn delta(words: &str) -> String {
    event(&json!({ "type": "transcript.text.delta", "delta": words }))
}

fn event(told: &Value) -> String {
    format!("data: {told}\n\n")
}

/// The last of so many events.
pub fn last_event(events: &str) -> &str {
    let ended = events.trim_end();
    let begins = ended.rfind("\n\n").map_or(0, |before| before + 2);
    &events[begins..]
}

/// Sentence after sentence, and all of it.
pub(super) fn events(told: &Told<'_>) -> String {
    let text = &told.heard.transcript;
    let mut done = json!({ "type": "transcript.text.done", "text": text });
    if told.heard.tokens.is_some() {
        done["usage"] = usage(told);
    }
    let deltas = text.split_inclusive(['.', '?', '!']).map(delta);
    deltas.chain([event(&done)]).collect()
}
