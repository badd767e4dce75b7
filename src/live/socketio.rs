//! The Socket.IO doorway: namespace `/audio-stream`, payloads and texts as the contract has them.
//!
//! Handlers are plain closures that do their work before they return a future: socketioxide spawns
//! the futures, and spawned work would reorder audio.

use std::{
    fmt,
    future::{Ready, ready},
    time::{Duration, Instant},
};

use serde_json::Value;
use socketioxide::{
    ParserConfig, SendError, SocketError, SocketIo,
    extract::{AckSender, SocketRef, TryData},
    handler::ConnectHandler,
    layer::SocketIoLayer,
};

use super::{
    LiveService, PATH,
    arguments::{Audio, Options},
    caller::Caller,
    client::{Client, Taken},
    command,
    entry::Presented,
    guard,
    outbox::Letter,
    request,
    standing::Standing,
    wire::{Close, MAX_MESSAGE_BYTES},
};
use crate::{
    model::Error,
    telemetry::{log_patterns, metrics::label},
    web::{Kill, credential},
};

const DOOR: &str = "socketio";
/// A packet's text or one of its attachments, plus what base64 and framing add to them.
const MAX_FRAME_BYTES: usize = MAX_MESSAGE_BYTES + 1024;
/// How soon a full transport is tried again.
const RETRY: Duration = Duration::from_millis(25);
/// How long a notice may take to leave before the connection is cut.
const NOTICE: Duration = Duration::from_millis(250);

/// The layer that serves `/socket.io/`, and its handle.
pub fn layer(service: LiveService) -> (SocketIoLayer, SocketIo) {
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
    let admit = move |socket: SocketRef, auth: TryData<Value>| admit(service.clone(), socket, auth);
    io.ns(PATH, welcome.with(admit));
    (layer, io)
}

/// A refusal, as the contract words it; the reason is only logged.
struct Rejected;

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection rejected by server")
    }
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
    };
    let entered = service.enter(presented).await;
    let admitted = entered.map_err(|refusal| reject(&service, &refusal.error))?;
    let principal = admitted.principal.clone();
    let (language, fell_back_from) = request::language(parts);
    if let Some(wanted) = fell_back_from {
        log_patterns::language_fell_back(&principal.subject, &wanted);
    }
    let caller = Caller {
        principal,
        language,
        ip: request::ip(parts),
        user_agent: request::user_agent(parts),
        door: DOOR,
    };
    register(&socket, &Client::new(service, caller, Standing::of(admitted)));
    Ok(())
}

fn reject(service: &LiveService, error: &Error) -> Rejected {
    log_patterns::connection_rejected(&error.detail);
    let labels = [label("door", DOOR), label("reason", error.kind.code())];
    service.metrics.sockets_refused.add(1, &labels);
    Rejected
}

fn register(socket: &SocketRef, client: &Client) {
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
    let renewing = client.clone();
    socket.on("authenticate", move |payload: Options, ack: AckSender| {
        renewing.authenticate(payload.0.and_then(command::token));
        acknowledge(ack);
        ready(())
    });
    let gone = client.clone();
    socket.on_disconnect(move || {
        gone.gone();
        ready(())
    });
    socket.extensions.insert(client.clone());
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
    let taken = match client.audio(audio.payload(bare_base64), Instant::now()) {
        Taken::Full(..) => client.overloaded(),
        taken => taken,
    };
    if matches!(taken, Taken::Accepted) {
        acknowledge(ack);
    }
    ready(())
}

/// Greets a connected socket and writes its events until it is gone.
async fn welcome(socket: SocketRef) {
    let Some(client) = socket.extensions.get::<Client>() else { return };
    client.greet();
    let soft = client.shutdown().soft().clone();
    let writing = client.shutdown().clone();
    writing.spawn(async move {
        tokio::select! {
            () = write(&socket, &client) => {}
            () = async {
                soft.cancelled().await;
                client.drain();
                std::future::pending::<()>().await;
            } => {}
            close = guard::watch(&client) => end(&socket, close).await,
        }
    });
}

async fn write(socket: &SocketRef, client: &Client) {
    while let Some(next) = client.outbox().next().await {
        match next {
            Ok(letter) => {
                if !emit(socket, client, letter).await {
                    return;
                }
            }
            Err(close) => return end(socket, close).await,
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
async fn end(socket: &SocketRef, close: Close) {
    let notice = close.notice(0);
    if socket.emit(notice.name(), &notice).is_ok() {
        tokio::time::sleep(NOTICE).await;
    }
    let kill = socket.req_parts().extensions.get::<Kill>();
    // A disconnect that finds no room does not close.
    if (close.reconnect() || socket.clone().disconnect().is_err())
        && let Some(kill) = kill
    {
        kill.now();
    }
}
