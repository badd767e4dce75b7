//! The sessions that this replica owns, and the call by which another replica asks for one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fred::interfaces::PubsubInterface;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    lifecycle::Shutdown,
    model::{Error, SessionId},
    redis::{Heard, Redis, unavailable},
    rooms::RoomName,
};

/// How long Redis may take to pass a call on: whoever is not asked is fenced off, and says again.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sessions of this replica by their id. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Owners {
    replica: Uuid,
    redis: Redis,
    sessions: Arc<Mutex<HashMap<SessionId, Owned>>>,
}

#[derive(Debug)]
struct Owned {
    asked: CancellationToken,
    /// Where it publishes.
    room: RoomName,
    /// Which of the owners that the session had here.
    number: u64,
}

/// One session's ownership, which ends when it is dropped.
#[derive(Debug)]
pub struct Ownership {
    owners: Owners,
    session: SessionId,
    number: u64,
    asked: CancellationToken,
}

impl Owners {
    /// Listens for other replicas until the hard stop.
    pub fn start(replica: Uuid, redis: Redis, shutdown: &Shutdown) -> Self {
        let mut calls = redis.listen(redis.keys().replica(&replica.to_string()), shutdown);
        let owners = Self { replica, redis, sessions: Arc::default() };
        let listener = owners.clone();
        shutdown.spawn(async move {
            while let Some(heard) = calls.recv().await {
                // A call that was lost costs the caller its patience, and nothing else.
                if let Heard::Message(text) = heard
                    && let Ok(id) = text.parse()
                {
                    listener.ask_here(SessionId(id));
                }
            }
        });
        owners
    }

    /// Who this replica is.
    pub const fn replica(&self) -> Uuid {
        self.replica
    }

    /// Notes that a session is owned here. An owner before, if it is still here, is asked to let go.
    pub fn own(&self, session: SessionId, room: &RoomName) -> Ownership {
        let asked = CancellationToken::new();
        let mut sessions = self.lock();
        let number = sessions.get(&session).map_or(0, |owned| owned.number + 1);
        let owned = Owned { asked: asked.clone(), room: room.clone(), number };
        let former = sessions.insert(session, owned);
        drop(sessions);
        if let Some(former) = former {
            former.asked.cancel();
        }
        Ownership { owners: self.clone(), session, number, asked }
    }

    /// What is owned here now.
    pub fn owned(&self) -> Vec<(SessionId, RoomName)> {
        self.lock().iter().map(|(session, owned)| (*session, owned.room.clone())).collect()
    }

    /// Whether a session is owned here now.
    pub fn owns(&self, session: SessionId) -> bool {
        self.lock().contains_key(&session)
    }

    /// Asks a replica to let go of a session; false if nobody hears it there.
    pub async fn ask(&self, replica: Uuid, session: SessionId) -> Result<bool, Error> {
        if replica == self.replica {
            return Ok(self.ask_here(session));
        }
        let channel = self.redis.keys().replica(&replica.to_string());
        let client = self.redis.patient(PATIENCE);
        let heard: Result<i64, _> = client.publish(channel, session.to_string()).await;
        heard.map(|heard| heard > 0).map_err(unavailable)
    }

    fn ask_here(&self, session: SessionId) -> bool {
        let sessions = self.lock();
        let owned = sessions.get(&session);
        if let Some(owned) = owned {
            owned.asked.cancel();
        }
        owned.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Owned>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ownership {
    /// Cancelled once another owner asks for the session.
    pub fn asked(&self) -> &CancellationToken {
        &self.asked
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        let mut sessions = self.owners.lock();
        if sessions.get(&self.session).is_some_and(|owned| owned.number == self.number) {
            sessions.remove(&self.session);
        }
    }
}
