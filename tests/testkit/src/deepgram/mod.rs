//! Deepgram as its clients see it: a real WebSocket server whose words are tied to audio time.

mod audio;
mod catalog;
mod clock;
mod config;
mod connection;
mod fault;
mod handshake;
mod options;
mod query;
mod record;
mod recorded;
mod refusal;
mod server;
mod shared;
#[cfg(test)]
mod simulator_tests;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpSocket};

pub use config::Config;
use fault::Gate;
pub use fault::{Action, At, Door, Fault};
pub use query::Query;
pub use record::{End, Record, Request, SentFinal};
pub use refusal::{Body, Refusal};
use shared::Shared;

pub use crate::script::{Script, Word};
use crate::tasks::Tasks;
use crate::wait::lock;

/// A running simulator; dropping it ends it and every stream.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// `None` while it is down.
    tasks: Mutex<Option<Tasks>>,
}

impl Simulator {
    /// Starts listening.
    #[expect(clippy::unused_async, reason = "it spawns, so that it needs a runtime around it")]
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let listener = listen(config.address, config.receive_buffer_bytes)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(config));
        let simulator = Self { address, shared, tasks: Mutex::new(None) };
        simulator.accept(listener);
        Ok(simulator)
    }

    /// `http://127.0.0.1:<port>`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every stream without a close frame and refuses connections until [`Self::come_back`].
    pub fn go_down(&self) {
        drop(lock(&self.tasks).take());
    }

    /// Listens again, on the same port.
    pub async fn come_back(&self) -> anyhow::Result<()> {
        let size = self.shared.config.receive_buffer_bytes;
        let mut listener = listen(self.address, size);
        // The old listener closes when its task is dropped, which may take a moment.
        for _ in 0..200 {
            if listener.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            listener = listen(self.address, size);
        }
        self.accept(listener?);
        Ok(())
    }

    /// What streams and recordings from now on say.
    pub fn set_script(&self, script: Script) {
        *lock(&self.shared.script) = script;
    }

    /// Which keys are let in from now on; `None` lets any in.
    pub fn set_keys(&self, keys: Option<Vec<String>>) {
        *lock(&self.shared.keys) = keys;
    }

    /// Refuses the next `times` requests at `door`.
    pub fn refuse(&self, door: Door, times: u32, refusal: Refusal) {
        lock(&self.shared.faults).add_gate(door, times, Gate::Refuse(refusal));
    }

    /// Never answers the next `times` requests at `door`.
    pub fn hang(&self, door: Door, times: u32) {
        lock(&self.shared.faults).add_gate(door, times, Gate::Hang);
    }

    /// Cuts the next `times` requests at `door` without an answer.
    pub fn cut(&self, door: Door, times: u32) {
        lock(&self.shared.faults).add_gate(door, times, Gate::Cut);
    }

    /// Faults of the next accepted stream that has no plan yet; each call plans one stream.
    pub fn plan(&self, faults: Vec<Fault>) {
        lock(&self.shared.faults).add_plan(faults);
    }

    /// Faults of every stream without a plan of its own.
    pub fn plan_every(&self, faults: Vec<Fault>) {
        lock(&self.shared.faults).set_standing(faults);
    }

    /// Forgets every fault that has not struck yet; open streams keep theirs.
    pub fn clear_faults(&self) {
        *lock(&self.shared.faults) = fault::Faults::default();
    }

    /// Strikes open streams now: one, or all. How many were struck.
    pub fn inject(&self, stream: Option<usize>, action: &Action) -> usize {
        let open = lock(&self.shared.open);
        let wanted = open.iter().filter(|(index, _)| stream.is_none_or(|only| only == **index));
        wanted.filter(|(_, sender)| sender.try_send(action.clone()).is_ok()).count()
    }

    /// How many streams are open.
    pub fn open_streams(&self) -> usize {
        lock(&self.shared.open).len()
    }

    /// Every accepted stream that is still remembered, in order.
    pub fn streams(&self) -> Vec<Record> {
        self.shared.book.read(|book| book.streams.iter().cloned().collect())
    }

    /// Every HTTP request that is still remembered, handshakes included, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.book.read(|book| book.requests.iter().cloned().collect())
    }

    /// Waits for a stream that fits, and returns it as it is then.
    pub async fn wait_for_stream(
        &self,
        deadline: Duration,
        fits: impl Fn(&Record) -> bool,
    ) -> anyhow::Result<Record> {
        let find = |book: &record::Book| book.streams.iter().find(|record| fits(record)).cloned();
        self.shared.book.wait(deadline, find, describe).await
    }

    /// Waits until all streams together fit, and returns them as they are then.
    pub async fn wait_for(
        &self,
        deadline: Duration,
        fit: impl Fn(&[Record]) -> bool,
    ) -> anyhow::Result<Vec<Record>> {
        let find = |book: &record::Book| {
            let (front, back) = book.streams.as_slices();
            // Wrapped around only once records are being forgotten.
            let fits = if back.is_empty() { fit(front) } else { fit(&[front, back].concat()) };
            fits.then(|| book.streams.iter().cloned().collect())
        };
        self.shared.book.wait(deadline, find, describe).await
    }

    /// Waits until all requests together fit.
    pub async fn wait_for_requests(
        &self,
        deadline: Duration,
        fit: impl Fn(&[Request]) -> bool,
    ) -> anyhow::Result<Vec<Request>> {
        let find = |book: &record::Book| {
            let requests: Vec<_> = book.requests.iter().cloned().collect();
            fit(&requests).then_some(requests)
        };
        self.shared.book.wait(deadline, find, describe).await
    }

    fn accept(&self, listener: TcpListener) {
        let tasks = Tasks::new();
        let spawner = tasks.spawner();
        spawner.spawn(server::serve(listener, Arc::clone(&self.shared), tasks.spawner()));
        *lock(&self.tasks) = Some(tasks);
    }
}

fn listen(address: SocketAddr, receive_buffer_bytes: Option<u32>) -> anyhow::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    if let Some(bytes) = receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(address).with_context(|| format!("cannot listen on {address}"))?;
    Ok(socket.listen(1024)?)
}

fn describe(book: &record::Book) -> String {
    let stream = |record: &Record| {
        let Record { index, audio_bytes, texts, finals, end, .. } = record;
        let (texts, finals) = (texts.len(), finals.len());
        format!("#{index}: {audio_bytes} bytes, {texts} texts, {finals} finals, end {end:?}")
    };
    let streams: Vec<_> = book.streams.iter().rev().take(5).map(stream).collect();
    let (count, requests) = (book.streams.len(), book.requests.len());
    format!("{count} streams, {requests} requests; latest: {}", streams.join("; "))
}
