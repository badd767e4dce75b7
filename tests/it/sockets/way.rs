//! Every way in which a ticket opens a socket.

use anyhow::bail;
use serde_json::{Value, json};
use testkit::{
    raw_ws::{RawSocket, Refused},
    socketio::{self, ConnectError},
};

use crate::oracle::SOON;

/// Where a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    WebSocketQuery,
    WebSocketProtocol,
    SocketIoQuery,
    SocketIoPayload,
    Polling,
}

/// How somebody was refused: by a status, or by the one sentence of Socket.IO.
pub const REJECTED: &str = "Connection rejected by server";

impl Way {
    pub const ALL: [Self; 5] = [
        Self::WebSocketQuery,
        Self::WebSocketProtocol,
        Self::SocketIoQuery,
        Self::SocketIoPayload,
        Self::Polling,
    ];

    /// Opens a socket with that ticket; the refusal's status and code, or Socket.IO's sentence.
    pub async fn open(self, url: &str, ticket: &str) -> Result<(), String> {
        match self {
            Self::WebSocketQuery => raw(&format!("{url}/audio-stream?ticket={ticket}"), &[]).await,
            Self::WebSocketProtocol => {
                let offered = format!("ticket, {ticket}");
                let headers = [("sec-websocket-protocol", offered.as_str())];
                raw(&format!("{url}/audio-stream"), &headers).await
            }
            Self::SocketIoQuery => {
                let query = vec![("ticket".to_owned(), ticket.to_owned())];
                namespace(url, Value::Null, query).await
            }
            Self::SocketIoPayload => namespace(url, json!({ "ticket": ticket }), vec![]).await,
            Self::Polling => polling(url, ticket).await.map_err(|error| error.to_string()),
        }
    }

    /// What somebody is told there who is refused with that status and code.
    pub fn refusal(self, status: u16, code: &str) -> String {
        match self {
            Self::WebSocketQuery | Self::WebSocketProtocol => format!("{status} {code}"),
            _ => REJECTED.to_owned(),
        }
    }
}

async fn raw(url: &str, headers: &[(&str, &str)]) -> Result<(), String> {
    match RawSocket::connect(url, headers).await {
        Ok(mut socket) => {
            let offered = headers.first().map(|_| "ticket");
            assert_eq!(socket.header("sec-websocket-protocol"), offered, "chosen as offered");
            let greeting = socket.receive_json(SOON).await.expect("greeted");
            assert_eq!(greeting["type"], "connected");
            Ok(())
        }
        Err(error) => {
            let refused: &Refused = error.downcast_ref().expect("an answer");
            let body: Value = serde_json::from_str(&refused.body).expect("JSON");
            Err(format!("{} {}", refused.status, body["code"].as_str().expect("a code")))
        }
    }
}

async fn namespace(url: &str, auth: Value, query: Vec<(String, String)>) -> Result<(), String> {
    let namespace = "/audio-stream".into();
    let options = socketio::Options { namespace, auth, query, ..Default::default() };
    match socketio::Client::connect(url, options).await {
        Ok(mut client) => {
            client.receive_event("connected", SOON).await.expect("greeted");
            Ok(())
        }
        Err(error) => {
            let ConnectError(told) = error.downcast_ref().expect("a connect_error");
            Err(told["message"].as_str().expect("a message").to_owned())
        }
    }
}

/// Several requests with one query, as a client without WebSocket makes them.
async fn polling(url: &str, ticket: &str) -> anyhow::Result<()> {
    let http = reqwest::Client::new();
    let base = format!("{url}/socket.io/?EIO=4&transport=polling&ticket={ticket}");
    let open = http.get(&base).send().await?.error_for_status()?.text().await?;
    let open: Value = serde_json::from_str(open.trim_start_matches('0'))?;
    let session = format!("{base}&sid={}", open["sid"].as_str().expect("a sid"));
    http.post(&session).body("40/audio-stream,").send().await?.error_for_status()?;
    let mut answer = String::new();
    while !answer.contains("/audio-stream,") {
        answer = http.get(&session).send().await?.error_for_status()?.text().await?;
        if answer.split('\u{1e}').any(|packet| packet == "2") {
            http.post(&session).body("3").send().await?.error_for_status()?;
        }
    }
    if answer.contains("44/audio-stream,") {
        assert!(answer.contains(REJECTED), "{answer}");
        bail!(REJECTED);
    }
    assert!(answer.contains("40/audio-stream,"), "{answer}");
    Ok(())
}
