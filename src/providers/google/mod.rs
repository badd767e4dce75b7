//! Google Cloud Translation with a service account.
//!
//! Wire facts: <https://cloud.google.com/translate/docs/reference/rest>,
//! <https://developers.google.com/identity/protocols/oauth2/service-account>.

mod account;
mod markup;
mod translation;

use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

pub use account::Account;
pub use translation::{Edition, Translation};

use super::{ErrorClass, ProviderError};
use crate::outbound::class_of;

/// Its name in metrics and rows of usage.
pub const PROVIDER: &str = "google";
/// Reasons of a 403 that is a limit.
const LIMITS: [&str; 4] =
    ["rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded", "quotaExceeded"];

/// What Google says in refusing a request.
pub fn judge(status: StatusCode, _: &HeaderMap, body: &[u8]) -> ProviderError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &body["error"];
    // The token's endpoint tells an error by its name alone (RFC 6749 §5.2).
    if let Some(code) = error.as_str() {
        let detail = body["error_description"].as_str().unwrap_or(code);
        let class = match class_of(status) {
            ErrorClass::BadRequest => ErrorClass::Credentials,
            class => class,
        };
        return ProviderError::new(class, code, detail);
    }
    let reason = error["errors"][0]["reason"].as_str();
    let class = match reason {
        Some(reason) if LIMITS.contains(&reason) => ErrorClass::RateLimited,
        _ => class_of(status),
    };
    let code = reason.or_else(|| error["status"].as_str());
    let code = code.map_or_else(|| format!("http_{}", status.as_u16()), str::to_owned);
    let detail = error["message"].as_str();
    ProviderError::new(
        class,
        code,
        detail.map_or_else(|| format!("status {status}"), str::to_owned),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_as_forbidden_and_is_none() {
        let of = |status, body: &str| {
            let error =
                judge(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes());
            (error.class, error.code)
        };
        let limit = r#"{"error":{"code":403,"message":"User Rate Limit Exceeded","errors":[{"reason":"userRateLimitExceeded"}]}}"#;
        assert_eq!(of(403, limit), (ErrorClass::RateLimited, "userRateLimitExceeded".into()));
        let denied = r#"{"error":{"code":403,"message":"m","status":"PERMISSION_DENIED"}}"#;
        assert_eq!(of(403, denied), (ErrorClass::Credentials, "PERMISSION_DENIED".into()));
        let grant = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
        assert_eq!(of(400, grant), (ErrorClass::Credentials, "invalid_grant".into()));
        assert_eq!(of(400, "{}").0, ErrorClass::BadRequest);
    }
}
