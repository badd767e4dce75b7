//! The raw WebSocket doorway at `/audio-stream`: JSON messages, binary audio.

use std::time::{Duration, Instant};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
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
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{
    LiveService,
    audience::Answer,
    caller::Caller,
    client::{Client, Taken},
    command::Command,
    entry::{Presented, Refusal},
    guard,
    payload::Payload,
    request,
    standing::Standing,
    wire::{Close, MAX_MESSAGE_BYTES},
};
use crate::{
    model::Error,
    telemetry::{log_patterns, metrics::label},
    web::{credential, error, request_id::RequestId},
};

const DOOR: &str = "websocket";
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

/// `GET /audio-stream`: authenticates, then upgrades.
pub async fn upgrade(State(service): State<LiveService>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let Some((key, upgrade)) = handshake(&mut parts) else {
        return upgrade_required(&parts);
    };
    let offered = request::offered(&parts.headers, request::TICKET);
    let shared = request::offered(&parts.headers, request::SHARE);
    let subprotocol = match (&offered, &shared) {
        (Some(_), _) => Some(request::TICKET),
        (None, shared) => shared.as_ref().map(|_| request::SHARE),
    };
    let presented = Presented {
        token: credential::any(&parts.headers),
        ticket: request::ticket(&parts).or(offered),
        share: request::share(&parts.headers)
            .or(shared)
            .map(|share| (share, request::network(&parts))),
    };
    let admitted = match service.enter(presented).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refuse(&service, &refusal, &parts),
    };
    let principal = admitted.principal.clone();
    let (language, fell_back_from) = request::language(&parts);
    if let Some(wanted) = fell_back_from {
        log_patterns::language_fell_back(&principal.subject, &wanted);
    }
    let (ip, user_agent) = (request::ip(&parts), request::user_agent(&parts));
    let (leaving, share) = (service.shutdown.soft().child_token(), admitted.share.clone());
    let caller = Caller { principal, share, language, ip, user_agent, door: DOOR, leaving };
    let shutdown = service.shutdown.clone();
    shutdown.spawn(serve(service, caller, Standing::of(admitted), upgrade));
    switch(&key, subprotocol)
}

/// What a plain request is told (RFC 9110 §15.5.22).
fn upgrade_required(parts: &Parts) -> Response {
    let error = Error::invalid("this address speaks WebSocket: send an upgrade request");
    let mut response = error::render(&error, parts.extensions.get::<RequestId>());
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response
}

fn refuse(service: &LiveService, refusal: &Refusal, parts: &Parts) -> Response {
    let Refusal { error, verdict } = refusal;
    log_patterns::connection_rejected(&error.detail);
    let labels = [label("door", DOOR), label("reason", error.kind.code())];
    service.metrics.sockets_refused.add(1, &labels);
    let mut response = error::render(error, parts.extensions.get::<RequestId>());
    if let Some(verdict) = verdict {
        verdict.tell(response.headers_mut());
    }
    response
}

/// The accept key and the connection of a valid upgrade request (RFC 6455 §4.2.1).
fn handshake(parts: &mut Parts) -> Option<(String, OnUpgrade)> {
    let headers = &parts.headers;
    let version = headers.get(header::SEC_WEBSOCKET_VERSION)?.as_bytes() == b"13";
    let asks = names(headers, &header::UPGRADE, "websocket")
        && names(headers, &header::CONNECTION, "upgrade");
    let key = derive_accept_key(headers.get(header::SEC_WEBSOCKET_KEY)?.as_bytes());
    let upgrade = parts.extensions.remove::<OnUpgrade>()?;
    (version && asks).then_some((key, upgrade))
}

fn names(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// Switches; a client that offered a subprotocol gives up unless one is chosen.
fn switch(key: &str, subprotocol: Option<&'static str>) -> Response {
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Ok(key) = HeaderValue::from_str(key) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    }
    if let Some(name) = subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
    }
    response
}

/// A client that is gone with the task of its socket, be it that this panics: its session and its
/// seats must not outlive it.
struct Presence(Client);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.gone();
    }
}

async fn serve(service: LiveService, caller: Caller, standing: Standing, upgrade: OnUpgrade) {
    let Ok(Ok(upgraded)) = timeout(SILENCE, upgrade).await else {
        service.metrics.sockets_refused.add(1, &[label("door", DOOR), label("reason", "upgrade")]);
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
    client.greet();
    let (mut sink, mut stream) = socket.split();
    let ended = tokio::select! {
        ended = read(client, &mut stream) => ended,
        ended = write(client, &mut sink) => ended,
        close = guard::watch(client) => {
            client.log_close(close.code(), close.reason());
            Some(frame(close))
        }
    };
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
async fn read(client: &Client, stream: &mut SplitStream<Socket>) -> Option<CloseFrame> {
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
            Message::Binary(bytes) => hear(client, bytes).await,
            Message::Text(text) => obey(client, &text),
            Message::Close(frame) => {
                // Who gives no code may have concluded that the connection is dead.
                if frame.is_some_and(|it| matches!(it.code, CloseCode::Normal | CloseCode::Away)) {
                    client.leave_taken();
                }
                return None;
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
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

fn obey(client: &Client, text: &str) {
    match Command::parse(text) {
        Ok(Command::Start(options)) => client.start(&options),
        Ok(Command::Stop) => client.stop(),
        Ok(Command::Resume(payload)) => client.resume(&payload),
        Ok(Command::Join(payload)) => client.join(Some(payload), Answer::event()),
        Ok(Command::Leave(payload)) => client.leave(Some(payload)),
        Ok(Command::Authenticate(token)) => client.authenticate(token),
        Err(error) => client.fail(&error),
    }
}

/// Writes events until the client is gone or is to be closed.
async fn write(client: &Client, sink: &mut SplitSink<Socket, Message>) -> Option<CloseFrame> {
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
                let json = letter.event.to_json().ok()?;
                send(sink, Message::Text(json.into())).await?;
                if let Some(delivery) = letter.delivery {
                    delivery.delivered();
                }
            }
            Err(close) => {
                client.log_close(close.code(), close.reason());
                let notice = close.notice().to_json().ok()?;
                send(sink, Message::Text(notice.into())).await?;
                return Some(frame(close));
            }
        }
    }
}

async fn send(sink: &mut SplitSink<Socket, Message>, message: Message) -> Option<()> {
    timeout(WRITE, sink.send(message)).await.ok()?.ok()
}

fn frame(close: Close) -> CloseFrame {
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
