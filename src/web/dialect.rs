//! Errors as other services write them, for clients that were made for those.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::error::status;
use crate::model::{Error, ErrorKind};

/// Whose client reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's (<https://platform.openai.com/docs/guides/error-codes>).
    OpenAi,
    /// Deepgram's (<https://developers.deepgram.com/docs/errors>).
    Deepgram,
}

impl Dialect {
    /// The body of an error, to which ours is added.
    pub fn body(self, error: &Error) -> Value {
        let status = status(error.kind);
        match self {
            Self::OpenAi => json!({ "error": openai(error, status) }),
            Self::Deepgram => json!({
                "error": error.detail, "err_code": deepgram(error.kind), "err_msg": error.detail }),
        }
    }
}

fn openai(error: &Error, status: StatusCode) -> Value {
    let (kind, code) = match error.kind {
        ErrorKind::Unauthenticated => ("invalid_request_error", "invalid_api_key"),
        ErrorKind::RateLimited => ("requests", "rate_limit_exceeded"),
        ErrorKind::QuotaExceeded => ("insufficient_quota", "insufficient_quota"),
        kind if status.is_server_error() => ("server_error", kind.code()),
        kind => ("invalid_request_error", kind.code()),
    };
    json!({ "message": error.detail, "type": kind, "param": null, "code": code })
}

fn deepgram(kind: ErrorKind) -> String {
    match kind {
        ErrorKind::Unauthenticated => "INVALID_AUTH".to_owned(),
        ErrorKind::Forbidden => "INSUFFICIENT_PERMISSIONS".to_owned(),
        ErrorKind::RateLimited => "TOO_MANY_REQUESTS".to_owned(),
        ErrorKind::InvalidRequest => "Bad Request".to_owned(),
        kind => kind.code().to_ascii_uppercase(),
    }
}
