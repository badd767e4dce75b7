//! Opening a live stream: the checks, the 101, and the task that serves it.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Response, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::audio::Audio;
use super::connection::Connection;
use super::fault::{Action, Fault};
use super::options::Options;
use super::record::End;
use super::refusal::Refusal;
use super::server::{Call, check_credential, header_of, or_500, refuse};
use super::shared::Shared;
use super::wire::Stamp;
use crate::tasks::Spawner;
use crate::wait::lock;

/// Answers a request to open a stream; the stream itself runs on.
pub(crate) fn answer(call: Call, shared: &Arc<Shared>, spawner: &Spawner) -> Response<Body> {
    let request_id = call.request_id;
    match open(call, shared, spawner) {
        Ok(answer) => answer,
        Err(refusal) => refuse(&refusal, request_id),
    }
}

/// A stream that was let in.
struct Opened {
    index: usize,
    audio: Audio,
    faults: Vec<Fault>,
    injected: mpsc::Receiver<Action>,
    keyterms: bool,
}

fn open(call: Call, shared: &Arc<Shared>, spawner: &Spawner) -> Result<Response<Body>, Refusal> {
    let Call { request_id, query, headers, mut request } = call;
    check_credential(&headers, shared)?;
    let options = Options::live(&query)?;
    let accept = accept_key(&headers)?;
    let protocol = chosen_protocol(&headers);
    let keyterms = options.model.takes_keyterms();
    let (index, injected) = shared.admit(request_id, query, headers)?;
    let audio = Audio::new(Stamp { request_id, options }, shared.script(), &shared.config);
    let faults = lock(&shared.faults).next_plan();
    let opened = Opened { index, audio, faults, injected, keyterms };
    let upgrade = hyper::upgrade::on(&mut request);
    spawner.spawn(serve(upgrade, opened, Arc::clone(shared)));
    let mut answer = Response::builder()
        .status(101)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .header("dg-request-id", request_id.to_string());
    if let Some(protocol) = protocol {
        answer = answer.header(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(or_500(answer.body(Body::empty())))
}

fn accept_key(headers: &[(String, String)]) -> Result<String, Refusal> {
    let upgrade = header_of(headers, "upgrade").unwrap_or_default();
    let key = header_of(headers, "sec-websocket-key");
    match key.filter(|_| upgrade.eq_ignore_ascii_case("websocket")) {
        Some(key) => Ok(derive_accept_key(key.as_bytes())),
        None => Err(Refusal::bad_request("Expected a WebSocket upgrade.")),
    }
}

/// The scheme among the offered subprotocols: browsers insist on an answer.
fn chosen_protocol(headers: &[(String, String)]) -> Option<String> {
    let offered = header_of(headers, "sec-websocket-protocol")?;
    offered.split(',').map(str::trim).next().map(str::to_owned)
}

async fn serve(upgrade: OnUpgrade, opened: Opened, shared: Arc<Shared>) {
    let Opened { index, audio, faults, injected, keyterms } = opened;
    let leaving = Leaving { index, shared: Arc::clone(&shared) };
    let Some(ws) = upgraded(upgrade).await else {
        let end = End::Vanished("no upgrade".to_owned());
        return shared.change(index, |record| record.end = Some(end));
    };
    let connection = Connection::new(ws, shared, index, audio, faults, injected, keyterms);
    Box::pin(connection.run()).await;
    drop(leaving);
}

async fn upgraded(upgrade: OnUpgrade) -> Option<WebSocketStream<TcpStream>> {
    let parts = upgrade.await.ok()?.downcast::<TokioIo<TcpStream>>().ok()?;
    let config = WebSocketConfig::default().read_buffer_size(16 * 1024).write_buffer_size(0);
    let (stream, read) = (parts.io.into_inner(), parts.read_buf.to_vec());
    Some(WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await)
}

/// Makes room for the next stream, also when the task is dropped.
struct Leaving {
    index: usize,
    shared: Arc<Shared>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.shared.leave(self.index);
        self.shared.change(self.index, |record| {
            record.end.get_or_insert(End::Cut);
        });
    }
}
