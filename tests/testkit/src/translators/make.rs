//! A webhook of Make.com.

use axum::{
    body::Bytes,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde_json::Value;

use super::{Request, Shared};

pub(super) async fn receive(
    State(state): State<Shared>,
    headers: HeaderMap,
    raw: Bytes,
) -> Response {
    let fields = form_urlencoded::parse(&raw).into_owned();
    let body = Value::Object(fields.map(|(name, text)| (name, text.into())).collect());
    match state.note(Request { provider: "make", headers, body, raw: raw.to_vec() }).await {
        Ok(_) => "Accepted".into_response(),
        Err(refused) => refused,
    }
}
