//! What every raw socket has in common, whatever is spoken on it: its pace, its limits, its end.

use std::time::{Duration, Instant};

use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Bytes, Error as WsError, Message,
        error::ProtocolError,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{
    live::{
        LiveService,
        caller::Caller,
        client::{Client, Taken},
        guard,
        payload::Payload,
        standing::Standing,
        wire::{Close, Event, MAX_MESSAGE_BYTES},
    },
    telemetry::metrics::label,
};

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// How often an idle client is pinged, and how long it may be silent.
const PING: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(45);
/// How long one event may take to be written.
const WRITE: Duration = Duration::from_secs(20);
/// How long a peer may take to read what it was sent last, and to hang up.
const GOODBYE: Duration = Duration::from_secs(5);
/// How long a sender that is ahead is held back before its audio is refused.
const BACK_PRESSURE: Duration = Duration::from_secs(30);

/// The protocol that is spoken on a socket.
pub trait Tongue: Send + Sync {
    /// The client is there.
    fn greet(&self, client: &Client);
    /// A binary message came; whether it is audio.
    fn binary(&self, client: &Client, bytes: &Bytes) -> bool;
    /// A text message came.
    fn text(&self, client: &Client, text: &str);
    /// The client closes the socket, and says that all is well.
    fn farewell(&self, client: &Client);
    /// The socket is over, however that came.
    fn over(&self, _: &Client) {}
    /// An event as it is written here.
    fn write(&self, event: &Event) -> serde_json::Result<Written>;
    /// A close by the service as it is written here.
    fn close(&self, close: Close) -> serde_json::Result<Written>;
}

/// What is written.
#[derive(Debug, Default)]
pub struct Written {
    /// A text message, if there is one.
    pub text: Option<String>,
    /// What the socket is closed with then, if it is.
    pub close: Option<CloseFrame>,
}

/// A client that is gone with the task of its socket, be it that this panics: its session and its
/// seats must not outlive it.
struct Presence(Client);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.gone();
    }
}

/// Speaks with a client to its end.
pub async fn serve(
    service: LiveService,
    caller: Caller,
    standing: Standing,
    upgrade: OnUpgrade,
    tongue: impl Tongue,
) {
    let Ok(Ok(upgraded)) = timeout(SILENCE, upgrade).await else {
        let labels = [label("door", caller.door), label("reason", "upgrade")];
        service.metrics.sockets_refused.add(1, &labels);
        return;
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(1024 * 1024)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let io = TokioIo::new(upgraded);
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let present = Presence(Client::new(service, caller, standing));
    let client = &present.0;
    tongue.greet(client);
    let (mut sink, mut stream) = socket.split();
    let ended = tokio::select! {
        ended = read(client, &tongue, &mut stream) => ended,
        ended = write(client, &tongue, &mut sink) => ended,
        close = guard::watch(client) => {
            client.log_close(close.code(), close.reason());
            Some(frame(close))
        }
    };
    tongue.over(client);
    drop(present);
    // A peer that is gone needs no goodbye, and one that reads nothing gets none.
    let _gone = timeout(GOODBYE, part(sink, stream, ended)).await;
}

/// Closes, then discards what still comes until the peer hangs up: a socket that is dropped with
/// bytes unread is reset, and what it was sent last is lost with it.
async fn part(
    mut sink: SplitSink<Socket, Message>,
    stream: SplitStream<Socket>,
    frame: Option<CloseFrame>,
) -> Option<()> {
    match frame {
        Some(frame) => sink.send(Message::Close(Some(frame))).await.ok()?,
        // The answer to the peer's own close may still wait to be written.
        None => sink.flush().await.ok()?,
    }
    let mut socket = sink.reunite(stream).ok()?;
    let connection = socket.get_mut();
    connection.shutdown().await.ok()?;
    let mut discarded = vec![0; 4 * 1024];
    while connection.read(&mut discarded).await.ok()? > 0 {}
    Some(())
}

/// Reads until the client ends or breaks the protocol; what to close with, if anything.
async fn read(
    client: &Client,
    tongue: &impl Tongue,
    stream: &mut SplitStream<Socket>,
) -> Option<CloseFrame> {
    loop {
        let message = match timeout(SILENCE, stream.next()).await {
            Err(_) => {
                // The writer gives notice and closes.
                client.outbox().close(Close::Silent);
                return std::future::pending().await;
            }
            Ok(None) => return None,
            Ok(Some(Err(error))) => {
                let frame = protocol_fault(&error)?;
                client.log_close(frame.code.into(), &frame.reason);
                return Some(frame);
            }
            Ok(Some(Ok(message))) => message,
        };
        match message {
            Message::Binary(bytes) if tongue.binary(client, &bytes) => hear(client, bytes).await,
            Message::Text(text) => tongue.text(client, &text),
            Message::Close(frame) => {
                // Who gives no code may have concluded that the connection is dead.
                if frame.is_some_and(|it| matches!(it.code, CloseCode::Normal | CloseCode::Away)) {
                    tongue.farewell(client);
                }
                return None;
            }
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

/// Takes audio in, holding the sender back while its session is behind.
async fn hear(client: &Client, bytes: Bytes) {
    let received_at = Instant::now();
    let mut taken = client.audio(Payload::Binary(bytes), None, received_at);
    let deadline = received_at + BACK_PRESSURE;
    while let Taken::Full(bytes, inbox) = taken {
        let left = deadline.saturating_duration_since(Instant::now());
        taken = match timeout(left, inbox.room()).await {
            Ok(()) => client.offer(bytes, None, received_at),
            Err(_) => client.overloaded(),
        };
    }
}

/// Writes events until the client is gone or is to be closed.
async fn write(
    client: &Client,
    tongue: &impl Tongue,
    sink: &mut SplitSink<Socket, Message>,
) -> Option<CloseFrame> {
    let soft = client.shutdown().soft().clone();
    let mut ping = tokio::time::interval(PING);
    let mut draining = false;
    loop {
        let next = tokio::select! {
            next = client.outbox().next() => next?,
            _ = ping.tick() => {
                send(sink, Message::Ping(Bytes::new())).await?;
                continue;
            }
            () = soft.cancelled(), if !draining => {
                draining = true;
                client.drain();
                continue;
            }
        };
        match next {
            Ok(letter) => {
                let written = tongue.write(&letter.event).ok()?;
                tell(sink, written.text).await?;
                if let Some(delivery) = letter.delivery {
                    delivery.delivered();
                }
                if written.close.is_some() {
                    return written.close;
                }
            }
            Err(close) => {
                client.log_close(close.code(), close.reason());
                let written = tongue.close(close).ok()?;
                tell(sink, written.text).await?;
                return written.close;
            }
        }
    }
}

async fn tell(sink: &mut SplitSink<Socket, Message>, text: Option<String>) -> Option<()> {
    match text {
        Some(text) => send(sink, Message::Text(text.into())).await,
        None => Some(()),
    }
}

async fn send(sink: &mut SplitSink<Socket, Message>, message: Message) -> Option<()> {
    timeout(WRITE, sink.send(message)).await.ok()?.ok()
}

/// The close frame of one of our reasons.
pub fn frame(close: Close) -> CloseFrame {
    CloseFrame { code: CloseCode::from(close.code()), reason: close.reason().into() }
}

/// RFC 6455 §7.4.1: 1009 for a message over the limit, 1007 for bad UTF-8, 1002 for the rest.
fn protocol_fault(error: &WsError) -> Option<CloseFrame> {
    let (code, reason) = match error {
        WsError::Capacity(_) => (CloseCode::Size, "message too large"),
        WsError::Utf8(_) => (CloseCode::Invalid, "text is not utf-8"),
        // A connection that was cut broke off, and did nothing wrong.
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return None,
        WsError::Protocol(_) => (CloseCode::Protocol, "protocol fault"),
        _ => return None,
    };
    Some(CloseFrame { code, reason: reason.into() })
}
