//! The sentences of a transcript, for answers that list them.

use serde_json::{Value, json};

/// Each sentence with its runs of `.`, `!` and `?`.
pub fn sentences(transcript: &str) -> Value {
    let mut sentences = Vec::new();
    let mut rest = transcript.trim();
    while !rest.is_empty() {
        let ends = |c: char| matches!(c, '.' | '!' | '?' | '。' | '！' | '？');
        let stop = rest.find(ends).unwrap_or(rest.len());
        let end = stop + rest[stop..].find(|c| !ends(c)).unwrap_or(rest.len() - stop);
        sentences.push(json!({ "text": rest[..end].trim() }));
        rest = rest[end..].trim_start();
    }
    Value::Array(sentences)
}
