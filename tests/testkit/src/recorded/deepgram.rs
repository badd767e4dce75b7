//! Deepgram's transcription of recordings.
//!
//! Shapes: `POST /v1/listen` in deepgram-api-specs (CC BY 4.0), 2026-07.

use axum::{
    Json,
    body::Body,
    extract::{RawQuery, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{
    KEY, Request, Shared,
    heard::{Heard, Spoken, seconds},
};

/// What is listened to of a recording.
const KEPT_BYTES: usize = 8 * 1024 * 1024;
const ID: &str = "3b5a2d5e-2f47-4f0a-9d52-0c6bd3d8a001";

pub(super) async fn listen(
    State(state): State<Shared>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (audio, audio_bytes) = receive(body).await;
    let query = query.unwrap_or_default();
    let request = Request {
        provider: "deepgram",
        query: query.clone(),
        headers,
        fields: Vec::new(),
        audio_bytes,
        head: audio[..audio.len().min(16)].to_vec(),
        file_name: None,
    };
    if let Some(refusal) = state.note(request, &format!("Token {KEY}")) {
        return refusal;
    }
    let heard = state.speech.hear(&audio);
    ([("dg-request-id", ID)], Json(answer(&heard, &query))).into_response()
}

/// The beginning of a body, and how long all of it was.
async fn receive(body: Body) -> (Vec<u8>, usize) {
    let (mut pieces, mut kept, mut bytes) = (body.into_data_stream(), Vec::new(), 0);
    while let Some(Ok(piece)) = pieces.next().await {
        bytes += piece.len();
        kept.extend_from_slice(&piece[..piece.len().min(KEPT_BYTES - kept.len())]);
    }
    (kept, bytes)
}

fn answer(heard: &Heard, query: &str) -> Value {
    let asked = |name: &str| {
        form_urlencoded::parse(query.as_bytes()).any(|(key, value)| key == name && value == "true")
    };
    let word = |spoken: &Spoken| {
        let mut told = json!({
            "word": spoken.word, "start": seconds(spoken.start_ms), "end": seconds(spoken.end_ms),
            "confidence": 0.98, "punctuated_word": spoken.word,
        });
        if asked("diarize") {
            told["speaker"] = json!(0);
            told["speaker_confidence"] = json!(0.9);
        }
        told
    };
    let mut alternative = json!({
        "transcript": heard.text(),
        "confidence": 0.98,
        "words": heard.words.iter().map(word).collect::<Value>(),
    });
    if asked("paragraphs") {
        let (start, end) = (0.0, seconds(heard.duration_ms));
        let sentences = json!([{ "text": heard.text(), "start": start, "end": end }]);
        let paragraph = json!({ "sentences": sentences, "start": start, "end": end, "num_words": heard.words.len() });
        alternative["paragraphs"] =
            json!({ "transcript": heard.text(), "paragraphs": [paragraph] });
    }
    let mut channel = json!({ "alternatives": [alternative] });
    if asked("detect_language") {
        channel["detected_language"] = json!("en");
        channel["language_confidence"] = json!(0.99);
    }
    json!({
        "metadata": {
            "transaction_key": "deprecated", "request_id": ID, "sha256": "0".repeat(64),
            "created": "2026-11-23T00:00:00.000Z", "duration": seconds(heard.duration_ms),
            "channels": 1, "models": [ID],
            "model_info": { ID: { "name": "2-general-nova", "version": "2024-01-18.26916", "arch": "nova-2" } },
        },
        "results": { "channels": [channel] },
    })
}
