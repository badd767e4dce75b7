//! A Socket.IO client that speaks raw frames over a WebSocket, for tests.

mod packet;

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::time::Instant;

pub use packet::Packet;

use crate::raw_ws::{RawSocket, Received};

/// How long opening may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How to open a connection.
#[derive(Clone, Debug)]
pub struct Options {
    /// The namespace. Default `/`.
    pub namespace: String,
    /// The auth payload; `Null` sends none.
    pub auth: Value,
    /// Headers of the handshake.
    pub headers: Vec<(String, String)>,
    /// Further query parameters, such as `lang`.
    pub query: Vec<(String, String)>,
    /// The Engine.IO path. Default `/socket.io/`.
    pub path: String,
    /// A small TCP receive buffer, so that a reader that pauses is soon felt by the server.
    pub receive_buffer_bytes: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: "/".to_owned(),
            auth: Value::Null,
            headers: Vec::new(),
            query: Vec::new(),
            path: "/socket.io/".to_owned(),
            receive_buffer_bytes: None,
        }
    }
}

/// An event or an acknowledgement.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its name; empty for an acknowledgement.
    pub name: String,
    /// The arguments after the name; attachments stand in them as placeholders.
    pub arguments: Vec<Value>,
    /// Binary attachments, by number.
    pub attachments: Vec<Vec<u8>>,
    /// The id that it acknowledges, or asks to have acknowledged.
    pub ack: Option<u64>,
    /// When it was read.
    pub received_at: std::time::Instant,
}

impl Event {
    /// The first argument, or `Null`.
    pub fn json(&self) -> Value {
        self.arguments.first().cloned().unwrap_or_default()
    }
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// An event.
    Event(Event),
    /// An acknowledgement of something this client emitted.
    Ack(Event),
    /// The server closed the namespace: a stock client stays away.
    Disconnected,
    /// The transport ended: a stock client reconnects. Code 1005 stands for none, 1006 for no close
    /// frame.
    Closed(u16, String),
}

/// The server's refusal of a namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectError(pub Value);

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "connect_error {}", self.0)
    }
}

impl std::error::Error for ConnectError {}

/// A connected client. It answers pings only while it is being read from.
#[derive(Debug)]
pub struct Client {
    socket: RawSocket,
    namespace: String,
    /// The socket's id in the namespace.
    pub sid: String,
    /// What the server said when the transport opened: `sid`, `pingInterval`, `maxPayload` …
    pub open: Value,
    next_ack: u64,
    pending: VecDeque<Heard>,
}

impl Client {
    /// Connects to `http://host:port` and into a namespace. A refusal is a [`ConnectError`], a
    /// failed handshake a [`crate::raw_ws::Refused`]; `downcast_ref` finds either.
    pub async fn connect(url: &str, options: Options) -> anyhow::Result<Self> {
        let mut client = Self::open(url, &options).await?;
        let packet = Packet::Connect(options.namespace.clone(), options.auth);
        client.socket.send_text(&packet.encode()).await?;
        let until = Instant::now() + PATIENCE;
        loop {
            match client.packet(until).await? {
                (Packet::Connect(name, answer), _) if name == options.namespace => {
                    answer["sid"].as_str().unwrap_or_default().clone_into(&mut client.sid);
                    return Ok(client);
                }
                (Packet::ConnectError(_, error), _) => return Err(ConnectError(error).into()),
                // Events may overtake the answer.
                (packet, attachments) => client.keep(packet, attachments)?,
            }
        }
    }

    /// Opens the transport only, without entering a namespace: for malformed first packets.
    pub async fn open(url: &str, options: &Options) -> anyhow::Result<Self> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("EIO", "4"), ("transport", "websocket")])
            .extend_pairs(&options.query)
            .finish();
        let url = format!("{}{}?{query}", url.trim_end_matches('/'), options.path);
        let headers: Vec<_> =
            options.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut socket =
            RawSocket::connect_narrow(&url, &headers, options.receive_buffer_bytes).await?;
        let open = match socket.receive(PATIENCE).await? {
            Received::Text(text) => text,
            other => bail!("no open packet: {other:?}"),
        };
        let open = serde_json::from_str(open.strip_prefix('0').context("no open packet")?)?;
        let (namespace, sid, pending) = (options.namespace.clone(), String::new(), VecDeque::new());
        Ok(Self { socket, namespace, sid, open, next_ack: 0, pending })
    }

    /// Emits an event with JSON arguments.
    pub async fn emit(&mut self, name: &str, arguments: &[Value]) -> anyhow::Result<()> {
        self.send_event(name, arguments, &[], None).await
    }

    /// Emits an event with one argument per attachment, as `emit(name, buffer)` does.
    pub async fn emit_binary(&mut self, name: &str, attachments: &[&[u8]]) -> anyhow::Result<()> {
        let arguments: Vec<_> = (0..attachments.len()).map(placeholder).collect();
        self.send_event(name, &arguments, attachments, None).await
    }

    /// Emits an event and asks for an acknowledgement; its id.
    pub async fn emit_with_ack(&mut self, name: &str, arguments: &[Value]) -> anyhow::Result<u64> {
        self.next_ack += 1;
        let id = self.next_ack;
        self.send_event(name, arguments, &[], Some(id)).await?;
        Ok(id)
    }

    /// Emits an event whose arguments hold [`placeholder`]s for attachments.
    pub async fn send_event(
        &mut self,
        name: &str,
        arguments: &[Value],
        attachments: &[&[u8]],
        ack: Option<u64>,
    ) -> anyhow::Result<()> {
        let mut all = vec![json!(name)];
        all.extend_from_slice(arguments);
        let packet = Packet::Event(self.namespace.clone(), ack, all.into(), attachments.len());
        self.socket.send_text(&packet.encode()).await?;
        for attachment in attachments {
            self.socket.send_binary(*attachment).await?;
        }
        Ok(())
    }

    /// Answers an event that asked for an acknowledgement.
    pub async fn acknowledge(&mut self, id: u64, arguments: &[Value]) -> anyhow::Result<()> {
        let packet = Packet::Ack(self.namespace.clone(), id, arguments.into(), 0);
        self.socket.send_text(&packet.encode()).await
    }

    /// The next thing told; pings are answered unseen. An error after `deadline`.
    pub async fn receive(&mut self, deadline: Duration) -> anyhow::Result<Heard> {
        let until = Instant::now() + deadline;
        loop {
            if let Some(heard) = self.pending.pop_front() {
                return Ok(heard);
            }
            match self.packet(until).await {
                Ok((packet, attachments)) => self.keep(packet, attachments)?,
                Err(error) => match error.downcast_ref::<TransportEnd>() {
                    Some(TransportEnd(code, reason)) => {
                        return Ok(Heard::Closed(*code, reason.clone()));
                    }
                    None => return Err(error),
                },
            }
        }
    }

    /// Waits for an event of that name; other events and acknowledgements are dropped.
    pub async fn receive_event(&mut self, name: &str, deadline: Duration) -> anyhow::Result<Event> {
        self.receive_until(deadline, |event| event.name == name)
            .await
            .with_context(|| format!("no event {name}"))
    }

    /// Waits for an event that fits; what came before is dropped. The end is an error.
    pub async fn receive_until(
        &mut self,
        deadline: Duration,
        fits: impl Fn(&Event) -> bool,
    ) -> anyhow::Result<Event> {
        let until = Instant::now() + deadline;
        loop {
            match self.receive(until.saturating_duration_since(Instant::now())).await? {
                Heard::Event(event) if fits(&event) => return Ok(event),
                Heard::Event(_) | Heard::Ack(_) => {}
                end => bail!("ended: {end:?}"),
            }
        }
    }

    /// Waits for the acknowledgement with that id; events that come before are kept.
    pub async fn receive_ack(&mut self, id: u64, deadline: Duration) -> anyhow::Result<Event> {
        let until = Instant::now() + deadline;
        let mut kept = VecDeque::new();
        loop {
            match self.receive(until.saturating_duration_since(Instant::now())).await? {
                Heard::Ack(event) if event.ack == Some(id) => {
                    kept.extend(std::mem::take(&mut self.pending));
                    self.pending = kept;
                    return Ok(event);
                }
                end @ (Heard::Disconnected | Heard::Closed(..)) => bail!("ended: {end:?}"),
                other => kept.push_back(other),
            }
        }
    }

    /// Reads to the end: every event, and the end itself.
    pub async fn drain(&mut self, deadline: Duration) -> anyhow::Result<(Vec<Event>, Heard)> {
        let until = Instant::now() + deadline;
        let mut events = Vec::new();
        loop {
            match self.receive(until.saturating_duration_since(Instant::now())).await? {
                Heard::Event(event) => events.push(event),
                Heard::Ack(_) => {}
                end => return Ok((events, end)),
            }
        }
    }

    /// Stays connected for `time` without reading: a slow reader, which answers no ping either.
    pub async fn stop_reading(&mut self, time: Duration) {
        self.socket.stop_reading(time).await;
    }

    /// Sends a text message as it is, well-formed or not.
    pub async fn send_frame(&mut self, text: &str) -> anyhow::Result<()> {
        self.socket.send_text(text).await
    }

    /// The WebSocket below, for anything rawer.
    pub fn socket(&mut self) -> &mut RawSocket {
        &mut self.socket
    }

    /// Leaves the namespace and closes the transport.
    pub async fn disconnect(mut self) -> anyhow::Result<()> {
        let packet = Packet::Disconnect(self.namespace.clone());
        self.socket.send_text(&packet.encode()).await?;
        self.socket.close(1000, "").await
    }

    /// Cuts the TCP connection with a reset.
    pub fn reset(self) -> anyhow::Result<()> {
        self.socket.reset()
    }

    /// The next Socket.IO packet with its attachments; pings are answered.
    async fn packet(&mut self, until: Instant) -> anyhow::Result<(Packet, Vec<Vec<u8>>)> {
        loop {
            let text = match self.message(until).await? {
                Received::Text(text) => text,
                Received::Binary(_) => bail!("a binary message without a packet"),
                Received::Closed(code, reason) => bail!(TransportEnd(code, reason)),
                Received::Gone(reason) => bail!(TransportEnd(1006, reason)),
            };
            match text.chars().next() {
                Some('2') => self.socket.send_text(&text.replacen('2', "3", 1)).await?,
                Some('4') => {
                    let packet = Packet::decode(&text[1..]).with_context(|| text.clone())?;
                    let mut attachments = Vec::new();
                    while attachments.len() < packet.attachments() {
                        match self.message(until).await? {
                            Received::Binary(bytes) => attachments.push(bytes),
                            other => bail!("no attachment: {other:?}"),
                        }
                    }
                    return Ok((packet, attachments));
                }
                Some('1') => bail!(TransportEnd(1005, "engine.io close".to_owned())),
                Some('6') => {}
                _ => bail!("unknown message: {text}"),
            }
        }
    }

    async fn message(&mut self, until: Instant) -> anyhow::Result<Received> {
        self.socket.receive(until.saturating_duration_since(Instant::now())).await
    }

    fn keep(&mut self, packet: Packet, attachments: Vec<Vec<u8>>) -> anyhow::Result<()> {
        let received_at = std::time::Instant::now();
        let heard = match packet {
            Packet::Event(_, ack, arguments, _) => {
                let mut arguments = into_array(arguments)?;
                let name = arguments.drain(..1.min(arguments.len())).next().unwrap_or_default();
                let name = name.as_str().context("an event without a name")?.to_owned();
                Heard::Event(Event { name, arguments, attachments, ack, received_at })
            }
            Packet::Ack(_, id, arguments, _) => {
                let (name, arguments) = (String::new(), into_array(arguments)?);
                Heard::Ack(Event { name, arguments, attachments, ack: Some(id), received_at })
            }
            Packet::Disconnect(_) => Heard::Disconnected,
            Packet::ConnectError(_, error) => bail!(ConnectError(error)),
            Packet::Connect(..) => return Ok(()),
        };
        self.pending.push_back(heard);
        Ok(())
    }
}

/// The argument that stands for the attachment of that number.
pub fn placeholder(number: usize) -> Value {
    json!({ "_placeholder": true, "num": number })
}

fn into_array(arguments: Value) -> anyhow::Result<Vec<Value>> {
    match arguments {
        Value::Array(arguments) => Ok(arguments),
        other => bail!("arguments are no array: {other}"),
    }
}

/// The transport ended, with the code and reason of its close.
#[derive(Debug)]
struct TransportEnd(u16, String);

impl std::fmt::Display for TransportEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "transport ended with {} {}", self.0, self.1)
    }
}

impl std::error::Error for TransportEnd {}

#[cfg(test)]
mod tests;
