//! Opening the socket, and reading a refusal by status, header and body.

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{
    handshake::client::Response,
    http::{HeaderMap, StatusCode},
};

use crate::{
    model::Clock,
    outbound::{class_of, retry_after},
    providers::{
        ProviderError,
        socket::{self, OPENING, Socket, Unopened},
    },
};

/// Connects within five seconds; returns the socket and Deepgram's request id.
pub(super) async fn connect(
    url: &Url,
    key: &SecretString,
) -> Result<(Socket, Option<String>), ProviderError> {
    let authorization = socket::authorization(&format!("Token {}", key.expose_secret()))?;
    match socket::dial(url, authorization, Instant::now() + OPENING).await {
        Ok((socket, response)) => Ok((socket, request_id(response.headers()))),
        Err(Unopened::Refused(response)) => Err(refused(&response, key)),
        Err(Unopened::Failed(error)) => Err(error),
    }
}

fn refused(response: &Response, key: &SecretString) -> ProviderError {
    let body = response.body().as_deref().unwrap_or_default();
    let mut error = judge(response.status(), response.headers(), body);
    // An answer that quotes what we sent must not carry our key into a log.
    error.detail = error.detail.replace(key.expose_secret(), "[redacted]");
    error.retry_after = retry_after(response.headers(), Clock.now());
    error
}

/// What Deepgram says in refusing a request: status, `dg-error`, and a body of one of three shapes.
pub(super) fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    let (code, detail) = explain(headers, body, status);
    let error = ProviderError::new(class_of(status), code, detail);
    ProviderError { request_id: request_id(headers), ..error }
}

fn explain(headers: &HeaderMap, body: &[u8], status: StatusCode) -> (String, String) {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let first = |names: &[&str]| {
        names.iter().find_map(|name| json.get(*name)?.as_str()).map(ToOwned::to_owned)
    };
    let code = first(&["err_code", "error_code", "category"])
        .unwrap_or_else(|| format!("http_{}", status.as_u16()));
    let told = headers.get("dg-error").and_then(|value| value.to_str().ok());
    let detail = first(&["err_msg", "message"])
        .or_else(|| told.map(ToOwned::to_owned))
        .unwrap_or_else(|| String::from_utf8_lossy(body).chars().take(200).collect());
    (code, detail)
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    headers.get("dg-request-id")?.to_str().ok().map(ToOwned::to_owned)
}
