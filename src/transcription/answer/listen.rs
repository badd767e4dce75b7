//! The answer of `/v1/listen`: Deepgram's own where it served, else one in its shape.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Told, seconds};
use crate::{
    model::{Clock, Word},
    providers::recorded::Stretch,
};

pub(super) fn write(told: &Told<'_>) -> Value {
    match &told.heard.answer {
        Some(answer) if told.provider == "deepgram" => Value::clone(answer),
        _ => made(told),
    }
}

fn made(told: &Told<'_>) -> Value {
    let heard = told.heard;
    // Deepgram names models by ids; these have none.
    let model = Uuid::nil();
    let words: Vec<Value> = heard.words.iter().map(word).collect();
    let alternative = json!({
        "transcript": heard.transcript, "confidence": heard.confidence.unwrap_or(0.0),
        "words": words });
    let mut channel = json!({ "alternatives": [alternative] });
    if told.options.language.is_none()
        && let Some(language) = &heard.language
    {
        channel["detected_language"] = json!(language);
    }
    let mut results = json!({ "channels": [channel] });
    if told.options.diarize {
        results["utterances"] = heard.segments.iter().map(utterance).collect();
    }
    json!({
        "metadata": {
            "transaction_key": "deprecated", "request_id": Uuid::now_v7(), "sha256": "",
            "created": Clock.timestamp(), "duration": heard.duration_ms.map_or(0.0, seconds),
            "channels": 1, "models": [model],
            "model_info": { (model.to_string()): {
                "name": heard.model, "version": "", "arch": told.provider } } },
        "results": results })
}

fn word(word: &Word) -> Value {
    let mut told = json!({
        "word": word.word, "start": seconds(word.start_ms), "end": seconds(word.end_ms),
        "confidence": word.confidence });
    if let Some(text) = &word.punctuated_word {
        told["punctuated_word"] = json!(text);
    }
    if let Some(speaker) = word.speaker {
        told["speaker"] = json!(speaker);
    }
    told
}

fn utterance(stretch: &Stretch) -> Value {
    json!({
        "start": seconds(stretch.start_ms), "end": seconds(stretch.end_ms),
        "confidence": stretch.confidence.unwrap_or(0.0), "channel": 0,
        "transcript": stretch.text, "words": [], "speaker": stretch.speaker, "id": Uuid::now_v7() })
}
