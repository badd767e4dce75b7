//! Chat completions of OpenAI and of DeepSeek.
//!
//! Shapes: `POST /chat/completions` in openai-openapi (MIT), 2026-08, and what DeepSeek documents
//! beside it: thinking that is on unless it is turned off, keep-alives, what was remembered.

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde_json::{Value, json};

use super::{Fault, KEY, Request, Shared, refusal};

pub(super) async fn openai(
    State(state): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&state, "openai", headers, body).await.unwrap_or_else(|refused| refused)
}

pub(super) async fn deepseek(
    State(state): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&state, "deepseek", headers, body).await.unwrap_or_else(|refused| refused)
}

async fn answer(
    state: &Shared,
    provider: &'static str,
    headers: HeaderMap,
    raw: Bytes,
) -> Result<Response, Response> {
    let known = headers.get("authorization").is_some_and(|told| told == &format!("Bearer {KEY}"));
    let body: Value = serde_json::from_slice(&raw).unwrap_or_default();
    let request = Request { provider, headers, body: body.clone(), raw: raw.to_vec() };
    let fault = state.note(request).await?;
    if !known {
        return Err(refused(
            StatusCode::UNAUTHORIZED,
            "Incorrect API key provided",
            "invalid_api_key",
        ));
    }
    let (Some(model), Some(text)) = (body["model"].as_str(), said(&body, "user")) else {
        return Err(refused(StatusCode::BAD_REQUEST, "model and messages are required", "missing"));
    };
    let mut translation = translate(&said(&body, "system").unwrap_or_default(), &text);
    let mut finish = "stop";
    if matches!(fault, Some(Fault::Cut)) {
        translation.truncate(translation.char_indices().nth(5).map_or(0, |(at, _)| at));
        finish = "length";
    }
    let told =
        Told { provider, model, text: &text, translation: &translation, finish, body: &body };
    if body["stream"] != true {
        return Ok(told.whole());
    }
    let most = if let Some(Fault::Break(words)) = fault { words } else { usize::MAX };
    Ok(told.stream(most))
}

fn refused(status: StatusCode, message: &str, code: &str) -> Response {
    let error = json!({ "error": { "message": message, "type": "invalid_request_error",
        "param": null, "code": code } });
    refusal(status, error.to_string())
}

fn said(body: &Value, role: &str) -> Option<String> {
    let messages = body["messages"].as_array()?;
    let message = messages.iter().find(|message| message["role"] == role)?;
    message["content"].as_str().map(str::to_owned)
}

/// Capitals, and terms as the instructions have them in lines such as `term = meant`.
fn translate(instructions: &str, text: &str) -> String {
    let terms = instructions.lines().filter_map(|line| line.split_once(" = "));
    terms.fold(text.to_uppercase(), |text, (term, meant)| text.replace(&term.to_uppercase(), meant))
}

struct Told<'a> {
    provider: &'static str,
    model: &'a str,
    text: &'a str,
    translation: &'a str,
    finish: &'a str,
    body: &'a Value,
}

impl Told<'_> {
    fn thinks(&self) -> bool {
        self.provider == "deepseek" && self.body["thinking"]["type"] != "disabled"
    }

    /// A token a word.
    fn usage(&self) -> Value {
        let (asked, told) = (words(self.text), words(self.translation));
        let mut usage = json!({ "prompt_tokens": asked, "completion_tokens": told,
            "total_tokens": asked + told });
        if self.provider == "deepseek" {
            usage["prompt_cache_hit_tokens"] = 0.into();
            usage["prompt_cache_miss_tokens"] = asked.into();
        } else {
            usage["prompt_tokens_details"] = json!({ "cached_tokens": 0, "audio_tokens": 0 });
        }
        usage
    }

    fn whole(&self) -> Response {
        let mut message =
            json!({ "role": "assistant", "content": self.translation, "refusal": null });
        if self.thinks() {
            message["reasoning_content"] = "Well.".into();
        }
        let body = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1_790_000_000,
            "model": self.model, "usage": self.usage(), "system_fingerprint": "fp_1",
            "choices": [{ "index": 0, "message": message, "logprobs": null,
                "finish_reason": self.finish }] });
        // DeepSeek sends empty lines while it works.
        let waiting = if self.provider == "deepseek" { "\n\n\n" } else { "" };
        let headers = [("content-type", "application/json"), ("x-request-id", "req_chat_1")];
        (headers, format!("{waiting}{body}")).into_response()
    }

    fn stream(&self, most: usize) -> Response {
        let mut events = vec![self.event(&json!({ "role": "assistant", "content": "" }), None)];
        if self.provider == "deepseek" {
            events.insert(0, ": keep-alive\n\n".to_owned());
        }
        if self.thinks() {
            events.push(self.event(&json!({ "reasoning_content": "Well." }), None));
        }
        let pieces: Vec<_> = self.translation.split_inclusive(' ').collect();
        let told = pieces.iter().take(most);
        events.extend(told.map(|piece| self.event(&json!({ "content": piece }), None)));
        if most >= pieces.len() {
            events.push(self.event(&json!({}), Some(self.finish)));
            if self.body["stream_options"]["include_usage"] == true {
                let mut last = self.chunk(&json!({}), None);
                (last["choices"], last["usage"]) = (json!([]), self.usage());
                events.push(format!("data: {last}\n\n"));
            }
            events.push("data: [DONE]\n\n".to_owned());
        }
        let body = Body::from_stream(stream::iter(events.into_iter().map(Ok::<_, Infallible>)));
        ([("content-type", "text/event-stream")], body).into_response()
    }

    fn chunk(&self, delta: &Value, finish: Option<&str>) -> Value {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000,
            "model": self.model, "system_fingerprint": "fp_1",
            "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }] })
    }

    fn event(&self, delta: &Value, finish: Option<&str>) -> String {
        format!("data: {}\n\n", self.chunk(delta, finish))
    }
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}
