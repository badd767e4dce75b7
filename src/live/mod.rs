//! Real-time audio: three doorways, one session behind all.

mod allowance;
mod arguments;
pub mod audience;
mod bookmark;
mod caller;
mod client;
mod command;
mod entry;
mod found;
mod guard;
mod herald;
mod inbox;
mod intake;
mod lapse;
pub mod lines;
pub mod listen;
mod migration;
pub mod options;
mod outbox;
mod outcome;
mod owners;
mod payload;
mod place;
mod progress;
mod request;
mod resumption;
mod said;
mod session;
#[cfg(test)]
mod simulation;
pub mod socketio;
mod sockets;
mod splice;
mod standing;
mod timeline;
mod trace;
mod transcriber;
mod upstream;
pub mod websocket;
pub mod wire;

use std::{sync::Arc, time::Duration};

pub use lapse::Lapses;
pub use owners::Owners;
pub use sockets::OpenSockets;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    auth::{Authenticator, Secrets},
    lifecycle::Shutdown,
    limits::{Leases, Limits, Slots},
    model::{Clock, Error, ErrorKind},
    providers::{Lineup, Live},
    rooms::Rooms,
    telemetry::{Metrics, Tracer},
    transcripts::Transcripts,
    usage::Usage,
};

/// The path of both doorways: the Socket.IO namespace and the raw WebSocket's route.
pub const PATH: &str = "/audio-stream";

/// Numbers of clients are below it: those, every client and every script reads as they were written.
const GREATEST: u64 = 1 << 53;
/// How long a credential may take to be verified at a door.
const AUTHENTICATION: Duration = Duration::from_secs(5);

fn full() -> Error {
    Error::new(ErrorKind::Overloaded, "this replica runs as many sessions as it may")
}

/// What live audio needs. Cheap to clone.
#[derive(Clone)]
pub struct LiveService {
    /// Who verifies credentials.
    pub auth: Authenticator,
    /// Who counts what users do.
    pub limits: Limits,
    /// The first choice of who transcribes: clients' options are read for it.
    pub live: Live,
    /// Who transcribes, the first choice first.
    pub lineup: Lineup,
    /// Who bills.
    pub usage: Usage,
    /// Who keeps what is said, where that is asked for.
    pub transcripts: Transcripts,
    /// Where sessions are told.
    pub rooms: Rooms,
    /// The sessions of this replica, and the way to those of others.
    pub owners: Owners,
    /// When sessions that nobody comes back to are given up.
    pub lapses: Lapses,
    /// What seals what sessions leave behind.
    pub secrets: Secrets,
    /// How long a drain may take.
    pub drain: Duration,
    /// Where it is counted.
    pub metrics: Metrics,
    /// Who writes spans, where they are exported.
    pub tracer: Option<Tracer>,
    /// The wall clock.
    pub clock: Clock,
    /// Who waits for sessions.
    pub shutdown: Shutdown,
    /// Silence after which a provider's connection is let go.
    pub idle: Duration,
    /// How often usage is handed over.
    pub checkpoint: Duration,
    /// Who counts the sessions of each account, over all replicas.
    pub leases: Leases,
    /// Which sessions are stored, for who missed something.
    pub links: audience::Links,
    /// Who counts the connections to each provider, over all replicas.
    pub upstream_slots: Slots,
    /// Who counts the sockets of each account on this replica.
    pub sockets: OpenSockets,
    /// Sessions that may run on this replica.
    pub slots: Arc<Semaphore>,
}

impl LiveService {
    /// Takes a slot for a session, or says why there is none.
    fn admit(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.slots.clone().try_acquire_owned().map_err(|_| full())
    }

    /// Whether a session could start now; takes nothing.
    pub fn welcome(&self) -> Result<(), Error> {
        self.live.available()?;
        self.open()?;
        if self.slots.available_permits() == 0 { Err(full()) } else { Ok(()) }
    }

    /// An error while the replica drains.
    fn open(&self) -> Result<(), Error> {
        if self.shutdown.soft().is_cancelled() {
            return Err(Error::new(ErrorKind::ShuttingDown, "the replica is shutting down"));
        }
        Ok(())
    }
}
