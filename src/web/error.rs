//! The HTTP rendering of an error: status by its kind, body as old clients read it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Dialect, request_id::RequestId};
use crate::model::{Error, ErrorKind};

/// When a caller may try again, where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The status of each kind.
pub const fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::UnsupportedLanguage => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden | ErrorKind::PrincipalMismatch => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict | ErrorKind::IdempotencyInProgress => StatusCode::CONFLICT,
        ErrorKind::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::RateLimited | ErrorKind::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::ProviderRejected => StatusCode::BAD_GATEWAY,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Overloaded
        | ErrorKind::ProviderUnavailable
        | ErrorKind::DatabaseUnavailable
        | ErrorKind::DependencyUnavailable
        | ErrorKind::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// An error that a handler returns; its body is rendered where the request's id is known.
#[derive(Debug)]
pub struct Failure(pub Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = status(self.0.kind).into_response();
        response.extensions_mut().insert(Unrendered(Arc::new(self.0)));
        response
    }
}

/// An error on its way out that has no body yet.
#[derive(Clone, Debug)]
struct Unrendered(Arc<Error>);

/// Gives the body to what a handler failed with; other answers pass as they are.
pub(super) fn complete(mut response: Response, id: &RequestId) -> Response {
    let Some(Unrendered(error)) = response.extensions_mut().remove() else { return response };
    if let Some(source) = &error.source {
        tracing::warn!(request_id = id.0, code = error.kind.code(), "request failed: {source}");
    }
    let rendered = match response.extensions_mut().remove::<Dialect>() {
        Some(dialect) => respond(&error, dialect.body(&error), Some(id)),
        None => render(&error, Some(id)),
    };
    let (mut parts, body) = rendered.into_parts();
    let (before, _) = response.into_parts();
    let mut headers = before.headers;
    // Of the body that was not there yet.
    headers.remove(header::CONTENT_LENGTH);
    headers.extend(parts.headers);
    parts.headers = headers;
    Response::from_parts(parts, body)
}

/// Renders an error for the request of that id.
pub fn render(error: &Error, id: Option<&RequestId>) -> Response {
    respond(error, json!({ "error": error.detail }), id)
}

/// The body of an error, for answers that have begun already.
pub fn body(error: &Error, id: Option<&RequestId>) -> Value {
    told(error, json!({ "error": error.detail }), id)
}

/// Renders an error as `/api/*` does: its name under `error`, its text under `message`.
pub fn render_named(name: &str, error: &Error, id: Option<&RequestId>) -> Response {
    respond(error, json!({ "error": name, "message": error.detail }), id)
}

fn told(error: &Error, mut body: Value, id: Option<&RequestId>) -> Value {
    body["code"] = json!(error.kind.code());
    body["retryable"] = json!(error.kind.retryable());
    if let Some(id) = id {
        body["request_id"] = json!(id.0);
    }
    body
}

fn respond(error: &Error, body: Value, id: Option<&RequestId>) -> Response {
    let kind = error.kind;
    let body = told(error, body, id);
    let mut response = (status(kind), Json(body)).into_response();
    let headers = response.headers_mut();
    let usual = kind.retryable().then_some(RETRY_AFTER);
    if let Some(wait) = error.retry_after.or(usual) {
        // Rounded up: who comes back a moment early is refused again.
        let seconds = wait.as_secs_f64().ceil().max(1.0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds as u64));
    }
    if kind == ErrorKind::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"api\""));
    }
    response
}
