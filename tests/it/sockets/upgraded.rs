//! Socket.IO clients that begin with polling, as stock ones do: the connection that is cut is the
//! one they speak through, and never another that only carried their requests.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::raw_ws::{RawSocket, Received};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{now_ms, setup, token};
use crate::{
    harness::{SOON, TestApp},
    oracle,
};

const POLL: &str = "/socket.io/?EIO=4&transport=polling";

/// One connection for requests, as a proxy keeps it.
struct Http(TcpStream);

impl Http {
    async fn connect(app: &TestApp) -> Self {
        Self(TcpStream::connect(app.running.address).await.expect("connected"))
    }

    /// Asks for something; the status and the body of the answer.
    async fn ask(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.0.write_all(request.as_bytes()).await.expect("sent");
        timeout(SOON, self.answer()).await.expect("an answer in time")
    }

    async fn answer(&mut self) -> (u16, String) {
        let mut text = String::new();
        loop {
            let mut bytes = [0; 4096];
            let read = self.0.read(&mut bytes).await.expect("the connection lives");
            assert!(read > 0, "the connection was closed: {text}");
            text += std::str::from_utf8(&bytes[..read]).expect("text");
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let mut lengths = head.lines().filter_map(|line| line.strip_prefix("content-length: "));
            let length: usize = lengths.next().expect("a length").parse().expect("a number");
            if body.len() >= length {
                let status = head[9..12].parse().expect("a status");
                return (status, body.to_owned());
            }
        }
    }

    /// Opens a session by polling and enters the namespace; its path for requests, past the greeting.
    async fn enter(&mut self, token: &str) -> String {
        let (_, open) = self.ask("GET", POLL, "").await;
        let open: Value = serde_json::from_str(&open[1..]).expect("an open packet");
        let path = format!("{POLL}&sid={}", open["sid"].as_str().expect("a sid"));
        let connect = format!("40/audio-stream,{}", json!({ "token": token }));
        assert_eq!(self.ask("POST", &path, &connect).await.0, 200);
        let mut heard = String::new();
        while !heard.contains("\"connected\"") {
            heard += &self.ask("GET", &path, "").await.1;
        }
        path
    }

    async fn assert_alive(&mut self) {
        assert_eq!(self.ask("GET", "/health", "").await.0, 200, "this one was not to be cut");
    }
}

/// Goes over to a WebSocket on a connection of its own.
async fn upgrade(app: &TestApp, path: &str) -> RawSocket {
    let path = path.replace("transport=polling", "transport=websocket");
    let mut socket =
        RawSocket::connect(&format!("{}{path}", app.url()), &[]).await.expect("upgraded");
    socket.send_text("2probe").await.expect("sent");
    assert_eq!(socket.receive(SOON).await.expect("an answer"), Received::Text("3probe".into()));
    socket.send_text("5").await.expect("sent");
    socket
}

async fn assert_nobody_left(app: &TestApp) {
    let gone = async || app.metric("sockets", &[]) == 0;
    testkit::wait_until("no socket to be left", SOON, gone).await.expect("gone");
}

/// What was heard until the end, and when that came.
async fn hear_out(socket: &mut RawSocket) -> (String, u64) {
    let mut heard = String::new();
    while let Received::Text(text) = socket.receive(SOON).await.expect("an end") {
        heard += &text;
    }
    (heard, now_ms())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_ends_cuts_the_connection_that_is_spoken_through() {
    let (setup, tenant) = setup().await;
    let app = setup.start().await;
    let (token, end_ms) = token(&tenant, "auth0|ada", 2.0);
    let mut http = Http::connect(&app).await;
    let path = http.enter(&token).await;
    let mut socket = upgrade(&app, &path).await;
    // A further attempt is none: it must not be taken for the one that counts.
    let second = path.replace("transport=polling", "transport=websocket");
    drop(RawSocket::connect(&format!("{}{second}", app.url()), &[]).await.expect("answered"));
    let (heard, closed_ms) = hear_out(&mut socket).await;
    assert!(heard.contains("4003"), "{heard}");
    assert!((end_ms..=end_ms + 1300).contains(&closed_ms), "{closed_ms} {end_ms}");
    http.assert_alive().await;
    assert_nobody_left(&app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_only_polls_hears_that_its_session_is_over() {
    let (setup, tenant) = setup().await;
    let app = setup.start().await;
    let (token, end_ms) = token(&tenant, "auth0|ada", 2.0);
    let mut http = Http::connect(&app).await;
    let path = http.enter(&token).await;
    let mut heard = String::new();
    let last = loop {
        match http.ask("GET", &path, "").await {
            (200, body) => heard += &body,
            last => break last,
        }
    };
    assert_eq!(last.0, 400);
    let told: Value = serde_json::from_str(&last.1).expect("JSON");
    assert_eq!(told["message"], "Session ID unknown");
    assert!(heard.contains("4003") && !heard.contains("41/audio-stream"), "{heard}");
    assert!(now_ms() <= end_ms + 1300, "{} ms late", now_ms() - end_ms);
    http.assert_alive().await;
    assert_nobody_left(&app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_reaches_an_upgraded_client() {
    let app = oracle::numbered_app().await;
    let mut http = Http::connect(&app).await;
    let path = http.enter(&app.token()).await;
    let mut socket = upgrade(&app, &path).await;
    app.running.app.shutdown.soft().cancel();
    let (heard, _) = timeout(Duration::from_secs(2), hear_out(&mut socket)).await.expect("cut");
    assert!(heard.contains("4000"), "{heard}");
    // Connections that were of use end with a drain, and new ones are answered once.
    Http::connect(&app).await.assert_alive().await;
}
