//! Transcripts that are kept when a session asks for it: written beside the session, read over
//! REST, deleted on demand or when their time is over.

mod formats;
pub mod handlers;
mod keeper;
mod queue;
mod recalled;
mod record;
mod recorder;
mod store;
mod sweep;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

pub use formats::Format;
pub use keeper::Keeper;
pub use queue::Start;
pub use record::{Contents, Final, Session};

use crate::{
    auth::Backing,
    model::{Clock, Error},
    postgres::Database,
};
use queue::Queue;
use recorder::Recorder;

/// Keeps transcripts and hands them out; cheap to clone.
#[derive(Clone, Debug)]
pub struct Transcripts {
    queue: Queue,
    database: Database,
    clock: Clock,
}

impl Transcripts {
    /// Starts the recorder and the sweep. The recorder ends after a soft shutdown once every
    /// session has ended and all is written, or at the hard one.
    pub fn new(backing: &Backing, retention_days: i32, clock: Clock) -> Self {
        let Backing { database, redis, users, metrics, shutdown, .. } = backing;
        let (sender, letters) = mpsc::channel(queue::WAITING_LETTERS);
        let queue = Queue::new(sender, metrics.clone());
        let recorder = Recorder {
            database: database.clone(),
            users: users.clone(),
            retention_days,
            queue: queue.clone(),
            letters,
        };
        let stop = shutdown.clone();
        shutdown.spawn(async move { recorder.run(stop).await });
        sweep::start(database.clone(), redis.clone(), shutdown);
        Self { queue, database: database.clone(), clock }
    }

    /// Begins to keep a session. Never waits: its rows are made in the background.
    pub fn keep(&self, start: Start) -> Keeper {
        Keeper::new(start, self.queue.clone(), self.clock)
    }

    /// Waits until all that was said is written; false if `deadline` came first.
    pub async fn flush(&self, deadline: Duration) -> bool {
        let mut waiting = self.queue.watch();
        tokio::time::timeout(deadline, waiting.wait_for(|count| *count == 0)).await.is_ok()
    }

    /// At most so many sessions of a user, newest first, from the one that began before another.
    /// Fails while Postgres is away.
    pub async fn sessions(
        &self,
        user_id: i32,
        before: Option<Uuid>,
        at_most: i64,
    ) -> Result<Vec<Session>, Error> {
        let pool = self.database.pool();
        self.database.run(store::list_sessions(pool, user_id, None, before, at_most)).await
    }

    /// A user's session; nothing if there is none of that id, or it is another's. Fails while
    /// Postgres is away.
    pub async fn session(&self, user_id: i32, id: Uuid) -> Result<Option<Session>, Error> {
        let pool = self.database.pool();
        let found = self.database.run(store::list_sessions(pool, user_id, Some(id), None, 1));
        Ok(found.await?.pop())
    }

    /// What is kept of a session; whose it is was asked before. Fails while Postgres
    /// is away.
    pub async fn contents(&self, id: Uuid) -> Result<Contents, Error> {
        let finals = self.database.run(store::list_finals(self.database.pool(), id)).await?;
        let gaps = self.database.run(store::list_gaps(self.database.pool(), id)).await?;
        Ok(Contents { finals, gaps })
    }

    /// Deletes what is kept of a user's session, and what would still be; false if there is no
    /// such session of theirs. Fails while Postgres is away.
    pub async fn delete(&self, user_id: i32, id: Uuid) -> Result<bool, Error> {
        self.database.run(store::delete_transcript(self.database.pool(), user_id, id)).await
    }
}
