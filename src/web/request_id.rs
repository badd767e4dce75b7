//! The id that ties an answer to its log lines.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use tracing::Instrument;
use uuid::Uuid;

use super::error;

/// Carries the id.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const MAX_CHARS: usize = 64;

/// A request's id, from the caller if it is short and plain, else minted.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Puts a [`RequestId`] into the request and the answer.
pub async fn assign(mut request: Request, next: Next) -> Response {
    let id = RequestId(given(&request).unwrap_or_else(|| Uuid::now_v7().to_string()));
    request.extensions_mut().insert(id.clone());
    let span = tracing::info_span!("request", id = id.0);
    let answered = async { error::complete(next.run(request).await, &id) };
    let mut response = answered.instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

fn given(request: &Request) -> Option<String> {
    let id = request.headers().get(HEADER)?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (id.len() <= MAX_CHARS && !id.is_empty() && id.bytes().all(plain)).then(|| id.to_owned())
}
