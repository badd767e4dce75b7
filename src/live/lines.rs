//! The connection that a Socket.IO client speaks through now, and how it is ended.
//!
//! A session that begins with polling may go over to a WebSocket on another connection. The ones
//! that carried its requests before are not its own: a proxy sends other clients' over them too.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{StatusCode, Uri},
    middleware::Next,
    response::{IntoResponse, Response},
};
use socketioxide::{SocketIo, extract::SocketRef, socket::Sid};

use super::{PATH, client::Client};
use crate::{relay::Leaving, web::Kill};

const ENGINE: &str = "/socket.io/";
/// How long the engine may take to end a session.
const HANG_UP: Duration = Duration::from_secs(1);
/// How many sessions are noted before those that are over are looked for.
const SWEEP_AT: usize = 64;

/// The connections that sessions went over to.
#[derive(Default)]
pub struct Lines {
    upgraded: Mutex<Upgraded>,
    /// What serves the sessions, known from the first request on.
    engine: OnceLock<Next>,
    /// Where their sockets are found.
    io: OnceLock<SocketIo>,
}

#[derive(Default)]
struct Upgraded {
    /// More than one only where a client tries again: the engine takes the first that succeeds.
    by_session: HashMap<Sid, Vec<Kill>>,
    sweep_at: usize,
}

/// How often a session's client was refused.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<AtomicU32>);

impl Refusals {
    /// Counts one more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// So many so far.
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Lines {
    /// Ends the session of that socket in such a way that its client comes back.
    pub async fn cut(&self, socket: &SocketRef) {
        let first = socket.req_parts();
        if parameter(&first.uri, "transport") == Some("websocket") {
            if let Some(kill) = first.extensions.get::<Kill>() {
                kill.now();
            }
        } else if !self.hang_up(socket.id).await {
            let kills = self.with(|upgraded| upgraded.by_session.remove(&socket.id));
            kills.into_iter().flatten().for_each(|kill| kill.now());
        }
    }

    /// Where sockets are found from now on.
    pub fn serve(&self, io: SocketIo) {
        // Said once, when the door is made.
        drop(self.io.set(io));
    }

    /// Drains one session alone: the replica that carries its connection goes away.
    fn drain(&self, session: Option<Sid>) -> StatusCode {
        let namespace = self.io.get().and_then(|io| io.of(PATH));
        let socket = session.zip(namespace).and_then(|(id, sockets)| sockets.get_socket(id));
        let Some(socket) = socket else { return StatusCode::NOT_FOUND };
        if let Some(client) = socket.extensions.get::<Client>() {
            client.leaving().cancel();
        }
        StatusCode::NO_CONTENT
    }

    /// Ends a session that polls, as if its client had; false if it went over to a WebSocket.
    async fn hang_up(&self, session: Sid) -> bool {
        let uri = format!("{ENGINE}?EIO=4&transport=polling&sid={session}");
        let Ok(request) = Request::post(uri).body(Body::from("1")) else { return false };
        let Some(engine) = self.engine.get().cloned() else { return false };
        let told = tokio::time::timeout(HANG_UP, engine.run(request)).await;
        told.is_ok_and(|response| response.status() == StatusCode::OK)
    }

    fn add(&self, session: Sid, kill: Kill) {
        self.with(|upgraded| {
            let Upgraded { by_session, sweep_at } = upgraded;
            let kills = by_session.entry(session).or_default();
            kills.retain(|kill| !kill.is_over());
            kills.push(kill);
            // No more than twice as many as there are connections.
            if by_session.len() >= SWEEP_AT.max(*sweep_at) {
                by_session.retain(|_, kills| kills.iter().any(|kill| !kill.is_over()));
                *sweep_at = 2 * by_session.len();
            }
        });
    }

    fn with<T>(&self, what: impl FnOnce(&mut Upgraded) -> T) -> T {
        what(&mut self.upgraded.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Notes, in front of the engine, which connection a session goes over to.
pub async fn note(State(lines): State<Arc<Lines>>, mut request: Request, next: Next) -> Response {
    lines.engine.get_or_init(|| next.clone());
    let session = upgrading(request.uri());
    if request.extensions().get::<Leaving>().is_some() {
        return lines.drain(session).into_response();
    }
    let kill = request.extensions().get::<Kill>().cloned();
    request.extensions_mut().insert(Refusals::default());
    let response = next.run(request).await;
    if let (Some(session), Some(kill)) = (session, kill)
        && response.status() == StatusCode::SWITCHING_PROTOCOLS
    {
        lines.add(session, kill);
    }
    response
}

/// The session that asks to go over to a WebSocket.
fn upgrading(uri: &Uri) -> Option<Sid> {
    let engine = uri.path().starts_with(ENGINE.trim_end_matches('/'));
    let upgrade = engine && parameter(uri, "transport") == Some("websocket");
    parameter(uri, "sid").filter(|_| upgrade)?.parse().ok()
}

/// A parameter of the query, as the engine reads it: the first of that name, undecoded.
fn parameter<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    let mut pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}
