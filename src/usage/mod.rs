//! Billing: of live audio meters move cursors and a recorder writes them, each millisecond once; a
//! single act is one row.

mod acts;
mod course;
mod fallback;
mod marks;
mod meter;
mod price;
mod recorder;
mod start;
mod store;
#[cfg(test)]
mod tests;
mod text_price;
mod writer;

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

pub use acts::{Act, Acts};
pub use course::Course;
pub use fallback::Fallback;
pub use marks::{Left, Mark, Marked, Marks, leave_marks};
pub use meter::Meter;
pub use price::{Price, RATE_CARD, Rate};
pub use start::SessionStart;
pub use text_price::{TextPrice, TextRate};

use crate::{
    auth::Users, lifecycle::Shutdown, model::Clock, postgres::Database, telemetry::Metrics,
};
use fallback::Drain;
use meter::{Cursor, Queue};
use recorder::Recorder;
use writer::Writer;

/// Sessions that may wait to be written at once; each waits once, however much it used.
const WAITING_SESSIONS: usize = 65_536;

/// How a session comes to its owner; the default is its start.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Greater than that of every owner before.
    pub fence: u64,
    /// What owners before left to be billed.
    pub course: Course,
    /// Up to where owners before transcribed it, in milliseconds.
    pub covered_ms: u64,
}

/// Opens meters and sees to it that what they count is written; cheap to clone.
#[derive(Clone, Debug)]
pub struct Usage {
    queue: Queue,
    clock: Clock,
    fallback: Option<Fallback>,
    // Shared, since it is large and every session has a copy of this.
    acts: Arc<Acts>,
}

impl Usage {
    /// Starts the recorder. It ends after a soft shutdown once every meter has finished and all is
    /// written, or at the hard one. Without a fallback usage waits in memory while Postgres is away.
    pub fn new(
        database: Database,
        users: Users,
        metrics: Metrics,
        shutdown: &Shutdown,
        clock: Clock,
        fallback: Option<Fallback>,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_SESSIONS);
        let (pool, people) = (database.clone(), users.clone());
        let (counters, beside) = (metrics.clone(), fallback.clone());
        let acts = Arc::new(Acts::new(pool, people, counters, shutdown.clone(), beside));
        let restoring = acts.clone();
        shutdown.spawn(async move { restoring.restore().await });
        let queue = Queue::new(sender, metrics);
        let writer = Writer { database, users, queue: queue.clone() };
        if let Some(Fallback { waiting, sealed, .. }) = fallback.clone() {
            let (drain, stop) = (Drain::new(waiting, sealed, writer.clone()), shutdown.clone());
            shutdown.spawn(async move { drain.run(stop).await });
        }
        let recorder = Recorder::new(writer, fallback.clone(), receiver);
        let stop = shutdown.clone();
        shutdown.spawn(async move { recorder.run(stop).await });
        Self { queue, clock, fallback, acts }
    }

    /// Opens the meter of a session. Never waits: its row is made in the background, and what owners
    /// before left is billed with it.
    pub fn open(&self, start: SessionStart, taken: Taken) -> Meter {
        let cursor = Cursor::new(start, taken, self.clock);
        Meter::new(Arc::new(cursor), self.queue.clone(), self.clock)
    }

    /// Bills a single act; see [`Acts::charge`].
    pub async fn charge(&self, act: Act) {
        self.acts.charge(act).await;
    }

    /// Sessions whose usage waits to be written.
    pub fn pending(&self) -> usize {
        self.queue.pending()
    }

    /// Whether no more can wait, so that new sessions should be refused.
    pub fn is_full(&self) -> bool {
        let is_full = |fallback: &Fallback| fallback.scratch.is_full();
        self.pending() >= WAITING_SESSIONS || self.fallback.as_ref().is_some_and(is_full)
    }

    /// Waits until all that was counted is in Postgres or Redis; false if `deadline` came first.
    pub async fn flush(&self, deadline: Duration) -> bool {
        let mut waiting = self.queue.watch();
        tokio::time::timeout(deadline, waiting.wait_for(|count| *count == 0)).await.is_ok()
    }
}
