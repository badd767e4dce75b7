//! One connection through a proxy: two ways, each with its delay and its width.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Mode, Shared, Way};

/// Bytes that may be on their way before the sender feels it.
const WIDE: usize = 1024 * 1024;
/// The same on a narrow way.
const NARROW: usize = 4096;
const READ: usize = 16 * 1024;
/// Bytes that the kernel takes in of a target beyond these.
const RECEIVED: u32 = 32 * 1024;

/// Carries bytes both ways until both ends are done; whatever else happens resets both.
pub(super) async fn carry(client: TcpStream, shared: &Shared, cut: &CancellationToken) {
    let reached = cut.run_until_cancelled(reach(shared)).await;
    let Some(Ok(mut server)) = reached else {
        shared.counts.unreachable.fetch_add(1, Ordering::Relaxed);
        reset(&client);
        return;
    };
    let mut client = client;
    let carried = cut.run_until_cancelled(both_ways(&mut client, &mut server, shared)).await;
    if !matches!(carried, Some(Ok(()))) {
        reset(&client);
        reset(&server);
    }
}

/// The target, as soon as anything reaches it.
async fn reach(shared: &Shared) -> Result<TcpStream, Error> {
    let mut mode = shared.mode.subscribe();
    mode.wait_for(|mode| !mode.up.held).await.map_err(|_| Error::from(ErrorKind::NotConnected))?;
    let socket = TcpSocket::new_v4()?;
    // A client that reads slowly is felt by the target, and not megabytes later.
    socket.set_recv_buffer_size(RECEIVED)?;
    let server = socket.connect(shared.target()).await?;
    server.set_nodelay(true)?;
    Ok(server)
}

fn reset(stream: &TcpStream) {
    // A connection that is gone already needs no reset.
    drop(stream.set_zero_linger());
}

async fn both_ways(
    client: &mut TcpStream,
    server: &mut TcpStream,
    shared: &Shared,
) -> Result<(), Error> {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let up = Pump::new(shared, |mode| mode.up, &shared.counts.up_bytes, false);
    let down = Pump::new(shared, |mode| mode.down, &shared.counts.down_bytes, true);
    let ends = tokio::try_join!(up.run(from_client, to_server), down.run(from_server, to_client));
    ends.map(drop)
}

/// Moves bytes one way.
struct Pump<'a> {
    shared: &'a Shared,
    way: fn(&Mode) -> Way,
    count: &'a AtomicU64,
    trapped: bool,
    mode: watch::Receiver<Mode>,
    /// What is on its way, and when it arrives; nothing stands for the end.
    queue: VecDeque<(Instant, Vec<u8>)>,
    queued: usize,
    free_at: Instant,
    ended: bool,
}

impl<'a> Pump<'a> {
    fn new(shared: &'a Shared, way: fn(&Mode) -> Way, count: &'a AtomicU64, trapped: bool) -> Self {
        let (mode, now) = (shared.mode.subscribe(), Instant::now());
        let queue = VecDeque::new();
        Self { shared, way, count, trapped, mode, queue, queued: 0, free_at: now, ended: false }
    }

    async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), Error> {
        let mut buffer = vec![0; READ];
        let mut trap = Vec::new();
        loop {
            let way = (self.way)(&self.mode.borrow_and_update());
            let wide = way.bytes_per_second.is_none();
            let room = self.queued < if wide { WIDE } else { NARROW };
            let size = if wide { READ } else { NARROW / 4 };
            let due = self.queue.front().map(|(due, _)| *due);
            tokio::select! {
                biased;
                changed = self.mode.changed() => {
                    changed.map_err(|_| Error::from(ErrorKind::NotConnected))?;
                }
                () = until(due), if !way.held => {
                    let Some((_, bytes)) = self.queue.pop_front() else { continue };
                    if bytes.is_empty() {
                        return to.shutdown().await;
                    }
                    self.queued -= bytes.len();
                    to.write_all(&bytes).await?;
                    self.count.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                }
                read = from.read(&mut buffer[..size]), if !way.held && room && !self.ended => {
                    let bytes = &buffer[..read?];
                    if self.trapped && self.shared.springs(&mut trap, bytes) {
                        return Err(ErrorKind::ConnectionAborted.into());
                    }
                    self.take(way, bytes);
                }
            }
        }
    }

    fn take(&mut self, way: Way, bytes: &[u8]) {
        let now = Instant::now();
        let width = way.bytes_per_second.map_or(Duration::ZERO, |rate| {
            Duration::from_secs_f64(bytes.len() as f64 / f64::from(rate.max(1)))
        });
        self.free_at = self.free_at.max(now) + width;
        self.queue.push_back((self.free_at + way.delay, bytes.to_vec()));
        self.queued += bytes.len();
        self.ended = bytes.is_empty();
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
