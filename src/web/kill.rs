//! Cutting a connection from anywhere: the only reconnectable close that Socket.IO clients know.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// Cuts one accepted connection. Found in the extensions of every request on it.
#[derive(Clone, Debug, Default)]
pub struct Kill(CancellationToken);

impl Kill {
    /// Cuts as well once that token is cancelled.
    pub fn under(token: &CancellationToken) -> Self {
        Self(token.child_token())
    }

    /// Cuts the connection: reads and writes fail at once, whoever waits for them.
    pub fn now(&self) {
        self.0.cancel();
    }

    /// Whether the connection is gone, be it cut or closed.
    pub fn is_over(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// A connection that its [`Kill`] can cut, and that holds its place under a limit; both also after
/// an upgrade.
#[derive(Debug)]
pub struct Killable<T> {
    io: T,
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: OwnedSemaphorePermit,
    _over: DropGuard,
}

impl<T> Killable<T> {
    /// Puts the connection under that kill.
    pub fn new(io: T, kill: &Kill, place: OwnedSemaphorePermit) -> Self {
        let killed = Box::pin(kill.0.clone().cancelled_owned());
        Self { io, killed, _place: place, _over: kill.0.clone().drop_guard() }
    }

    /// Registers the task to be woken by the kill; an error once it came.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.killed.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Killable<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Killable<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
