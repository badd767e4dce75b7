//! Opening a session: the upgrade, then its `Begin`.

use futures_util::StreamExt;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::{Message as Frame, handshake::client::Response};

use super::{
    closing,
    message::{self, Message},
};
use crate::{
    model::Clock,
    outbound::{class_of, retry_after},
    providers::{
        ErrorClass, ProviderError,
        socket::{self, OPENING, Socket, Unopened},
    },
};

/// Opens sessions at one address.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    pub(super) url: Url,
    pub(super) key: SecretString,
}

impl Dialer {
    /// Opens a session within five seconds; returns its id too.
    pub(super) async fn dial(&self) -> Result<(Socket, String), ProviderError> {
        let deadline = Instant::now() + OPENING;
        let authorization = socket::authorization(self.key.expose_secret())?;
        let opened = match socket::dial(&self.url, authorization, deadline).await {
            Ok((socket, _)) => begun(socket, deadline).await,
            Err(Unopened::Refused(response)) => Err(refused(&response)),
            Err(Unopened::Failed(error)) => Err(error),
        };
        opened.map_err(|error| self.redacted(error))
    }

    /// An answer that quotes what we sent must not carry our key into a log.
    pub(super) fn redacted(&self, error: ProviderError) -> ProviderError {
        let detail = error.detail.replace(self.key.expose_secret(), "[redacted]");
        ProviderError { detail, ..error }
    }
}

/// A bad key is told after the upgrade, in place of `Begin`.
async fn begun(mut socket: Socket, deadline: Instant) -> Result<(Socket, String), ProviderError> {
    loop {
        let Ok(frame) = timeout_at(deadline, socket.next()).await else {
            let detail = "no answer to the handshake";
            return Err(ProviderError::new(ErrorClass::Timeout, "connect_timeout", detail));
        };
        match frame {
            Some(Ok(Frame::Text(text))) => match message::parse(&text) {
                Ok(Message::Begin { id }) => return Ok((socket, id)),
                Ok(Message::Error { error_code, error }) => return Err(told(error_code, &error)),
                Ok(_) | Err(_) => {}
            },
            Some(Ok(Frame::Close(frame))) => return Err(closing::closed(frame.as_ref())),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(lost(&error.to_string())),
            None => return Err(lost("the connection ended")),
        }
    }
}

/// What an `Error` message means.
pub(super) fn told(code: Option<u16>, words: &str) -> ProviderError {
    match code {
        Some(code) => closing::failure(code, words),
        None => ProviderError::new(ErrorClass::Unavailable, "error", words),
    }
}

/// A connection that ended without a close.
pub(super) fn lost(detail: &str) -> ProviderError {
    ProviderError::new(ErrorClass::Unavailable, "lost", detail)
}

/// A refused upgrade carries a status, and sometimes a sentence as JSON.
fn refused(response: &Response) -> ProviderError {
    let (status, body) = (response.status(), response.body().as_deref().unwrap_or_default());
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let sentence = json.get("error").and_then(|error| error.as_str()).map(ToOwned::to_owned);
    let detail = sentence
        .unwrap_or_else(|| String::from_utf8_lossy(body).chars().take(200).collect::<String>());
    // An account without credit is refused as a bad request.
    let empty = status.as_u16() == 400 && detail.to_ascii_lowercase().contains("balance");
    let class = if empty { ErrorClass::Payment } else { class_of(status) };
    let mut error = ProviderError::new(class, format!("http_{}", status.as_u16()), detail);
    error.retry_after = retry_after(response.headers(), Clock.now());
    error
}
