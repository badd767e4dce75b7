//! AssemblyAI's transcription of recordings.
//!
//! Shapes: AssemblyAI's API reference of `/v2/upload` and `/v2/transcript`, 2026-03.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{KEY, Refusal, Request, Shared, heard::Spoken, lock, render};

/// How often a transcript is looked at before it is done.
const LOOKS: usize = 2;

fn request(headers: HeaderMap, body: &Value, audio: &[u8]) -> Request {
    let fields = body.as_object().into_iter().flatten();
    Request {
        provider: "assemblyai",
        query: String::new(),
        headers,
        fields: fields.map(|(name, value)| (name.clone(), value.to_string())).collect(),
        audio_bytes: audio.len(),
        head: audio[..audio.len().min(16)].to_vec(),
        file_name: None,
    }
}

pub(super) async fn upload(
    State(state): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refusal) = state.note(request(headers, &Value::Null, &body), KEY) {
        return refusal;
    }
    let mut uploads = lock(&state.uploads);
    uploads.push(body.to_vec());
    Json(json!({ "upload_url": format!("https://cdn.invalid/upload/{}", uploads.len() - 1) }))
        .into_response()
}

pub(super) async fn create(
    State(state): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if let Some(refusal) = state.note(request(headers, &body, &[]), KEY) {
        return refusal;
    }
    let number =
        body["audio_url"].as_str().and_then(|url| url.rsplit('/').next()?.parse::<usize>().ok());
    match number.filter(|number| *number < lock(&state.uploads).len()) {
        Some(number) => Json(transcript(number, "queued")).into_response(),
        None => render(&Refusal::of(400)),
    }
}

pub(super) async fn look(
    State(state): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = state.note(request(headers, &Value::Null, &[]), KEY) {
        return refusal;
    }
    let number = id.strip_prefix("transcript-").and_then(|number| number.parse::<usize>().ok());
    let audio = number.and_then(|number| lock(&state.uploads).get(number).cloned());
    let (Some(number), Some(audio)) = (number, audio) else { return render(&Refusal::of(404)) };
    let looks = {
        let mut looks = lock(&state.looks);
        let looks = looks.entry(number).or_default();
        *looks += 1;
        *looks
    };
    if looks < LOOKS {
        return Json(transcript(number, "processing")).into_response();
    }
    let heard = state.speech.hear(&audio);
    let mut body = transcript(number, "completed");
    let word = |spoken: &Spoken| {
        json!({ "text": spoken.word, "start": spoken.start_ms,
        "end": spoken.end_ms, "confidence": 0.97, "speaker": "A" })
    };
    body["text"] = json!(heard.text());
    body["confidence"] = json!(0.97);
    body["audio_duration"] = json!(heard.duration_ms / 1000);
    body["words"] = heard.words.iter().map(word).collect();
    body["utterances"] = json!([{ "text": heard.text(), "start": 0, "end": heard.duration_ms,
        "confidence": 0.97, "speaker": "A", "words": [] }]);
    body["auto_highlights_result"] = json!({ "status": "success", "results": [
        { "count": 1, "rank": 0.1, "text": "your country", "timestamps": [] }] });
    Json(body).into_response()
}

/// The keys that every transcript has.
fn transcript(number: usize, status: &str) -> Value {
    json!({
        "id": format!("transcript-{number}"), "status": status, "audio_url": "https://cdn.invalid",
        "language_model": "assemblyai_default", "acoustic_model": "assemblyai_default",
        "speech_model": null, "webhook_auth": false, "auto_highlights": true, "redact_pii": false,
        "summarization": false, "language_code": "en", "language_confidence": null,
        "language_confidence_threshold": null, "text": null, "error": null,
    })
}
