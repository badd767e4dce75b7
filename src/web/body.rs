//! Bodies of requests, read within bounds and refused in the contract's words.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, OptionalFromRequest, Request},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, StreamExt};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::error::Failure;
use crate::model::{Error, ErrorKind};

/// What is read of a body that is refused, and for how long.
const DRAINED_BYTES: usize = 64 * 1024 * 1024;
const DRAINED: Duration = Duration::from_secs(2);
/// The largest JSON body, in bytes.
pub const MAX_JSON_BYTES: usize = 1024 * 1024;

/// A JSON object. What else a body may be is refused, so that handlers look at fields only.
#[derive(Debug)]
pub struct JsonObject(pub Map<String, Value>);

impl JsonObject {
    /// A field that is text, trimmed of nothing.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }
}

/// Why a body is no JSON object.
#[derive(Debug)]
pub struct Unreadable(pub Error);

impl IntoResponse for Unreadable {
    fn into_response(self) -> Response {
        Failure(self.0).into_response()
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonObject {
    type Rejection = Unreadable;

    async fn from_request(request: Request, state: &S) -> Result<Self, Unreadable> {
        check_type(request.headers())?;
        parse(&read(request, state).await?)
    }
}

/// No body at all is no object; anything else has to be one.
impl<S: Send + Sync> OptionalFromRequest<S> for JsonObject {
    type Rejection = Unreadable;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Unreadable> {
        let of_type = check_type(request.headers());
        let bytes = read(request, state).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        of_type?;
        parse(&bytes).map(Some)
    }
}

/// Reads on what nobody wants, for a moment: closing the connection on a client that still sends
/// would take the answer from it.
pub async fn drain<E>(mut body: impl Stream<Item = Result<Bytes, E>> + Unpin) {
    let read = async {
        let mut left = DRAINED_BYTES;
        while let Some(Ok(piece)) = body.next().await {
            left = left.saturating_sub(piece.len());
            if left == 0 {
                return;
            }
        }
    };
    // Who still sends after that is cut off.
    let _ended = timeout(DRAINED, read).await;
}

fn check_type(headers: &HeaderMap) -> Result<(), Unreadable> {
    if headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
        return Ok(());
    }
    let text = "Did not attempt to load JSON data because the request Content-Type was not \
                'application/json'.";
    Err(Unreadable(Error::new(ErrorKind::UnsupportedMedia, text)))
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Unreadable> {
    let request = request.map(|body| Body::new(http_body_util::Limited::new(body, MAX_JSON_BYTES)));
    Bytes::from_request(request, state).await.map_err(|rejection| {
        Unreadable(match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Error::new(
                ErrorKind::PayloadTooLarge,
                "The data value transmitted exceeds the capacity limit.",
            ),
            _ => malformed(),
        })
    })
}

fn parse(bytes: &[u8]) -> Result<JsonObject, Unreadable> {
    serde_json::from_slice(bytes).map(JsonObject).map_err(|_| Unreadable(malformed()))
}

fn is_json(value: &header::HeaderValue) -> bool {
    let kind = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}

fn malformed() -> Error {
    let text = "The browser (or proxy) sent a request that this server could not understand.";
    Error::invalid(text)
}
