//! Accepts connections, each with its deadlines and its kill handle.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{body::Body, extract::ConnectInfo, http::Request, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};
use tower_http::timeout::TimeoutBody;

use crate::{
    lifecycle::Shutdown,
    web::{Kill, kill::Killable},
};

/// How long the first request's head may take to arrive.
const FIRST_HEAD: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request: longer than balancers keep one to reuse it.
const NEXT_HEAD: Duration = Duration::from_secs(75);
/// How long the next piece of a request's body may take to arrive.
const BODY_READ: Duration = Duration::from_secs(10);
/// How long sent data may stay unacknowledged before the connection counts as dead.
const USER_TIMEOUT: Duration = Duration::from_secs(20);
/// How many bytes the kernel may hold that are not on their way yet. What it holds can be neither
/// replaced by newer text nor counted, and by itself it holds megabytes for who does not read.
const UNSENT_BYTES: u32 = 64 * 1024;
const BACKOFF: Duration = Duration::from_millis(100);

/// Serves connections until the hard stop, at most `limit` at once.
pub(super) fn spawn<S>(listener: TcpListener, service: S, shutdown: &Shutdown, limit: usize)
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let tasks = shutdown.clone();
    let permits = Arc::new(Semaphore::new(limit));
    shutdown.spawn(async move {
        let hard = tasks.hard().clone();
        tokio::select! {
            () = accept(listener, service, &tasks, permits) => {}
            () = hard.cancelled() => {}
        }
    });
}

async fn accept<S>(listener: TcpListener, service: S, tasks: &Shutdown, permits: Arc<Semaphore>)
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    loop {
        // Beyond the limit the kernel's queue holds connections back.
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                // What was upgraded lives in other tasks: only its connection can be cut.
                let kill = Kill::under(tasks.hard());
                let ends = (kill, tasks.soft().clone());
                tasks.spawn(converse(stream, peer, service.clone(), permit, ends));
            }
            Err(error) => {
                // Descriptors may be used up: existing connections live on, new ones wait.
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(BACKOFF).await;
            }
        }
    }
}

async fn converse<S>(
    stream: TcpStream,
    peer: SocketAddr,
    service: S,
    permit: OwnedSemaphorePermit,
    (kill, soft): (Kill, CancellationToken),
) where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    if let Err(error) = tune(&stream) {
        tracing::debug!("a connection could not be tuned: {error}");
    }
    let io = TokioIo::new(Killable::new(stream, &kill, permit));
    let asked = CancellationToken::new();
    let first = asked.clone();
    let answer = service_fn(move |request: Request<Incoming>| {
        first.cancel();
        let mut request = request.map(|body| Body::new(TimeoutBody::new(BODY_READ, body)));
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(kill.clone());
        service.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(NEXT_HEAD)
        .max_buf_size(64 * 1024)
        .serve_connection(io, answer)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut kept = true;
    loop {
        tokio::select! {
            served = connection.as_mut() => {
                return drop(served.inspect_err(|error| tracing::debug!("a connection ended: {error}")));
            }
            () = never_asked(&asked) => return tracing::debug!("a connection asked for nothing"),
            // Who reuses connections would ask a replica that goes away again and again.
            () = answered_in_drain(&asked, &soft), if kept => {
                kept = false;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Ends when the first request's head is late; never once it came.
async fn never_asked(asked: &CancellationToken) {
    if tokio::time::timeout(FIRST_HEAD, asked.cancelled()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

/// The replica drains, and the connection has been of use: a new one is answered once.
async fn answered_in_drain(asked: &CancellationToken, soft: &CancellationToken) {
    asked.cancelled().await;
    soft.cancelled().await;
}

/// Small frames must not wait, a dead peer must not stay, and a slow one must be felt.
fn tune(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}
