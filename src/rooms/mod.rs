//! Rooms: what a session says, seen by any number of viewers on any replica, in order and without
//! holes, or with the hole told.

mod fanout;
mod feed;
mod history;
mod membership;
mod name;
mod publisher;
mod share;
#[cfg(test)]
mod tests;
mod text;
mod viewer;

use std::{sync::Arc, time::Duration};

use fanout::Fanout;
use membership::Members;

pub use history::{Appended, Bounds, Claim, History, MAX_BYTES, MAX_FINALS, PAGE, Read, Reason};
pub use name::RoomName;
pub use publisher::{Published, Publisher};
pub use share::{Share, Shares};
pub use text::{Cursor, Label, Position, Recorded, Text};
pub use viewer::{Start, Update, Viewer};

use crate::{
    auth::{Revocations, Secrets},
    lifecycle::Shutdown,
    model::Error,
    redis::Redis,
    telemetry::Metrics,
};

/// What rooms are built from.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Where histories are.
    pub redis: Redis,
    /// What seals owners and share tokens.
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
    fanout: Arc<Fanout>,
    members: Arc<Members>,
    shares: Shares,
    metrics: Metrics,
}

/// A room as it is now.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Where a viewer goes on from it.
    pub cursor: Cursor,
    /// The last finals, in order.
    pub finals: Vec<Arc<Recorded>>,
    /// The interim, where this replica has heard it.
    pub interim: Option<Arc<Text>>,
    /// Viewers on all replicas.
    pub viewers: u64,
}

impl Rooms {
    /// Rooms whose history lasts that long after the last final.
    pub fn start(ground: Ground, life: Duration, shutdown: &Shutdown) -> Self {
        let bounds = Bounds { finals: MAX_FINALS, bytes: MAX_BYTES, life };
        Self::bounded(ground, bounds, shutdown)
    }

    /// Rooms with these bounds.
    pub fn bounded(ground: Ground, bounds: Bounds, shutdown: &Shutdown) -> Self {
        let Ground { redis, secrets, revocations, metrics } = ground;
        let history = History::new(redis.clone(), secrets.clone(), bounds);
        Self {
            fanout: Fanout::start(redis.clone(), history.clone(), metrics.clone(), shutdown),
            members: Members::start(redis.clone(), metrics.clone(), shutdown),
            shares: Shares::new(redis, secrets, revocations),
            history,
            metrics,
        }
    }

    /// The histories themselves.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Share tokens.
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    /// A publisher of one session, in the name of a claim from [`History::claim`].
    pub fn publisher(&self, claim: Claim) -> Publisher {
        Publisher::new(self.history.clone(), self.metrics.clone(), claim)
    }

    /// Begins to watch a room, whether anything was ever said there or not. Waits for nothing.
    pub fn join(&self, room: &RoomName, start: Start) -> Viewer {
        let feed = self.fanout.enter(room);
        Viewer::new(self.fanout.clone(), feed, start, self.members.sit(room))
    }

    /// Viewers of a room on all replicas.
    pub async fn viewers(&self, room: &RoomName) -> Result<u64, Error> {
        self.members.count(room).await
    }

    /// A room as it is now, with at most that many finals (at most [`PAGE`]); from memory where
    /// somebody on this replica watches it.
    pub async fn snapshot(&self, room: &RoomName, limit: usize) -> Result<Snapshot, Error> {
        let viewers = self.viewers(room).await?;
        let limit = limit.min(PAGE);
        let known = self.fanout.feed(room).and_then(|feed| {
            let state = feed.state();
            let current = state.loaded && !state.degraded;
            current.then(|| (state.cursor, state.latest(limit)))
        });
        if let Some((cursor, (finals, interim))) = known {
            return Ok(Snapshot { cursor, finals, interim, viewers });
        }
        let finals = self.history.read_end(room, limit.max(1)).await?;
        let cursor = finals.last().map_or_else(Cursor::default, |last| last.cursor());
        let finals = finals.into_iter().take(limit).collect();
        Ok(Snapshot { cursor, finals, interim: None, viewers })
    }
}
