//! Refusals over HTTP, in the three body shapes that the real service uses.

use serde_json::json;
use uuid::Uuid;

/// The shape of a refusal's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// `{"err_code", "err_msg", "request_id"}`.
    Legacy,
    /// `{"category", "message", "details", "request_id"}`.
    Modern,
    /// The message alone, as plain text.
    Text,
}

/// An answer that is not the wanted one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The stable code, such as `INVALID_AUTH`.
    pub code: String,
    /// The sentence, also sent as `dg-error`.
    pub message: String,
    /// The body's shape.
    pub body: Body,
    /// Further headers, such as `retry-after`.
    pub headers: Vec<(String, String)>,
}

impl Refusal {
    /// A refusal with a legacy body.
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        let (code, message) = (code.to_owned(), message.to_owned());
        Self { status, code, message, body: Body::Legacy, headers: Vec::new() }
    }

    /// The documented refusal of that status; unknown ones get a general text.
    pub fn of(status: u16) -> Self {
        let (code, message) = match status {
            400 => ("Bad Request", "Bad Request: No such model/language/tier combination found."),
            401 => ("INVALID_AUTH", "Invalid credentials."),
            402 => (
                "ASR_PAYMENT_REQUIRED",
                "Project does not have enough credits for an ASR request and does not have an overage agreement.",
            ),
            403 => {
                ("INSUFFICIENT_PERMISSIONS", "Project does not have access to the requested model.")
            }
            429 => ("TOO_MANY_REQUESTS", "Too many requests. Please try again later"),
            503 => ("Service Unavailable", "Please try again later"),
            _ => ("ERROR", "The request failed."),
        };
        Self::new(status, code, message)
    }

    /// The same with another body shape.
    pub fn with_body(self, body: Body) -> Self {
        Self { body, ..self }
    }

    /// The same with one more header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn bad_request(message: &str) -> Self {
        Self::new(400, "Bad Request", &format!("Bad Request: {message}"))
    }

    pub(crate) fn bad_query(message: &str) -> Self {
        let message = format!("Failed to deserialize query parameters: {message}");
        Self::new(400, "INVALID_QUERY_PARAMETER", &message)
    }

    pub(crate) fn content_type(&self) -> &'static str {
        if self.body == Body::Text { "text/plain; charset=utf-8" } else { "application/json" }
    }

    pub(crate) fn render(&self, request_id: Uuid) -> String {
        let Self { code, message, .. } = self;
        // The 503 of the real service names its code differently.
        let key = if self.status == 503 { "error_code" } else { "err_code" };
        match self.body {
            Body::Text => message.clone(),
            Body::Legacy => {
                json!({ key: code, "err_msg": message, "request_id": request_id }).to_string()
            }
            Body::Modern => json!({
                "category": code, "message": message, "details": message, "request_id": request_id,
            })
            .to_string(),
        }
    }
}
