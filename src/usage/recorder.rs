//! Writes what meters count, in batches, for as long as it takes.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tracing::{error, warn};

use super::{
    meter::{Cursor, Entry, Queue},
    store::{self, Written},
};
use crate::{
    auth::Users,
    backoff::Backoff,
    lifecycle::Shutdown,
    model::{Error, ErrorKind},
    postgres::Database,
    telemetry::log_patterns,
};

/// Sessions of one transaction.
const BATCH: usize = 500;
/// How long a batch waits for more.
const GATHER: Duration = Duration::from_millis(100);
/// How long sessions that the hard shutdown cuts may take to hand over their last audio.
const LAST_METERS: Duration = Duration::from_millis(500);
/// What is left at the hard shutdown gets one attempt of this length.
const LAST_ATTEMPT: Duration = Duration::from_secs(2);

/// The one writer of a replica's usage.
pub(super) struct Recorder {
    database: Database,
    users: Users,
    queue: Queue,
    receiver: mpsc::Receiver<Arc<Cursor>>,
}

impl Recorder {
    pub(super) fn new(
        database: Database,
        users: Users,
        queue: Queue,
        receiver: mpsc::Receiver<Arc<Cursor>>,
    ) -> Self {
        Self { database, users, queue, receiver }
    }

    /// Runs until all is written after a soft shutdown, or until the hard one.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        let mut open = self.queue.open_meters();
        let ended = async {
            shutdown.soft().cancelled().await;
            // The sender lives in this struct, so the wait ends by the count alone.
            let _counted = open.wait_for(|open| *open == 0).await;
        };
        tokio::pin!(ended);
        let mut batch = Vec::with_capacity(BATCH);
        let mut ending = false;
        loop {
            tokio::select! {
                biased;
                () = shutdown.hard().cancelled() => break,
                () = self.gather(&mut batch), if !ending => {}
                () = &mut ended, if !ending => {
                    ending = true;
                    self.collect(&mut batch);
                }
                () = std::future::ready(()), if ending => self.collect(&mut batch),
            }
            if ending && batch.is_empty() {
                break;
            }
            let written = Box::pin(self.write_until_done(&batch));
            if shutdown.hard().run_until_cancelled(written).await.is_none() {
                break;
            }
            self.queue.done(batch.len());
            batch.clear();
        }
        let mut open = self.queue.open_meters();
        // A session that takes longer has been billed up to its last checkpoint.
        let _in_time = timeout(LAST_METERS, open.wait_for(|open| *open == 0)).await.is_ok();
        self.write_the_rest(batch).await;
    }

    /// Waits for the next batch: the first session, and what comes shortly after it.
    async fn gather(&mut self, batch: &mut Vec<Arc<Cursor>>) {
        // Never nothing: this struct holds a sender, so the queue cannot end.
        self.receiver.recv_many(batch, BATCH).await;
        let until = Instant::now() + GATHER;
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            if timeout_at(until, self.receiver.recv_many(batch, room)).await.is_err() {
                break;
            }
        }
    }

    /// Fills the batch with what waits already.
    fn collect(&mut self, batch: &mut Vec<Arc<Cursor>>) {
        while batch.len() < BATCH
            && let Ok(cursor) = self.receiver.try_recv()
        {
            batch.push(cursor);
        }
    }

    /// Retries for as long as the server is away; a batch that it refuses is taken apart.
    async fn write_until_done(&self, batch: &[Arc<Cursor>]) {
        // Without the schema the server would refuse what it will take a moment later.
        let mut schema = self.database.watch_schema();
        let _seen = schema.wait_for(|seen| *seen).await.is_ok();
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            match self.write(batch).await {
                Ok(()) => return,
                Err(error) if error.kind == ErrorKind::DatabaseUnavailable => {
                    warn!(?error, sessions = batch.len(), "usage waits for the database");
                    self.queue.count_rows("retried", batch.len() as u64);
                    tokio::time::sleep(backoff.next_delay()).await;
                }
                Err(_) if batch.len() > 1 => {
                    for one in batch {
                        Box::pin(self.write_until_done(std::slice::from_ref(one))).await;
                    }
                    return;
                }
                Err(error) => return self.give_up(batch, &error),
            }
        }
    }

    /// Writes the present state of each session once, in one transaction.
    async fn write(&self, batch: &[Arc<Cursor>]) -> Result<(), Error> {
        let mut seen = HashSet::new();
        let mut entries: Vec<Entry> = batch
            .iter()
            .filter(|cursor| seen.insert(cursor.start.session_id))
            .map(Cursor::take)
            .collect();
        entries.sort_by_key(|entry| entry.cursor.start.session_id.0);
        let written =
            self.database.run(store::write(self.database.pool(), &self.users, &entries)).await?;
        self.tell(&entries, &written);
        Ok(())
    }

    fn tell(&self, entries: &[Entry], written: &[Written]) {
        let (mut inserted, mut duplicate) = (0, 0);
        for (entry, written) in entries.iter().zip(written) {
            if written.billed_ms > 0 {
                inserted += 1;
                let seconds = written.billed_ms as f64 / 1000.0;
                log_patterns::usage_logged(written.user_id, seconds);
            } else if entry.until_ms > entry.from_ms {
                duplicate += 1;
            }
            entry.cursor.set_durable(entry.until_ms);
        }
        self.queue.count_rows("inserted", inserted);
        self.queue.count_rows("duplicate", duplicate);
    }

    fn give_up(&self, batch: &[Arc<Cursor>], error: &Error) {
        for cursor in batch {
            let Entry { from_ms, until_ms, .. } = cursor.take();
            self.queue.count_rows("lost", u64::from(until_ms > from_ms));
            let session_id = cursor.start.session_id;
            error!(?error, %session_id, from_ms, until_ms, "usage is lost: the database refused it");
        }
    }

    /// One last attempt for everything that waits, in batches, within a deadline.
    async fn write_the_rest(&mut self, mut batch: Vec<Arc<Cursor>>) {
        let until = Instant::now() + LAST_ATTEMPT;
        loop {
            self.collect(&mut batch);
            if batch.is_empty() {
                return;
            }
            match timeout_at(until, Box::pin(self.write(&batch))).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.give_up(&batch, &error),
                Err(late) => {
                    let error = Error::new(ErrorKind::Timeout, "no time left").because(late);
                    self.give_up(&batch, &error);
                }
            }
            self.queue.done(batch.len());
            batch.clear();
        }
    }
}
