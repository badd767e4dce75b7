//! The Socket.IO doorway: namespace `/audio-stream`, payloads and texts as the contract has them.
//!
//! Handlers are plain closures that do their work before they return a future: socketioxide spawns
//! the futures, and spawned work would reorder audio.

use std::{
    fmt,
    future::{Ready, ready},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use serde_json::Value;
use socketioxide::{
    ParserConfig, SendError, SocketError, SocketIo,
    extract::{AckSender, SocketRef, TryData},
    handler::ConnectHandler,
    layer::SocketIoLayer,
    socket::DisconnectReason,
};

use super::{
    LiveService, PATH,
    arguments::{Audio, Callback, Options},
    audience::Answer,
    caller::Caller,
    client::{Client, Taken},
    command,
    entry::Presented,
    guard,
    lines::{Lines, Refusals},
    outbox::Letter,
    request,
    standing::Standing,
    wire::{Close, MAX_MESSAGE_BYTES},
};
use crate::{
    model::Error,
    telemetry::{log_patterns, metrics::label},
    web::credential,
};

const DOOR: &str = "socketio";
/// A packet's text or one of its attachments, plus what base64 and framing add to them.
const MAX_FRAME_BYTES: usize = MAX_MESSAGE_BYTES + 1024;
/// How soon a full transport is tried again.
const RETRY: Duration = Duration::from_millis(25);
/// How long a notice may take to leave before the connection is cut.
const NOTICE: Duration = Duration::from_millis(250);
/// How often one connection may be refused: each time costs a look at a credential.
const PATIENCE: u32 = 5;

/// The layer that serves `/socket.io/`, and the lines of its sessions, which are to be noted in
/// front of it.
pub fn layer(service: LiveService) -> (SocketIoLayer, Arc<Lines>) {
    let (layer, io) = SocketIo::builder()
        .ping_interval(Duration::from_secs(25))
        .ping_timeout(Duration::from_secs(20))
        .connect_timeout(Duration::from_secs(10))
        .max_payload(MAX_MESSAGE_BYTES as u64)
        .max_buffer_size(64)
        .ws_read_buffer_size(4 * 1024)
        .ws_max_message_size(MAX_FRAME_BYTES)
        .ws_max_frame_size(MAX_FRAME_BYTES)
        .with_parser(
            ParserConfig::common()
                .max_incoming_binaries(1)
                .max_incoming_binary_buf_size(MAX_FRAME_BYTES)
                .packet_completion_timeout(Duration::from_secs(10)),
        )
        .build_layer();
    let lines = Arc::new(Lines::default());
    // Weak, since the lines come to hold what holds these.
    let cut = Arc::downgrade(&lines);
    let admit = {
        let cut = cut.clone();
        move |socket: SocketRef, auth: TryData<Value>| {
            knock(service.clone(), cut.clone(), socket, auth)
        }
    };
    let welcome = move |socket: SocketRef| welcome(cut.clone(), socket);
    io.ns(PATH, welcome.with(admit));
    lines.serve(io);
    (layer, lines)
}

/// A refusal, as the contract words it; the reason is only logged.
struct Rejected;

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection rejected by server")
    }
}

/// Admits, unless that connection has been refused too often.
async fn knock(
    service: LiveService,
    lines: Weak<Lines>,
    socket: SocketRef,
    auth: TryData<Value>,
) -> Result<(), Rejected> {
    let refusals = socket.req_parts().extensions.get::<Refusals>().cloned().unwrap_or_default();
    if refusals.count() >= PATIENCE {
        count_refused(&service, "insisting");
        cut(&lines, &socket).await;
        return Err(Rejected);
    }
    let admitted = Box::pin(admit(service, socket, auth)).await;
    if admitted.is_err() {
        refusals.add();
    }
    admitted
}

/// Authenticates, and registers every event: once the socket is connected, an event without a
/// handler would be lost.
async fn admit(
    service: LiveService,
    socket: SocketRef,
    TryData(auth): TryData<Value>,
) -> Result<(), Rejected> {
    let parts = socket.req_parts();
    let payload = auth.ok();
    let given = |name: &str| payload.as_ref()?.get(name)?.as_str();
    let presented = Presented {
        token: given("token").or_else(|| credential::any(&parts.headers)),
        ticket: given("ticket").map(Into::into).or_else(|| request::ticket(parts)),
        share: given("share")
            .map(Into::into)
            .or_else(|| request::share(&parts.headers))
            .map(|share| (share, request::network(parts))),
    };
    let entered = service.enter(presented).await;
    let admitted = entered.map_err(|refusal| reject(&service, &refusal.error))?;
    let (language, fell_back_from) = request::language(parts);
    if let Some(wanted) = fell_back_from {
        log_patterns::language_fell_back(&admitted.principal.subject, &wanted);
    }
    let caller = Caller::of(&service, &admitted, (language, DOOR), parts);
    register(&socket, &Client::new(service, caller, Standing::of(admitted)));
    Ok(())
}

fn reject(service: &LiveService, error: &Error) -> Rejected {
    log_patterns::connection_rejected(&error.detail);
    count_refused(service, error.kind.code());
    Rejected
}

fn count_refused(service: &LiveService, reason: &'static str) {
    let labels = [label("door", DOOR), label("reason", reason)];
    service.metrics.sockets_refused.add(1, &labels);
}

fn register(socket: &SocketRef, client: &Client) {
    register_session(socket, client);
    register_rooms(socket, client);
    let renewing = client.clone();
    socket.on("authenticate", move |payload: Options, ack: AckSender| {
        renewing.authenticate(payload.0.and_then(command::token));
        acknowledge(ack);
        ready(())
    });
    let gone = client.clone();
    socket.on_disconnect(move |reason: DisconnectReason| {
        if reason == DisconnectReason::ClientNSDisconnect {
            gone.leave_taken();
        }
        gone.gone();
        ready(())
    });
    socket.extensions.insert(client.clone());
}

fn register_session(socket: &SocketRef, client: &Client) {
    for event in ["audio_chunk", "audio_data"] {
        let client = client.clone();
        let bare_base64 = event == "audio_data";
        socket
            .on(event, move |audio: Audio, ack: AckSender| hear(&client, audio, bare_base64, ack));
    }
    let starting = client.clone();
    socket.on("start_streaming", move |options: Options, ack: AckSender| {
        match options.0 {
            Some(given) => starting.start(&given),
            None => starting.fail(&Error::invalid("start_streaming takes an object of options")),
        }
        acknowledge(ack);
        ready(())
    });
    let stopping = client.clone();
    socket.on("stop_streaming", move |ack: AckSender| {
        stopping.stop();
        acknowledge(ack);
        ready(())
    });
    let finalizing = client.clone();
    socket.on("finalize", move |ack: AckSender| {
        finalizing.finalize();
        acknowledge(ack);
        ready(())
    });
    let resuming = client.clone();
    socket.on("resume", move |payload: Options, ack: AckSender| {
        resuming.resume(&payload.0.unwrap_or_default());
        acknowledge(ack);
        ready(())
    });
}

fn register_rooms(socket: &SocketRef, client: &Client) {
    let joining = client.clone();
    socket.on("join", move |payload: Options, Callback(callback): Callback| {
        let answer = callback.map_or_else(Answer::event, |ack| {
            Answer::callback(move |reply| ack.send(reply).is_ok())
        });
        joining.join(payload.0, answer);
        ready(())
    });
    let leaving = client.clone();
    socket.on("leave", move |payload: Options, ack: AckSender| {
        leaving.leave(payload.0);
        acknowledge(ack);
        ready(())
    });
}

/// Calls the client's callback, if it asked for one: without arguments, as the original did.
fn acknowledge(ack: AckSender) {
    const NO_ARGUMENTS: [(); 0] = [];
    if ack.send(&NO_ARGUMENTS).is_err() {
        tracing::debug!("an acknowledgement found no room");
    }
}

/// Takes a chunk in before it returns. The acknowledgement means accepted.
fn hear(client: &Client, audio: Audio, bare_base64: bool, ack: AckSender) -> Ready<()> {
    let seq = audio.seq;
    let taken = match client.audio(audio.payload(bare_base64), seq, Instant::now()) {
        Taken::Full(..) => client.overloaded(),
        taken => taken,
    };
    if matches!(taken, Taken::Accepted) {
        acknowledge(ack);
    }
    ready(())
}

/// Greets a connected socket and writes its events until it is gone.
fn welcome(lines: Weak<Lines>, socket: SocketRef) -> Ready<()> {
    let Some(client) = socket.extensions.get::<Client>() else { return ready(()) };
    client.greet();
    let leaving = client.leaving().clone();
    let writing = client.shutdown().clone();
    writing.spawn(async move {
        tokio::select! {
            () = write(&lines, &socket, &client) => {}
            () = async {
                leaving.cancelled().await;
                client.drain();
                std::future::pending::<()>().await;
            } => {}
            close = guard::watch(&client) => end(&lines, &socket, &client, close).await,
        }
    });
    ready(())
}

async fn write(lines: &Weak<Lines>, socket: &SocketRef, client: &Client) {
    while let Some(next) = client.outbox().next().await {
        match next {
            Ok(letter) => {
                if !emit(socket, client, letter).await {
                    return;
                }
            }
            Err(close) => return end(lines, socket, client, close).await,
        }
    }
}

/// Emits one event, waiting for room as long as the socket lives; false once it does not.
async fn emit(socket: &SocketRef, client: &Client, letter: Letter) -> bool {
    match socket.emit(letter.event.name(), &letter.event) {
        Ok(()) => {
            if let Some(delivery) = letter.delivery {
                delivery.delivered();
            }
            true
        }
        Err(SendError::Socket(SocketError::InternalChannelFull)) => {
            client.outbox().unread(letter);
            tokio::time::sleep(RETRY).await;
            true
        }
        Err(error) => {
            tracing::debug!("an event could not be sent: {error}");
            false
        }
    }
}

/// Gives notice, then closes: reconnectable by cutting the transport, final by a DISCONNECT.
async fn end(lines: &Weak<Lines>, socket: &SocketRef, client: &Client, close: Close) {
    client.log_close(close.code(), close.reason());
    let notice = close.notice();
    if socket.emit(notice.name(), &notice).is_ok() {
        tokio::time::sleep(NOTICE).await;
    }
    // A disconnect that finds no room does not close.
    if close.reconnect() || socket.clone().disconnect().is_err() {
        cut(lines, socket).await;
    }
}

async fn cut(lines: &Weak<Lines>, socket: &SocketRef) {
    // They are gone only with the whole service.
    if let Some(lines) = lines.upgrade() {
        lines.cut(socket).await;
    }
}
