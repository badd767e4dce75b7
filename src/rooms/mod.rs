//! Rooms: what a session says, seen by any number of viewers on any replica, in order and without
//! holes, or with the hole told.

mod fanout;
mod feed;
mod found;
mod history;
mod membership;
mod name;
mod publisher;
mod reading;
mod refuge;
mod runs;
mod seals;
mod settle;
mod share;
#[cfg(test)]
mod tests;
mod text;
mod viewer;

use std::{sync::Arc, time::Duration};

use fanout::Fanout;
use membership::Members;
use refuge::Refuge;
use seals::Seals;

pub use found::{End, Held, Read, Reason, Said};
pub use history::{Appended, Bounds, Claim, History, MAX_BYTES, MAX_FINALS, PAGE};
pub use name::RoomName;
pub use publisher::{Published, Publisher};
pub use settle::Settled;
pub use share::{Share, Shares};
pub use text::{Cursor, Label, Position, Recorded, Text};
pub use viewer::{Start, Update, Viewer};

use crate::{
    auth::{Revocations, Secrets, is_same_account},
    lifecycle::Shutdown,
    model::{Error, SessionId},
    postgres::Database,
    redis::Redis,
    telemetry::Metrics,
    usage::Marks,
};

/// What rooms are built from.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Where histories are.
    pub redis: Redis,
    /// Where finals are left while Redis refuses them.
    pub database: Database,
    /// What seals owners, words and share tokens.
    pub secrets: Secrets,
    /// Who tells that a share token was taken back.
    pub revocations: Revocations,
    /// Where is counted.
    pub metrics: Metrics,
}

/// The rooms of one replica. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rooms {
    history: History,
    refuge: Refuge,
    fanout: Arc<Fanout>,
    members: Arc<Members>,
    shares: Shares,
    metrics: Metrics,
}

/// A room as it is now.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Where its last final stands, if anything was said.
    pub position: Position,
    /// Viewers on all replicas.
    pub viewers: u64,
    /// Whether somebody speaks there.
    pub live: bool,
}

impl Rooms {
    /// Rooms whose history lasts that long after the last final.
    pub fn start(ground: Ground, life: Duration, shutdown: &Shutdown) -> Self {
        let bounds = Bounds { finals: MAX_FINALS, bytes: MAX_BYTES, life };
        Self::bounded(ground, bounds, shutdown)
    }

    /// Rooms with these bounds.
    pub fn bounded(ground: Ground, bounds: Bounds, shutdown: &Shutdown) -> Self {
        let Ground { redis, database, secrets, revocations, metrics } = ground;
        let seals = Seals::new(&secrets, metrics.clone());
        let history = History::new(redis.clone(), seals, bounds);
        let marks = Marks::new(database.clone(), bounds.life);
        let refuge = Refuge::start((database, marks), history.clone(), metrics.clone(), shutdown);
        let fanout = Fanout::start(redis.clone(), history.clone(), metrics.clone(), shutdown);
        Self {
            refuge,
            members: Members::start(redis.clone(), fanout.clone(), shutdown),
            fanout,
            shares: Shares::new(redis, secrets, revocations),
            history,
            metrics,
        }
    }

    /// The histories themselves.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Where sessions stand as Postgres knows it.
    pub fn marks(&self) -> &Marks {
        self.refuge.marks()
    }

    /// What a session said while Redis refused it and has not been brought there, in order. Fails
    /// while Postgres is away.
    pub async fn kept(&self, session: SessionId) -> Result<Vec<Text>, Error> {
        self.refuge.read(session).await
    }

    /// Share tokens.
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    /// A publisher of one session, in the name of a claim from [`History::claim`].
    pub fn publisher(&self, claim: Claim) -> Publisher {
        Publisher::new(self.history.clone(), self.refuge.clone(), self.metrics.clone(), claim)
    }

    /// Begins to watch a room for an account, whether anything was ever said there or not. Waits for
    /// nothing.
    pub fn join(&self, room: &RoomName, account: &str, start: Start) -> Viewer {
        let feed = self.fanout.enter(room);
        Viewer::new(self.fanout.clone(), feed, (account, start), self.members.sit(room))
    }

    /// Viewers of a room on all replicas.
    pub async fn viewers(&self, room: &RoomName) -> Result<u64, Error> {
        self.members.count(room).await
    }

    /// Whether a room is that account's, or nobody's yet; fails with `forbidden` if it is another's.
    pub async fn is_owned(&self, room: &RoomName, account: &str) -> Result<bool, Error> {
        let owner = self.history.read_end(room, 1).await?.owner;
        match owner {
            Some(owner) if !is_same_account(&owner, account) => Err(history::foreign()),
            owner => Ok(owner.is_some()),
        }
    }

    /// A room of that account's as it is now; nothing where nobody ever spoke, or long ago. Fails with
    /// `forbidden` if it is another account's.
    pub async fn look(&self, room: &RoomName, account: &str) -> Result<Option<Look>, Error> {
        let End { owner, cursor, live, .. } = self.history.read_end(room, 1).await?;
        match owner {
            None => return Ok(None),
            Some(owner) if !is_same_account(&owner, account) => return Err(history::foreign()),
            Some(_) => {}
        }
        Ok(Some(Look { position: cursor.position, viewers: self.viewers(room).await?, live }))
    }
}
