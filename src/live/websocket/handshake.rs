//! The HTTP side of a WebSocket: what asks for one, and the answer that opens it (RFC 6455 §4.2).

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    model::Error,
    web::{error, request_id::RequestId},
};

/// A valid request for a socket.
pub struct Handshake {
    accept: String,
    upgrade: OnUpgrade,
}

impl Handshake {
    /// Takes it out of a request, if it is one.
    pub fn take(parts: &mut Parts) -> Option<Self> {
        let headers = &parts.headers;
        let version = headers.get(header::SEC_WEBSOCKET_VERSION)?.as_bytes() == b"13";
        let asks = names(headers, &header::UPGRADE, "websocket")
            && names(headers, &header::CONNECTION, "upgrade");
        let accept = derive_accept_key(headers.get(header::SEC_WEBSOCKET_KEY)?.as_bytes());
        let upgrade = parts.extensions.remove::<OnUpgrade>()?;
        (version && asks).then_some(Self { accept, upgrade })
    }

    /// The answer that opens the socket, and the socket's connection once that was sent. A client that
    /// offered a subprotocol gives up unless one is chosen.
    pub fn switch(self, subprotocol: Option<&'static str>) -> (Response, OnUpgrade) {
        let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        if let Ok(key) = HeaderValue::from_str(&self.accept) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
        }
        if let Some(name) = subprotocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
        }
        (response, self.upgrade)
    }
}

fn names(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// What a plain request is told (RFC 9110 §15.5.22).
pub fn upgrade_required(parts: &Parts) -> Response {
    let error = Error::invalid("this address speaks WebSocket: send an upgrade request");
    let mut response = error::render(&error, parts.extensions.get::<RequestId>());
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response
}
