//! Connections to other replicas: kept for reuse, each with its deadlines.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, http::Uri};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioIo, TokioTimer},
};
use tokio::{net::TcpStream, time::timeout};
use tower::Service;

use crate::lifecycle::Shutdown;

/// How long a connection may take to come about, the name's look-up included.
const CONNECT: Duration = Duration::from_secs(2);
/// How long an idle connection is kept: shorter than the other side keeps it.
const IDLE: Duration = Duration::from_secs(30);
/// Idle connections that are kept to one replica.
const MAX_IDLE: usize = 64;
/// How long sent data may stay unacknowledged before the connection counts as dead.
const USER_TIMEOUT: Duration = Duration::from_secs(20);
/// What the kernel may hold of an answer that its client does not read yet.
const RECEIVE_BYTES: usize = 64 * 1024;

pub(super) type Wire = Client<Connector, Body>;

/// A client without connections.
pub(super) fn wire(shutdown: &Shutdown) -> Wire {
    Client::builder(Tasks(shutdown.clone()))
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MAX_IDLE)
        .build(Connector)
}

/// Runs what drives a connection, until the hard stop.
#[derive(Clone)]
struct Tasks(Shutdown);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let hard = self.0.hard().clone();
        self.0.spawn(async move {
            hard.run_until_cancelled(task).await;
        });
    }
}

/// Connects to the host and port of an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connector;

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move {
            let authority = uri.authority().ok_or(io::ErrorKind::InvalidInput)?;
            let stream = timeout(CONNECT, TcpStream::connect(authority.as_str())).await??;
            tune(&stream)?;
            Ok(TokioIo::new(stream))
        })
    }
}

/// Small frames must not wait, a dead peer must not stay, and a slow reader must be felt over there.
fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    socket.set_recv_buffer_size(RECEIVE_BYTES)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}
