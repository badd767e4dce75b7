//! The answer of `/transcriptions/whisper`.

use serde_json::{Value, json};

use super::{Told, rounded, seconds, word};
use crate::providers::recorded::Stretch;

const MIB: f64 = 1024.0 * 1024.0;

pub(super) fn write(told: &Told<'_>) -> Value {
    let heard = told.heard;
    let language = told.options.language.as_deref().or(heard.language.as_deref());
    let (pieces, longest_ms) = told.pieces;
    let mut body = json!({
        "transcript": heard.transcript,
        "language": language.unwrap_or(told.asked_language),
        "model": heard.model,
        "service": "openai_whisper",
        "file_size_mb": rounded(told.bytes as f64 / MIB, 2),
        "processing_method": if pieces > 1 { "chunked" } else { "single_file" },
    });
    if pieces > 1 {
        body["total_chunks"] = json!(pieces);
        body["chunk_duration_minutes"] = json!(rounded(seconds(longest_ms) / 60.0, 2));
    }
    if !heard.words.is_empty() {
        body["words"] = heard.words.iter().map(word).collect();
    }
    if !heard.segments.is_empty() {
        body["segments"] = heard.segments.iter().map(segment).collect();
    }
    body
}

fn segment(stretch: &Stretch) -> Value {
    json!({
        "text": stretch.text,
        "start": seconds(stretch.start_ms),
        "end": seconds(stretch.end_ms),
    })
}
