//! A thin WebSocket client with headers, for `/audio-stream`, `/v1/listen` and malformed input.

use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

/// How long a handshake or a write may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A failed handshake: the status and the body that came instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "refused with {}: {}", self.status, self.body)
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What a socket gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// The peer's close frame; code 1005 stands for none.
    Closed(u16, String),
    /// The end without a close frame, and why.
    Gone(String),
}

/// An open WebSocket to a plain `ws://` or `http://` address.
#[derive(Debug)]
pub struct RawSocket {
    ws: WebSocketStream<TcpStream>,
    headers: Vec<(String, String)>,
}

impl RawSocket {
    /// Connects; a refusal is a [`Refused`] that `downcast_ref` finds.
    pub async fn connect(url: &str, headers: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::connect_narrow(url, headers, None).await
    }

    /// Connects with a small receive buffer, so that a reader that pauses is soon felt by the peer.
    pub async fn connect_narrow(
        url: &str,
        headers: &[(&str, &str)],
        receive_buffer_bytes: Option<u32>,
    ) -> anyhow::Result<Self> {
        let url = url.replacen("http://", "ws://", 1);
        let mut request = url.as_str().into_client_request()?;
        for (name, value) in headers {
            let name: HeaderName = name.parse()?;
            request.headers_mut().append(name, HeaderValue::from_str(value)?);
        }
        let host = request.uri().host().context("no host")?;
        let port = request.uri().port_u16().unwrap_or(80);
        let stream = timeout(PATIENCE, connect_tcp(host, port, receive_buffer_bytes)).await??;
        stream.set_nodelay(true)?;
        match timeout(PATIENCE, tokio_tungstenite::client_async(request, stream)).await? {
            Ok((ws, answer)) => Ok(Self { ws, headers: header_pairs(&answer) }),
            Err(Error::Http(answer)) => Err(refused(&answer).into()),
            Err(error) => Err(error.into()),
        }
    }

    /// A header of the 101 answer by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Sends a text message.
    pub async fn send_text(&mut self, text: &str) -> anyhow::Result<()> {
        self.send(Message::text(text)).await
    }

    /// Sends a JSON message.
    pub async fn send_json(&mut self, json: &Value) -> anyhow::Result<()> {
        self.send_text(&json.to_string()).await
    }

    /// Sends a binary message.
    pub async fn send_binary(&mut self, bytes: impl Into<Vec<u8>>) -> anyhow::Result<()> {
        self.send(Message::binary(bytes.into())).await
    }

    /// Sends any message, pings among them.
    pub async fn send(&mut self, message: Message) -> anyhow::Result<()> {
        Ok(timeout(PATIENCE, self.ws.send(message)).await.context("peer reads nothing")??)
    }

    /// Writes bytes below the WebSocket layer, such as a frame that breaks the protocol.
    pub async fn send_raw_bytes(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(timeout(PATIENCE, self.ws.get_mut().write_all(bytes)).await??)
    }

    /// The next text, binary or end; pings are answered unseen. An error after `deadline`.
    pub async fn receive(&mut self, deadline: Duration) -> anyhow::Result<Received> {
        let next = async {
            loop {
                match self.ws.next().await {
                    Some(Ok(Message::Text(text))) => return Received::Text(text.to_string()),
                    Some(Ok(Message::Binary(bytes))) => return Received::Binary(bytes.to_vec()),
                    Some(Ok(Message::Close(frame))) => {
                        // The answer goes out now; a peer that is gone already needs none.
                        drop(self.ws.flush().await);
                        return closed(frame);
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Received::Gone(error.to_string()),
                    None => return Received::Gone("end of stream".to_owned()),
                }
            }
        };
        timeout(deadline, next).await.with_context(|| format!("nothing came in {deadline:?}"))
    }

    /// The next message as JSON; binary messages and ends are errors.
    pub async fn receive_json(&mut self, deadline: Duration) -> anyhow::Result<Value> {
        match self.receive(deadline).await? {
            Received::Text(text) => Ok(serde_json::from_str(&text)?),
            other => bail!("no JSON: {other:?}"),
        }
    }

    /// Reads JSON messages until one fits; what came before is dropped.
    pub async fn receive_until(
        &mut self,
        deadline: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let until = tokio::time::Instant::now() + deadline;
        loop {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            let json = self.receive_json(left).await?;
            if fits(&json) {
                return Ok(json);
            }
        }
    }

    /// Reads to the end: every JSON message, and how it ended.
    pub async fn drain(&mut self, deadline: Duration) -> anyhow::Result<(Vec<Value>, Received)> {
        let until = tokio::time::Instant::now() + deadline;
        let mut messages = Vec::new();
        loop {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            match self.receive(left).await? {
                Received::Text(text) => messages.push(serde_json::from_str(&text)?),
                Received::Binary(_) => {}
                end => return Ok((messages, end)),
            }
        }
    }

    /// Sends a close frame and waits for the end.
    pub async fn close(&mut self, code: u16, reason: &str) -> anyhow::Result<()> {
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
        timeout(PATIENCE, self.ws.close(Some(frame))).await??;
        while timeout(PATIENCE, self.ws.next()).await?.is_some_and(|message| message.is_ok()) {}
        Ok(())
    }

    /// Makes reads lag: nothing is read for `time`, and pings stay unanswered.
    pub async fn stop_reading(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// The stream underneath, for clients that read and write at once.
    pub(crate) fn into_stream(self) -> WebSocketStream<TcpStream> {
        self.ws
    }

    /// Cuts the TCP connection with a reset.
    pub fn reset(self) -> anyhow::Result<()> {
        Ok(self.ws.get_ref().set_zero_linger()?)
    }
}

async fn connect_tcp(
    host: &str,
    port: u16,
    buffer_bytes: Option<u32>,
) -> anyhow::Result<TcpStream> {
    let mut addresses = tokio::net::lookup_host((host, port)).await?;
    let address = addresses.next().context("no address")?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(bytes) = buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    Ok(socket.connect(address).await?)
}

fn closed(frame: Option<CloseFrame>) -> Received {
    frame.map_or(Received::Closed(1005, String::new()), |frame| {
        Received::Closed(frame.code.into(), frame.reason.to_string())
    })
}

fn refused(answer: &Response<Option<Vec<u8>>>) -> Refused {
    let body = answer.body().as_deref().unwrap_or_default();
    Refused {
        status: answer.status().as_u16(),
        headers: header_pairs(answer),
        body: String::from_utf8_lossy(body).into_owned(),
    }
}

fn header_pairs<T>(answer: &Response<T>) -> Vec<(String, String)> {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    answer.headers().iter().map(pair).collect()
}
