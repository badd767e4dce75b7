//! Both doors of any running service, with any credential.

use serde_json::{Value, json};
use testkit::{raw_ws::RawSocket, socketio};

use super::SOON;

/// A Socket.IO client in the namespace, past its greeting, which is returned too.
pub async fn socketio(url: &str, token: &str) -> anyhow::Result<(socketio::Client, Value)> {
    let auth = json!({ "token": token });
    let options =
        socketio::Options { namespace: "/audio-stream".into(), auth, ..Default::default() };
    let mut client = socketio::Client::connect(url, options).await?;
    let greeting = client.receive_event("connected", SOON).await?.json();
    Ok((client, greeting))
}

/// A raw WebSocket client, past its greeting, which is returned too.
pub async fn websocket(url: &str, token: &str) -> anyhow::Result<(RawSocket, Value)> {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let mut socket = RawSocket::connect(&format!("{url}/audio-stream"), &headers).await?;
    let greeting = socket.receive_json(SOON).await?;
    anyhow::ensure!(greeting["type"] == "connected", "greeted with {greeting}");
    Ok((socket, greeting))
}
