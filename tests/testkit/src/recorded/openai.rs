//! OpenAI's transcription of recordings.
//!
//! Shapes: `POST /audio/transcriptions` in openai-openapi (MIT), 2026-08.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use multer::Multipart;
use serde_json::{Value, json};

use super::{
    KEY, Refusal, Request, Shared,
    heard::{Heard, Spoken, seconds},
    render,
};

/// The limit of a file, in bytes.
const MOST_BYTES: usize = 26_214_400;
/// How names of files may end.
const ENDINGS: [&str; 9] = ["flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm"];

pub(super) async fn transcribe(
    State(state): State<Shared>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some((request, audio)) = read(headers, body).await else {
        return render(&Refusal::of(400));
    };
    let fields = request.fields.clone();
    let ending =
        request.file_name.as_deref().and_then(|name| name.rsplit('.').next().map(str::to_owned));
    if let Some(refusal) = state.note(request, &format!("Bearer {KEY}")) {
        return refusal;
    }
    if audio.len() > MOST_BYTES {
        return render(&Refusal::of(413));
    }
    if !ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
        return render(&Refusal::of(400));
    }
    let heard = state.speech.hear(&audio);
    let answer = answer(&heard, &fields);
    if fields.iter().any(|(name, value)| name == "stream" && value == "true") {
        return stream(state, answer);
    }
    ([("x-request-id", "req_1")], Json(answer)).into_response()
}

/// Word after word; where streams are held, no more than the first until they are let go on.
fn stream(state: Shared, mut answer: Value) -> Response {
    let text = answer["text"].as_str().unwrap_or_default().to_owned();
    answer["type"] = "transcript.text.done".into();
    let deltas: Vec<Value> = text
        .split_inclusive(' ')
        .map(|word| json!({ "type": "transcript.text.delta", "delta": word }))
        .collect();
    let events = deltas.into_iter().chain([answer]).enumerate();
    let told = futures_util::stream::iter(events).then(move |(at, event)| {
        let state = state.clone();
        async move {
            if at > 0 && !state.goes_on().await {
                return Err(std::io::Error::other("broken as planned"));
            }
            Ok(format!("data: {event}\n\n"))
        }
    });
    ([("content-type", "text/event-stream")], Body::from_stream(told)).into_response()
}

async fn read(headers: HeaderMap, body: Body) -> Option<(Request, Vec<u8>)> {
    let kind = headers.get("content-type")?.to_str().ok()?;
    let mut parts = Multipart::new(body.into_data_stream(), multer::parse_boundary(kind).ok()?);
    let (mut fields, mut audio, mut file_name) = (Vec::new(), Vec::new(), None);
    while let Some(part) = parts.next_field().await.ok()? {
        match part.file_name().map(str::to_owned) {
            Some(name) => {
                file_name = Some(name);
                audio = part.bytes().await.ok()?.to_vec();
            }
            None => {
                let name = part.name()?.to_owned();
                fields.push((name, part.text().await.ok()?));
            }
        }
    }
    let request = Request {
        provider: "openai",
        query: String::new(),
        headers,
        fields,
        audio_bytes: audio.len(),
        head: audio[..audio.len().min(16)].to_vec(),
        file_name,
    };
    Some((request, audio))
}

fn answer(heard: &Heard, fields: &[(String, String)]) -> Value {
    let has =
        |name: &str, value: &str| fields.iter().any(|(key, text)| key == name && text == value);
    let long = seconds(heard.duration_ms);
    if !has("response_format", "verbose_json") {
        let usage = json!({ "type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59,
            "input_token_details": { "text_tokens": 0, "audio_tokens": 14 } });
        return json!({ "text": heard.text(), "usage": usage });
    }
    let mut body = json!({
        "task": "transcribe", "language": "english", "duration": long, "text": heard.text(),
        "segments": [{ "id": 0, "seek": 0, "start": 0.0, "end": long, "text": heard.text(),
            "tokens": [], "temperature": 0.0, "avg_logprob": -0.2, "compression_ratio": 1.1,
            "no_speech_prob": 0.01 }],
        "usage": { "type": "duration", "seconds": long.ceil() },
    });
    if has("timestamp_granularities[]", "word") {
        let word = |spoken: &Spoken| {
            json!({ "word": spoken.word, "start": seconds(spoken.start_ms),
            "end": seconds(spoken.end_ms) })
        };
        body["words"] = heard.words.iter().map(word).collect();
    }
    body
}
