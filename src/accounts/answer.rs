//! Answers that carry a secret, and bodies that could not be read.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    model::{Error, ErrorKind},
    web::{
        body::{JsonObject, Unreadable},
        error::Failure,
    },
};

/// An answer that nobody may keep, since whoever reads it can act as the caller.
pub(super) fn secret(status: StatusCode, body: impl Serialize) -> Response {
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The body, or a refusal in the contract's words for this route. One that is too large is told
/// so.
pub(super) fn readable(
    body: Result<JsonObject, Unreadable>,
    text: &'static str,
) -> Result<JsonObject, Failure> {
    body.map_err(|Unreadable(error)| match error.kind {
        ErrorKind::PayloadTooLarge => Failure(error),
        _ => Failure(Error::invalid(text)),
    })
}
