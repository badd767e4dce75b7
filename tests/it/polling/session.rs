//! A client that polls, and chooses for each request the replica that gets it.

use serde_json::{Value, json};
use testkit::raw_ws::{RawSocket, Received};

use super::KEY;
use crate::harness::{LONG, SOON};

/// An Engine.IO session; cheap to clone.
#[derive(Clone)]
pub struct Session {
    http: reqwest::Client,
    pub sid: String,
}

impl Session {
    /// Opens a session.
    pub async fn open(url: &str) -> Self {
        let http = reqwest::Client::builder().timeout(LONG).build().expect("a client");
        let path = format!("{url}/socket.io/?EIO=4&transport=polling");
        let opened = http.get(path).send().await.expect("an answer").text().await.expect("text");
        let opened: Value = serde_json::from_str(&opened[1..]).expect("an open packet");
        Self { http, sid: opened["sid"].as_str().expect("a sid").to_owned() }
    }

    /// One with that id, whatever it is.
    pub fn of(sid: &str) -> Self {
        Self { http: reqwest::Client::new(), sid: sid.to_owned() }
    }

    /// Enters the namespace past the greeting: asks at one address, hears at the other.
    pub async fn enter(&self, asking: &str, hearing: &str) {
        let connect = format!("40/audio-stream,{}", json!({ "token": KEY }));
        assert_eq!(self.post(asking, &connect).await, (200, "ok".to_owned()));
        let mut heard = String::new();
        while !heard.contains("\"connected\"") {
            let (status, body) = self.poll(hearing).await;
            assert_eq!(status, 200, "{body}");
            heard += &body;
        }
    }

    /// Says something at that address.
    pub async fn post(&self, url: &str, body: &str) -> (u16, String) {
        answer(self.http.post(self.path(url, "polling")).body(body.to_owned())).await
    }

    /// Hears something there.
    pub async fn poll(&self, url: &str) -> (u16, String) {
        answer(self.http.get(self.path(url, "polling"))).await
    }

    /// Goes over to a WebSocket there, without a word yet.
    pub async fn connect(&self, url: &str) -> anyhow::Result<RawSocket> {
        RawSocket::connect(&self.path(url, "websocket"), &[]).await
    }

    /// Goes over to a WebSocket there.
    pub async fn upgrade(&self, url: &str) -> RawSocket {
        let mut socket = self.connect(url).await.expect("upgraded");
        socket.send_text("2probe").await.expect("sent");
        let answer = socket.receive(SOON).await.expect("an answer");
        assert_eq!(answer, Received::Text("3probe".into()));
        socket.send_text("5").await.expect("sent");
        socket
    }

    fn path(&self, url: &str, transport: &str) -> String {
        format!("{url}/socket.io/?EIO=4&transport={transport}&sid={}", self.sid)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, String) {
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

/// Reads until the connection is over; a line for each packet.
pub async fn hear_out(socket: &mut RawSocket) -> String {
    let mut heard = String::new();
    while let Received::Text(text) = socket.receive(SOON).await.expect("an end") {
        heard += &text;
        heard.push('\n');
    }
    heard
}
