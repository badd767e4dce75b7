//! A TCP proxy that misbehaves on command: late, narrow, deaf, shut, or cut in mid-sentence.

mod carry;
mod mode;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use mode::{Mode, Way};

use crate::process::free_port;
use crate::seed::Dice;
use crate::tasks::{Spawner, Tasks};
use crate::wait::lock;

/// How long until another attempt to listen on a port that is not free yet.
const RELISTEN: Duration = Duration::from_millis(5);

/// What went through a proxy so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections taken.
    pub accepted: u64,
    /// Those of them whose target could not be reached.
    pub unreachable: u64,
    /// Those of them that were cut.
    pub cut: u64,
    /// Those that are open now.
    pub open: u64,
    /// Bytes to the target.
    pub up_bytes: u64,
    /// Bytes to clients.
    pub down_bytes: u64,
}

/// A running proxy on a port of loopback; dropping it resets what it carries.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: Tasks,
}

impl Proxy {
    /// Listens on a free port and carries to `target`.
    pub async fn start(target: SocketAddr) -> anyhow::Result<Self> {
        Self::seeded(target, Dice::fresh_seed()).await
    }

    /// The same; the seed decides which connections [`Self::cut_some`] cuts.
    #[expect(clippy::unused_async, reason = "it spawns, so that it needs a runtime around it")]
    pub async fn seeded(target: SocketAddr, seed: u64) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let listener = listen(address)?;
        let shared = Arc::new(Shared::new(target, seed));
        let tasks = Tasks::new();
        let accepting = accept(address, listener, Arc::clone(&shared), tasks.spawner());
        tasks.spawner().spawn(accepting);
        Ok(Self { address, shared, _tasks: tasks })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Carries new connections to another target.
    pub fn set_target(&self, target: SocketAddr) {
        *lock(&self.shared.target) = target;
    }

    /// Behaves so from now on, on open connections too.
    pub fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// Lets everything pass again.
    pub fn pass(&self) {
        self.set(Mode::default());
    }

    /// Resets every open connection, both ends of it; how many.
    pub fn cut_all(&self) -> usize {
        self.cut_some(1.0)
    }

    /// Resets open connections, each with that probability; how many.
    pub fn cut_some(&self, probability: f64) -> usize {
        let (mut dice, open) = (lock(&self.shared.dice), lock(&self.shared.open));
        let chosen: Vec<_> = open.values().filter(|_| dice.happens(probability)).collect();
        for cut in &chosen {
            cut.cancel();
        }
        self.shared.counts.cut.fetch_add(chosen.len() as u64, Ordering::Relaxed);
        chosen.len()
    }

    /// Cuts the next connections on which the target says `words`, before these are passed on: the
    /// act was done and nobody is told. `times` is how many are cut so.
    pub fn cut_before(&self, words: &[u8], times: u32) {
        *lock(&self.shared.trap) = Some((words.to_vec(), times));
    }

    /// What went through it so far.
    pub fn counts(&self) -> Counts {
        let counts = &self.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            accepted: read(&counts.accepted),
            unreachable: read(&counts.unreachable),
            cut: read(&counts.cut),
            open: lock(&self.shared.open).len() as u64,
            up_bytes: read(&counts.up_bytes),
            down_bytes: read(&counts.down_bytes),
        }
    }
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    unreachable: AtomicU64,
    cut: AtomicU64,
    up_bytes: AtomicU64,
    down_bytes: AtomicU64,
}

#[derive(Debug)]
struct Shared {
    target: Mutex<SocketAddr>,
    mode: watch::Sender<Mode>,
    open: Mutex<BTreeMap<u64, CancellationToken>>,
    trap: Mutex<Option<(Vec<u8>, u32)>>,
    dice: Mutex<Dice>,
    counts: Counters,
}

impl Shared {
    fn new(target: SocketAddr, seed: u64) -> Self {
        Self {
            target: Mutex::new(target),
            mode: watch::Sender::new(Mode::default()),
            open: Mutex::new(BTreeMap::new()),
            trap: Mutex::new(None),
            dice: Mutex::new(Dice::new(seed)),
            counts: Counters::default(),
        }
    }

    fn target(&self) -> SocketAddr {
        *lock(&self.target)
    }

    /// Whether these bytes, after those in `seen`, complete the words that are waited for.
    fn springs(&self, seen: &mut Vec<u8>, bytes: &[u8]) -> bool {
        let mut trap = lock(&self.trap);
        let Some((words, times)) = trap.as_mut().filter(|(words, _)| !words.is_empty()) else {
            return false;
        };
        seen.extend_from_slice(bytes);
        let sprung = *times > 0 && seen.windows(words.len()).any(|window| window == words);
        if sprung {
            *times -= 1;
            self.counts.cut.fetch_add(1, Ordering::Relaxed);
        }
        seen.drain(..seen.len().saturating_sub(words.len() - 1));
        sprung
    }
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address).with_context(|| format!("cannot listen on {address}"))?;
    Ok(socket.listen(4096)?)
}

async fn accept(address: SocketAddr, listener: TcpListener, shared: Arc<Shared>, spawner: Spawner) {
    let (mut listener, mut mode) = (Some(listener), shared.mode.subscribe());
    loop {
        let refuses = mode.borrow_and_update().refuses;
        listener = listener.filter(|_| !refuses);
        if listener.is_none() && !refuses {
            listener = listen(address).ok();
        }
        let changed = match &listener {
            None if refuses => mode.changed().await,
            None => tokio::select! {
                changed = mode.changed() => changed,
                () = sleep(RELISTEN) => Ok(()),
            },
            Some(listener) => tokio::select! {
                changed = mode.changed() => changed,
                accepted = listener.accept() => {
                    if let Ok((client, _)) = accepted {
                        admit(client, &shared, &spawner);
                    }
                    Ok(())
                }
            },
        };
        if changed.is_err() {
            return;
        }
    }
}

fn admit(client: TcpStream, shared: &Arc<Shared>, spawner: &Spawner) {
    // Bytes that wait for company would be late without being asked to.
    drop(client.set_nodelay(true));
    let number = shared.counts.accepted.fetch_add(1, Ordering::Relaxed);
    let cut = CancellationToken::new();
    lock(&shared.open).insert(number, cut.clone());
    let shared = Arc::clone(shared);
    spawner.spawn(async move {
        carry::carry(client, &shared, &cut).await;
        lock(&shared.open).remove(&number);
    });
}
