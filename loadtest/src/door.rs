//! The two ways into the service, seen as one: requests to open, messages up, arrivals down.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::scenario::DoorKind;
use crate::socketio::{self, Frame};

/// What a message from the service means to a stream.
#[derive(Debug, PartialEq)]
pub(crate) enum Arrival {
    /// Something must be sent back at once.
    Reply(String),
    /// An event by its name.
    Event { name: String, payload: Value },
    /// Chunk `index` was accepted.
    Accepted { index: u64 },
    /// The service refused the stream.
    Rejected(String),
    /// The service closed the stream.
    Closed(String),
    /// Nothing of interest.
    Nothing,
}

/// Speaks one door's language with one credential.
#[derive(Debug)]
pub(crate) struct Door {
    kind: DoorKind,
    token: String,
}

impl Door {
    /// A door of this kind.
    pub(crate) fn new(kind: DoorKind, token: String) -> Self {
        Self { kind, token }
    }

    /// The WebSocket handshake; `url` is the service's http or https address.
    pub(crate) fn request(&self, url: &str, language: &str) -> Result<Request> {
        let base = url.trim_end_matches('/').replacen("http", "ws", 1);
        let path = match self.kind {
            DoorKind::Socketio => "/socket.io/?EIO=4&transport=websocket&lang=",
            DoorKind::Raw => "/audio-stream?lang=",
        };
        let mut request = format!("{base}{path}{language}")
            .into_client_request()
            .with_context(|| format!("{url} is no address of a service"))?;
        if self.kind == DoorKind::Raw {
            let bearer = HeaderValue::from_str(&format!("Bearer {}", self.token))?;
            request.headers_mut().insert(AUTHORIZATION, bearer);
        }
        Ok(request)
    }

    /// Announces a chunk, where the door wants that; the audio follows.
    pub(crate) fn chunk(&self, index: u64, audio: Bytes) -> Vec<Message> {
        match self.kind {
            DoorKind::Socketio => {
                vec![Message::text(socketio::chunk(index)), Message::binary(audio)]
            }
            DoorKind::Raw => vec![Message::binary(audio)],
        }
    }

    /// An event up, such as `stop_streaming`.
    pub(crate) fn event(&self, name: &str, payload: Option<&Value>) -> Message {
        Message::text(match self.kind {
            DoorKind::Socketio => socketio::event(name, payload),
            DoorKind::Raw => {
                let mut object = payload.cloned().unwrap_or_else(|| json!({}));
                object["type"] = json!(name);
                object.to_string()
            }
        })
    }

    /// Reads a message from the service.
    pub(crate) fn read(&self, message: &Message) -> Arrival {
        match message {
            Message::Close(Some(frame)) => {
                Arrival::Closed(format!("closed with {} {}", u16::from(frame.code), frame.reason))
            }
            Message::Close(None) => Arrival::Closed("closed without a code".to_owned()),
            Message::Text(text) => match self.kind {
                DoorKind::Socketio => self.read_frame(text),
                DoorKind::Raw => read_object(text),
            },
            _ => Arrival::Nothing,
        }
    }

    fn read_frame(&self, text: &str) -> Arrival {
        match socketio::read(text) {
            Frame::Open => Arrival::Reply(socketio::connect(&self.token)),
            Frame::Ping => Arrival::Reply(socketio::PONG.to_owned()),
            Frame::Event { name, payload } => Arrival::Event { name, payload },
            Frame::Ack { id } => Arrival::Accepted { index: id },
            Frame::Rejected(message) => Arrival::Rejected(message),
            Frame::Closed => Arrival::Closed("the service left the namespace".to_owned()),
            Frame::Other => Arrival::Nothing,
        }
    }
}

fn read_object(text: &str) -> Arrival {
    let Ok(payload) = serde_json::from_str::<Value>(text) else { return Arrival::Nothing };
    match payload["type"].as_str() {
        Some(name) => Arrival::Event { name: name.to_owned(), payload },
        None => Arrival::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_websocket_addresses() {
        let door = Door::new(DoorKind::Socketio, "t".to_owned());
        let request = door.request("https://host/", "it").unwrap();
        assert_eq!(request.uri(), "wss://host/socket.io/?EIO=4&transport=websocket&lang=it");
        assert_eq!(request.headers().get(AUTHORIZATION), None);
        let raw = Door::new(DoorKind::Raw, "t".to_owned()).request("http://h:1", "en").unwrap();
        assert_eq!(raw.uri(), "ws://h:1/audio-stream?lang=en");
        assert_eq!(raw.headers()[AUTHORIZATION], "Bearer t");
    }

    #[test]
    fn the_raw_door_wraps_events_in_one_object() {
        let door = Door::new(DoorKind::Raw, String::new());
        let message = door.event("start_streaming", Some(&json!({"diarize": true})));
        let sent: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        assert_eq!(sent, json!({"type": "start_streaming", "diarize": true}));
    }
}
