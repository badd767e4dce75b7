//! What a limit says of one act, and how an answer tells it.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::LimitedAction;
use crate::model::{Clock, Error, ErrorKind};

/// What a limit says of one act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What was to be done.
    pub action: LimitedAction,
    /// Whether it may be.
    pub allowed: bool,
    /// How often a minute.
    pub limit: u32,
    /// How often now.
    pub remaining: u32,
    /// When all of the limit is there again.
    pub reset_after: Duration,
    /// When one act is possible again, if none is now.
    pub retry_after: Duration,
}

impl Verdict {
    /// The refusal, if it is one.
    pub fn into_result(self) -> Result<Self, Error> {
        if self.allowed {
            return Ok(self);
        }
        let error = Error::new(ErrorKind::RateLimited, self.action.sentence());
        Err(error.after(self.retry_after))
    }

    /// Tells it in the headers of an answer: the usual three, and those of the IETF draft
    /// (draft-ietf-httpapi-ratelimit-headers-10).
    pub fn tell(&self, headers: &mut HeaderMap) {
        let (name, seconds) = (self.action.name(), self.reset_after.as_secs_f64().ceil() as i64);
        let pairs = [
            ("x-ratelimit-limit", self.limit.to_string()),
            ("x-ratelimit-remaining", self.remaining.to_string()),
            ("x-ratelimit-reset", (Clock.now().timestamp() + seconds).to_string()),
            ("ratelimit-policy", format!("\"{name}\";q={};w=60", self.limit)),
            ("ratelimit", format!("\"{name}\";r={};t={seconds}", self.remaining)),
        ];
        for (name, value) in pairs {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}
