//! What a provider answers, within bounds.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{ErrorClass, ProviderError, Ticket};

/// How long an answer that comes in pieces may stand still.
const STILL: Duration = Duration::from_secs(60);

/// A whole answer, of a status that means success.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// Its body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ProviderError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| protocol(format!("not the expected JSON: {error}")))
    }

    /// A header that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// An answer whose body still comes.
#[derive(Debug)]
pub struct Opened {
    pub(super) response: reqwest::Response,
    pub(super) left_bytes: usize,
    /// Keeps the provider's gate informed until the first piece.
    pub(super) ticket: Ticket,
}

impl Opened {
    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next piece; nothing at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ProviderError> {
        let read = match timeout(STILL, self.response.chunk()).await {
            Ok(read) => read.map_err(|error| lost(&error)),
            Err(_) => Err(late("the answer stands still")),
        };
        let read = read.and_then(|piece| match piece {
            Some(piece) if piece.len() > self.left_bytes => Err(too_large()),
            piece => Ok(piece),
        });
        match &read {
            Ok(piece) => {
                self.ticket.answered();
                self.left_bytes -= piece.as_ref().map_or(0, Bytes::len);
            }
            Err(error) => self.ticket.failed(error),
        }
        read
    }
}

/// Reads a body of at most so many bytes.
pub(super) async fn read(
    response: &mut reqwest::Response,
    most_bytes: usize,
) -> Result<Bytes, ProviderError> {
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(|error| lost(&error))? {
        if body.len() + piece.len() > most_bytes {
            return Err(too_large());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// What came is not what the provider documents.
pub fn protocol(detail: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorClass::Protocol, "protocol", detail)
}

pub(super) fn late(detail: &str) -> ProviderError {
    ProviderError::new(ErrorClass::Timeout, "timeout", detail)
}

/// A connection that broke; the library's text names no secret, but a URL, which is left out.
pub(super) fn lost(error: &reqwest::Error) -> ProviderError {
    let (class, code) = match () {
        () if error.is_timeout() => (ErrorClass::Timeout, "timeout"),
        () if error.is_connect() => (ErrorClass::Unavailable, "unreachable"),
        () => (ErrorClass::Unavailable, "lost"),
    };
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    ProviderError::new(class, code, cause.to_string())
}

fn too_large() -> ProviderError {
    protocol("the answer is too large")
}
