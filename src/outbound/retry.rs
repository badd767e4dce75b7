//! Whether a call that failed is made again, and when. Pure.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};

use super::{ErrorClass, ProviderError, Repeat};
use crate::backoff::Backoff;

/// Attempts of one call.
const ATTEMPTS: u32 = 4;
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(8);

/// How an attempt failed.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: ProviderError,
    /// How far it came.
    pub reached: Reached,
}

/// How far an attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It cannot be sent at all.
    Unsent,
    /// The provider was not reached.
    Nobody,
    /// The provider answered that it had not done it.
    Answer,
    /// The provider says whether to come again.
    Told(bool),
    /// Nobody knows what the provider has done.
    Unknown,
}

/// The attempts of one call.
pub struct Attempts {
    backoff: Backoff,
    made: u32,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { backoff: Backoff::new(FIRST, LONGEST), made: 1 }
    }
}

impl Attempts {
    /// How long to wait before it is made again; nothing if it is not.
    pub fn next(&mut self, failed: &Failed, repeat: Repeat) -> Option<Duration> {
        if self.made >= ATTEMPTS || !may_repeat(failed, repeat) {
            return None;
        }
        self.made += 1;
        let wait = self.backoff.next_delay();
        Some(failed.error.retry_after.map_or(wait, |told| told + wait / 4))
    }
}

fn may_repeat(failed: &Failed, repeat: Repeat) -> bool {
    if !failed.error.class.retryable() {
        return false;
    }
    match (repeat, failed.reached) {
        (Repeat::Never, _) | (_, Reached::Unsent | Reached::Told(false)) => false,
        (_, Reached::Nobody | Reached::Answer | Reached::Told(true)) => true,
        (repeat, Reached::Unknown) => repeat == Repeat::Always,
    }
}

/// How far an attempt came that was answered like that.
pub fn reached(status: StatusCode, headers: &HeaderMap) -> Reached {
    let told = headers.get("x-should-retry").and_then(|told| told.to_str().ok());
    match (told, status) {
        (Some("true"), _) => Reached::Told(true),
        (Some("false"), _) => Reached::Told(false),
        // A gateway gave up on what may be running still.
        (_, StatusCode::GATEWAY_TIMEOUT) => Reached::Unknown,
        _ => Reached::Answer,
    }
}

/// When to come again, as the provider says (RFC 9110 §10.2.3, and milliseconds as OpenAI has them).
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let ms = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok());
    if let Some(ms) = ms.filter(|ms| ms.is_finite() && *ms >= 0.0) {
        return Duration::try_from_secs_f64(ms / 1000.0).ok();
    }
    let told = text("retry-after")?;
    if let Ok(seconds) = told.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = DateTime::parse_from_rfc2822(told).ok()?;
    (at.to_utc() - now).to_std().ok().or(Some(Duration::ZERO))
}

/// What a status says of a call.
pub fn class_of(status: StatusCode) -> ErrorClass {
    match status.as_u16() {
        401 | 403 => ErrorClass::Credentials,
        402 => ErrorClass::Payment,
        408 | 504 => ErrorClass::Timeout,
        429 => ErrorClass::RateLimited,
        400..=499 => ErrorClass::BadRequest,
        _ => ErrorClass::Unavailable,
    }
}
