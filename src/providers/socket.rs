//! The WebSocket below a provider: dialled within one deadline, written to within another.

use std::time::Duration;

use futures_util::{Sink, SinkExt};
use reqwest::Url;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{
        Error as WsError, Message,
        client::IntoClientRequest,
        handshake::client::Response,
        http::{HeaderValue, header},
        protocol::WebSocketConfig,
    },
};

use super::{ErrorClass, ProviderError};

/// A provider's open socket.
pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long it may take until a provider can be spoken to.
pub(super) const OPENING: Duration = Duration::from_secs(5);
/// How long one message may take to be written.
const WRITE: Duration = Duration::from_secs(5);
/// Bytes that the kernel keeps of what cannot be sent yet: a ping behind megabytes of audio would not
/// be answered in time by a provider that reads slowly.
const UNSENT_BYTES: u32 = 64 * 1024;
/// Transcripts are a kilobyte or two; anything of this size is not one.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Why there is no socket.
pub(super) enum Unopened {
    /// The provider answered, but not by an upgrade.
    Refused(Box<Response>),
    /// It could not be reached, or did not answer in time.
    Failed(ProviderError),
}

/// The address of `path` below `base`, with `http` turned into `ws`.
pub(super) fn address(base: &str, path: &str) -> Result<Url, ProviderError> {
    let bad = |detail: String| ProviderError::new(ErrorClass::BadRequest, "bad_base_url", detail);
    let mut url = Url::parse(base).map_err(|error| bad(format!("{base}: {error}")))?;
    let scheme = if matches!(url.scheme(), "https" | "wss") { "wss" } else { "ws" };
    url.set_scheme(scheme).map_err(|()| bad(format!("{base}: cannot carry a websocket")))?;
    let path = format!("{}{path}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

/// A header that is kept out of logs.
pub(super) fn authorization(value: &str) -> Result<HeaderValue, ProviderError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        ProviderError::new(ErrorClass::Credentials, "bad_key", "the key is not a header value")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Connects before `deadline`.
pub(super) async fn dial(
    url: &Url,
    authorization: HeaderValue,
    deadline: Instant,
) -> Result<(Socket, Response), Unopened> {
    timeout_at(deadline, upgrade(url, authorization)).await.unwrap_or_else(|_| {
        let detail = "no answer to the handshake";
        Err(Unopened::Failed(ProviderError::new(ErrorClass::Timeout, "connect_timeout", detail)))
    })
}

async fn upgrade(url: &Url, authorization: HeaderValue) -> Result<(Socket, Response), Unopened> {
    let unreachable = |error: std::io::Error| {
        let error = ProviderError::new(ErrorClass::Unavailable, "connect", error.to_string());
        Unopened::Failed(error)
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(443);
    let tcp = TcpStream::connect((host, port)).await.map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    socket2::SockRef::from(&tcp).set_tcp_notsent_lowat(UNSENT_BYTES).map_err(unreachable)?;
    let mut request = url.as_str().into_client_request().map_err(unopened)?;
    request.headers_mut().insert(header::AUTHORIZATION, authorization);
    client_async_tls_with_config(request, tcp, Some(buffers()), None).await.map_err(unopened)
}

/// Small buffers: tungstenite's own read buffer would cost 128 KiB a stream.
fn buffers() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(1024 * 1024)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

fn unopened(error: WsError) -> Unopened {
    match error {
        WsError::Http(response) => Unopened::Refused(response),
        other => Unopened::Failed(ProviderError::new(
            ErrorClass::Unavailable,
            "handshake",
            other.to_string(),
        )),
    }
}

/// Writes one message, unless the peer stopped reading.
pub(super) async fn send<S>(sink: &mut S, message: Message) -> Result<(), ProviderError>
where
    S: Sink<Message, Error = WsError> + Unpin,
{
    let lost =
        |error: WsError| ProviderError::new(ErrorClass::Unavailable, "send", error.to_string());
    match timeout(WRITE, sink.send(message)).await {
        Ok(sent) => sent.map_err(lost),
        Err(_) => {
            Err(ProviderError::new(ErrorClass::Timeout, "send_timeout", "it stopped reading"))
        }
    }
}
