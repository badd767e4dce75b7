//! AssemblyAI Universal-Streaming as its clients see it: a real WebSocket server that speaks in
//! turns.

mod config;
mod door;
mod fault;
mod listener;
mod record;
mod session;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

pub use config::Config;
use fault::Faults;
pub use fault::{Action, At, Fault, Refusal};
use record::Book;
pub use record::{Record, SentTurn};

pub use crate::deepgram::End;
use crate::script::Script;
use crate::tasks::{Spawner, Tasks};
use crate::wait::{Watched, lock};

/// A running simulator; dropping it ends it and every session.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// `None` while it is down.
    tasks: Mutex<Option<Tasks>>,
}

/// What every session of a simulator shares.
#[derive(Debug)]
pub(crate) struct Shared {
    config: Config,
    script: Mutex<Script>,
    faults: Mutex<Faults>,
    book: Watched<Book>,
    open: Mutex<HashMap<usize, mpsc::Sender<Action>>>,
}

impl Shared {
    /// Why a client must not have a session, if so.
    fn objection(&self, admission: &door::Admission) -> Option<&'static str> {
        let key = admission.headers.iter().find(|(name, _)| name == "authorization");
        let known = key.is_some_and(|(_, key)| match &self.config.keys {
            None => !key.is_empty(),
            Some(keys) => keys.contains(key),
        });
        if !known {
            return Some("Unauthorized Connection: Missing Authorization header");
        }
        let full = self.config.max_sessions.is_some_and(|most| lock(&self.open).len() >= most);
        full.then_some("Unauthorized Connection: Too many concurrent sessions")
    }
}

impl Simulator {
    /// Starts listening on a free port.
    #[expect(clippy::unused_async, reason = "it spawns, so that it needs a runtime around it")]
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            script: Mutex::new(config.script.clone()),
            config,
            faults: Mutex::default(),
            book: Watched::new(Book::default()),
            open: Mutex::default(),
        });
        let simulator = Self { address, shared, tasks: Mutex::new(None) };
        simulator.accept(listener);
        Ok(simulator)
    }

    /// `http://127.0.0.1:<port>`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends every session without a close frame and refuses connections until
    /// [`Self::come_back`].
    pub fn go_down(&self) {
        drop(lock(&self.tasks).take());
    }

    /// Listens again, on the same port.
    pub async fn come_back(&self) -> anyhow::Result<()> {
        let mut listener = listen(self.address);
        // The old listener closes when its task is dropped, which may take a moment.
        for _ in 0..200 {
            if listener.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            listener = listen(self.address);
        }
        self.accept(listener?);
        Ok(())
    }

    /// What sessions from now on say.
    pub fn set_script(&self, script: Script) {
        *lock(&self.shared.script) = script;
    }

    /// Turns the next `times` clients away.
    pub fn refuse(&self, times: usize, refusal: &Refusal) {
        let refusals = std::iter::repeat_n(refusal.clone(), times);
        lock(&self.shared.faults).refusals.extend(refusals);
    }

    /// Faults of the next session that has no plan yet; each call plans one session.
    pub fn plan(&self, faults: Vec<Fault>) {
        lock(&self.shared.faults).plans.push_back(faults);
    }

    /// Faults of every session without a plan of its own.
    pub fn plan_every(&self, faults: Vec<Fault>) {
        lock(&self.shared.faults).standing = faults;
    }

    /// Forgets every fault that has not struck yet; open sessions keep theirs.
    pub fn clear_faults(&self) {
        *lock(&self.shared.faults) = Faults::default();
    }

    /// Strikes open sessions now: one, or all. How many were struck.
    pub fn inject(&self, session: Option<usize>, action: &Action) -> usize {
        let open = lock(&self.shared.open);
        let wanted = open.iter().filter(|(index, _)| session.is_none_or(|only| only == **index));
        wanted.filter(|(_, sender)| sender.try_send(action.clone()).is_ok()).count()
    }

    /// How many sessions are open.
    pub fn open_sessions(&self) -> usize {
        lock(&self.shared.open).len()
    }

    /// How many clients were turned away.
    pub fn refused(&self) -> u64 {
        self.shared.book.read(|book| book.refused)
    }

    /// Every session that is still remembered, in order.
    pub fn sessions(&self) -> Vec<Record> {
        self.shared.book.read(|book| book.sessions.iter().cloned().collect())
    }

    /// Waits for a session that fits, and returns it as it is then.
    pub async fn wait_for_session(
        &self,
        deadline: Duration,
        fits: impl Fn(&Record) -> bool,
    ) -> anyhow::Result<Record> {
        let find = |book: &Book| book.sessions.iter().find(|record| fits(record)).cloned();
        self.shared.book.wait(deadline, find, |book| format!("{:#?}", book.sessions)).await
    }

    fn accept(&self, listener: TcpListener) {
        let tasks = Tasks::new();
        let spawner = tasks.spawner();
        spawner.spawn(serve(listener, Arc::clone(&self.shared), tasks.spawner()));
        *lock(&self.tasks) = Some(tasks);
    }
}

/// Accepts connections until the spawner's owner goes.
async fn serve(listener: TcpListener, shared: Arc<Shared>, spawner: Spawner) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: give others time to end.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        spawner.spawn(door::serve(stream, Arc::clone(&shared)));
    }
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket.listen(1024)?)
}
