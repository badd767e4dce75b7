//! Who watches which room, counted over all replicas: viewers of a replica that dies are forgotten.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fred::types::{Value, scripts::Script};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use uuid::Uuid;

use super::{RoomName, fanout::Fanout};
use crate::{
    fleet::{EXPIRY, HEARTBEAT},
    lifecycle::Shutdown,
    model::Error,
    redis::{Redis, unavailable},
    telemetry::Metrics,
};

/// Viewers that one script renews: Redis does nothing else meanwhile.
const BATCH: usize = 500;
const DEADLINE: Duration = Duration::from_secs(2);

/// The viewers of this replica, as Redis is told.
#[derive(Debug)]
pub(super) struct Members {
    redis: Redis,
    renew: Script,
    metrics: Metrics,
    fanout: Arc<Fanout>,
    rooms: Mutex<HashMap<RoomName, Here>>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Here {
    all: HashSet<Uuid>,
    came: Vec<Uuid>,
    left: Vec<Uuid>,
}

/// A viewer's membership, which ends when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    members: Arc<Members>,
    room: RoomName,
    id: Uuid,
}

impl Members {
    /// Tells Redis until the hard stop.
    pub(super) fn start(redis: Redis, fanout: Arc<Fanout>, shutdown: &Shutdown) -> Arc<Self> {
        let renew = Script::from_lua(include_str!("renew.lua"));
        let (rooms, changed) = (Mutex::default(), Notify::new());
        let metrics = fanout.metrics.clone();
        let members = Arc::new(Self { redis, renew, metrics, fanout, rooms, changed });
        let (stop, kept) = (shutdown.hard().clone(), members.clone());
        shutdown.spawn(async move { stop.run_until_cancelled(kept.keep()).await });
        members
    }

    pub(super) fn sit(self: &Arc<Self>, room: &RoomName) -> Seat {
        let id = Uuid::new_v4();
        let mut rooms = self.rooms();
        let here = rooms.entry(room.clone()).or_default();
        here.all.insert(id);
        here.came.push(id);
        drop(rooms);
        self.changed.notify_one();
        self.metrics.room_viewers.add(1, &[]);
        Seat { members: self.clone(), room: room.clone(), id }
    }

    /// Viewers of a room on all replicas.
    pub(super) async fn count(&self, room: &RoomName) -> Result<u64, Error> {
        self.tell(room, &[], &[]).await.map_err(unavailable)
    }

    /// Tells changes at once, and everything with each heartbeat.
    async fn keep(&self) {
        let mut beat = Instant::now() + HEARTBEAT;
        loop {
            let all = tokio::select! {
                () = sleep_until(beat) => true,
                () = self.changed.notified() => false,
            };
            if all {
                beat = Instant::now() + HEARTBEAT;
            }
            let rounds = self.take(all);
            let rounds = rounds.iter().map(|(room, here, left)| async move {
                // Batches of a room follow each other; rooms go beside each other.
                for batch in here.chunks(BATCH) {
                    self.tell(room, batch, &[]).await?;
                }
                for batch in left.chunks(BATCH) {
                    self.tell(room, &[], batch).await?;
                }
                Ok::<(), fred::error::Error>(())
            });
            for told in futures_util::future::join_all(rounds).await {
                if let Err(error) = told {
                    tracing::debug!("viewers are not counted: {error}");
                }
            }
        }
    }

    /// Of each room that is to be told of: who is here, and who left.
    fn take(&self, all: bool) -> Vec<(RoomName, Vec<Uuid>, Vec<Uuid>)> {
        let mut rooms = self.rooms();
        let mut taken = Vec::new();
        for (room, here) in rooms.iter_mut() {
            let came = std::mem::take(&mut here.came);
            let came: Vec<Uuid> = if all {
                here.all.iter().copied().collect()
            } else {
                came.into_iter().filter(|id| here.all.contains(id)).collect()
            };
            let left = std::mem::take(&mut here.left);
            if !came.is_empty() || !left.is_empty() {
                taken.push((room.clone(), came, left));
            }
        }
        rooms.retain(|_, here| !here.all.is_empty());
        taken
    }

    /// Tells of a room; how many viewers it has then.
    async fn tell(
        &self,
        room: &RoomName,
        here: &[Uuid],
        left: &[Uuid],
    ) -> Result<u64, fred::error::Error> {
        let channel = self.redis.keys().room_channel(room.as_str());
        let (expiry_ms, leaving) = (EXPIRY.as_millis() as i64, left.len() as i64);
        let mut arguments: Vec<Value> = vec![expiry_ms.into(), channel.into(), leaving.into()];
        arguments.extend(left.iter().chain(here).map(|id| Value::from(id.to_string())));
        let keys = vec![self.redis.keys().room_viewers(room.as_str())];
        let count = self.redis.run(&self.renew, DEADLINE, keys, arguments).await?;
        if let Some(feed) = self.fanout.feed(room) {
            feed.count(count);
        }
        Ok(count)
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<RoomName, Here>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Viewers of the room on all replicas, this one among them.
    pub(super) async fn count(&self) -> Result<u64, Error> {
        self.members.tell(&self.room, &[self.id], &[]).await.map_err(unavailable)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.members.metrics.room_viewers.add(-1, &[]);
        if let Some(here) = self.members.rooms().get_mut(&self.room) {
            here.all.remove(&self.id);
            here.left.push(self.id);
        }
        self.members.changed.notify_one();
    }
}
