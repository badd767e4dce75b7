//! Opening the socket, and reading a refusal by status, header and body.

use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{
        Error as WsError,
        client::IntoClientRequest,
        handshake::client::Response,
        http::{HeaderMap, HeaderValue, StatusCode, header},
        protocol::WebSocketConfig,
    },
};

use crate::providers::{ErrorClass, ProviderError};

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const DEADLINE: Duration = Duration::from_secs(5);
/// Transcripts are a kilobyte or two; anything of this size is not one.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Connects within five seconds; returns the socket and Deepgram's request id.
pub(super) async fn connect(
    url: &Url,
    key: &SecretString,
) -> Result<(Socket, Option<String>), ProviderError> {
    timeout(DEADLINE, dial(url, key)).await.unwrap_or_else(|_| {
        Err(ProviderError::new(
            ErrorClass::Timeout,
            "connect_timeout",
            "no answer to the handshake",
        ))
    })
}

async fn dial(url: &Url, key: &SecretString) -> Result<(Socket, Option<String>), ProviderError> {
    let unreachable = |error: std::io::Error| {
        ProviderError::new(ErrorClass::Unavailable, "connect", error.to_string())
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(443);
    let tcp = TcpStream::connect((host, port)).await.map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    let mut request = url.as_str().into_client_request().map_err(|error| refusal(error, key))?;
    request.headers_mut().insert(header::AUTHORIZATION, authorization(key)?);
    let (socket, response) = client_async_tls_with_config(request, tcp, Some(buffers()), None)
        .await
        .map_err(|error| refusal(error, key))?;
    Ok((socket, request_id(response.headers())))
}

fn authorization(key: &SecretString) -> Result<HeaderValue, ProviderError> {
    let mut value =
        HeaderValue::from_str(&format!("Token {}", key.expose_secret())).map_err(|_| {
            ProviderError::new(ErrorClass::Credentials, "bad_key", "the key is not a header value")
        })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Small buffers: tungstenite's own read buffer would cost 128 KiB a stream.
fn buffers() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(1024 * 1024)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

fn refusal(error: WsError, key: &SecretString) -> ProviderError {
    match error {
        WsError::Http(response) => refused(&response, key),
        other => ProviderError::new(ErrorClass::Unavailable, "handshake", other.to_string()),
    }
}

/// A failed upgrade carries a status, `dg-error`, and a body of one of three shapes.
fn refused(response: &Response, key: &SecretString) -> ProviderError {
    let status = response.status();
    let body = response.body().as_deref().unwrap_or_default();
    let (code, detail) = explain(response.headers(), body, status);
    // An answer that quotes what we sent must not carry our key into a log.
    let detail = detail.replace(key.expose_secret(), "[redacted]");
    let mut error = ProviderError::new(class_of(status), code, detail);
    error.request_id = request_id(response.headers());
    error.retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    error
}

fn class_of(status: StatusCode) -> ErrorClass {
    match status.as_u16() {
        401 | 403 => ErrorClass::Credentials,
        402 => ErrorClass::Payment,
        408 | 504 => ErrorClass::Timeout,
        429 => ErrorClass::RateLimited,
        400..=499 => ErrorClass::BadRequest,
        _ => ErrorClass::Unavailable,
    }
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
