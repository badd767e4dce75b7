//! The HTTP rendering of an error: status by its kind, body as old clients read it.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::request_id::RequestId;
use crate::model::{Error, ErrorKind};

/// Seconds after which a caller may try again, where nothing better is known.
const RETRY_AFTER_SECONDS: &str = "5";

/// The status of each kind.
pub const fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::UnsupportedLanguage => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::RateLimited | ErrorKind::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::ProviderRejected => StatusCode::BAD_GATEWAY,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Overloaded
        | ErrorKind::ProviderUnavailable
        | ErrorKind::DependencyUnavailable
        | ErrorKind::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Renders an error for the request of that id.
pub fn render(error: &Error, id: Option<&RequestId>) -> Response {
    let kind = error.kind;
    let mut body = json!({
        "error": error.detail,
        "code": kind.code(),
        "retryable": kind.retryable(),
    });
    if let Some(id) = id {
        body["request_id"] = json!(id.0);
    }
    let mut response = (status(kind), Json(body)).into_response();
    let headers = response.headers_mut();
    if kind.retryable() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    if kind == ErrorKind::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"api\""));
    }
    response
}
