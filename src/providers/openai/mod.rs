//! OpenAI's REST API.
//!
//! Wire facts: <https://platform.openai.com/docs/api-reference>.

pub mod transcription;

use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::{ErrorClass, ProviderError};
use crate::outbound::class_of;

/// The codes of an account without credit, which is told as too many requests.
const WITHOUT_CREDIT: [&str; 3] =
    ["insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached"];

/// What OpenAI says in refusing a request; those that speak its language say the same.
pub fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body["error"][name].as_str().map(ToOwned::to_owned);
    let code = text("code").or_else(|| text("type"));
    let code = code.unwrap_or_else(|| format!("http_{}", status.as_u16()));
    let class = match class_of(status) {
        ErrorClass::RateLimited if WITHOUT_CREDIT.contains(&code.as_str()) => ErrorClass::Payment,
        ErrorClass::BadRequest if code == "model_not_found" => ErrorClass::BadRequest,
        class => class,
    };
    let detail = text("message").unwrap_or_else(|| format!("status {status}"));
    let error = ProviderError::new(class, code, detail);
    let id = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    ProviderError { request_id: id.map(ToOwned::to_owned), ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_without_credit_is_not_a_busy_one() {
        let of = |status, body: &str| {
            judge(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes()).class
        };
        let quota = r#"{"error":{"message":"m","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
        assert_eq!(of(429, quota), ErrorClass::Payment);
        let busy = r#"{"error":{"message":"m","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
        assert_eq!(of(429, busy), ErrorClass::RateLimited);
        assert_eq!(of(401, "{}"), ErrorClass::Credentials);
        assert_eq!(of(400, "not json"), ErrorClass::BadRequest);
        assert_eq!(of(503, ""), ErrorClass::Unavailable);
    }
}
