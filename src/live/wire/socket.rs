//! Payloads about a socket and about faults.

use serde::Serialize;
use serde_json::Value;

use super::Report;
use crate::model::Error;

/// The greeting.
#[derive(Clone, Debug, Serialize)]
pub struct Connected {
    /// Always the contract's sentence.
    pub message: &'static str,
    /// Who the credential belongs to.
    pub user_id: String,
    /// `auth0`, `jwt`, `api_key`, `session` or `development`.
    pub auth_type: &'static str,
    /// Language of sessions that do not choose their own.
    pub language: &'static str,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

impl Connected {
    /// The contract's sentence.
    pub const MESSAGE: &'static str = "Successfully connected to audio streaming service";
}

/// The socket's credential ends soon.
#[derive(Clone, Debug, Serialize)]
pub struct TokenExpiring {
    /// ISO 8601, UTC.
    pub expires_at: String,
    /// The same from now, in milliseconds.
    pub expires_in_ms: u64,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

/// Another credential counts from now on.
#[derive(Clone, Debug, Serialize)]
pub struct Authenticated {
    /// Who the credential belongs to.
    pub user_id: String,
    /// `auth0`, `jwt`, `api_key`, `session` or `development`.
    pub auth_type: &'static str,
    /// When it ends, ISO 8601, UTC; null if it does not.
    pub expires_at: Option<String>,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

/// A sentence and a time.
#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    /// The contract's sentence.
    pub message: &'static str,
    /// Our id of the session that ended, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// What became of its audio, if there was any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

impl Notice {
    /// The contract's sentence after a stop.
    pub const STOPPED: &'static str = "Streaming stopped successfully";
}

/// Something went wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Text, as old clients read it.
    pub message: String,
    /// Stable code.
    pub code: &'static str,
    /// Whether the same may succeed later.
    pub retryable: bool,
    /// When to try again, in milliseconds, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// ISO 8601, UTC.
    pub timestamp: String,
    /// Our id of the session that failed, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The room that is not watched, where that is what failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// The option that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub option: Option<&'static str>,
    /// What it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Value>,
}

impl Failure {
    /// The event for an error of ours.
    pub fn of(error: &Error, timestamp: String) -> Self {
        let kind = error.kind;
        let (code, retryable) = (kind.code(), kind.retryable());
        Self {
            message: error.detail.clone(),
            code,
            retryable,
            retry_after_ms: error.retry_after.map(|wait| wait.as_millis() as u64),
            timestamp,
            session_id: None,
            room: None,
            option: None,
            allowed: None,
        }
    }
}
