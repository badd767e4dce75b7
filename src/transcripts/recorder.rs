//! Writes what sessions said, in batches, for as long as Postgres takes to come back.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tracing::{error, warn};

use super::{
    queue::{Letter, News, Queue},
    store::{self, Entry},
};
use crate::{
    auth::Users,
    backoff::Backoff,
    lifecycle::Shutdown,
    model::{Error, ErrorKind},
    postgres::Database,
};

/// Letters of one transaction.
const BATCH: usize = 500;
/// How long a batch waits for more.
const GATHER: Duration = Duration::from_millis(100);
/// How long sessions that the hard shutdown cuts may take to say how they ended.
const LAST_LETTERS: Duration = Duration::from_millis(500);
/// What is left at the hard shutdown gets one attempt of this length.
const LAST_ATTEMPT: Duration = Duration::from_secs(2);

/// The one writer of a replica's transcripts.
pub(super) struct Recorder {
    pub(super) database: Database,
    pub(super) users: Users,
    pub(super) retention_days: i32,
    pub(super) queue: Queue,
    pub(super) letters: mpsc::Receiver<Letter>,
}

impl Recorder {
    /// Runs until all is written after a soft shutdown, or until the hard one.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        let mut open = self.queue.open().subscribe();
        let ended = async {
            shutdown.soft().cancelled().await;
            // The sender lives in this struct, so the wait ends by the count alone.
            let _counted = open.wait_for(|open| *open == 0).await;
        };
        tokio::pin!(ended);
        let (mut batch, mut ending) = (Vec::with_capacity(BATCH), false);
        loop {
            tokio::select! {
                biased;
                () = shutdown.hard().cancelled() => break,
                () = self.gather(&mut batch), if !ending => {}
                () = &mut ended, if !ending => ending = true,
                () = std::future::ready(()), if ending => self.collect(&mut batch),
            }
            if ending && batch.is_empty() && self.letters.is_empty() {
                return;
            }
            let written = Box::pin(self.write_until_done(&batch));
            if shutdown.hard().run_until_cancelled(written).await.is_none() {
                break;
            }
            self.queue.done(&batch);
            batch.clear();
        }
        let mut open = self.queue.open().subscribe();
        // A session that takes longer leaves a transcript without an end.
        let _in_time = timeout(LAST_LETTERS, open.wait_for(|open| *open == 0)).await.is_ok();
        self.write_the_rest(batch).await;
    }

    /// Waits for the next batch: the first letter, and what comes shortly after it.
    async fn gather(&mut self, batch: &mut Vec<Letter>) {
        // Never nothing: this struct holds a sender, so the queue cannot end.
        self.letters.recv_many(batch, BATCH).await;
        let until = Instant::now() + GATHER;
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            if timeout_at(until, self.letters.recv_many(batch, room)).await.is_err() {
                break;
            }
        }
    }

    /// Fills the batch with what waits already.
    fn collect(&mut self, batch: &mut Vec<Letter>) {
        while batch.len() < BATCH
            && let Ok(letter) = self.letters.try_recv()
        {
            batch.push(letter);
        }
    }

    /// Retries for as long as the server is away; a batch that it refuses is taken apart.
    async fn write_until_done(&self, batch: &[Letter]) {
        if batch.is_empty() {
            return;
        }
        // Without the schema the server would refuse what it will take a moment later.
        let mut schema = self.database.watch_schema();
        let _seen = schema.wait_for(|seen| *seen).await.is_ok();
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            match self.write(batch).await {
                Ok(()) => return,
                Err(error) if error.kind == ErrorKind::DatabaseUnavailable => {
                    warn!(?error, letters = batch.len(), "transcripts wait for the database");
                    self.queue.count_rows("retried", batch.len() as u64);
                    tokio::time::sleep(backoff.next_delay()).await;
                }
                Err(_) if batch.len() > 1 => {
                    for one in batch {
                        Box::pin(self.write_until_done(std::slice::from_ref(one))).await;
                    }
                    return;
                }
                Err(error) => return self.give_up(batch, "refused", &error),
            }
        }
    }

    /// Writes letters in one transaction.
    async fn write(&self, batch: &[Letter]) -> Result<(), Error> {
        let mut entries: BTreeMap<uuid::Uuid, Entry<'_>> = BTreeMap::new();
        for letter in batch {
            let entry = entries.entry(letter.start.session_id.0);
            entry.or_insert_with(|| Entry::of(letter)).read(letter);
        }
        let entries: Vec<Entry<'_>> = entries.into_values().collect();
        let pool = self.database.pool();
        let writing = store::write(pool, &self.users, &entries, self.retention_days);
        let written = self.database.run(writing).await?;
        let said: usize = entries.iter().map(|entry| entry.finals.len()).sum();
        self.queue.count_rows("stored", written.stored);
        self.queue.count_rows("deleted", written.deleted);
        let known = (said as u64).saturating_sub(written.stored + written.deleted);
        self.queue.count_rows("duplicate", known);
        Ok(())
    }

    fn give_up(&self, batch: &[Letter], why: &'static str, error: &Error) {
        self.queue.count_rows(why, batch.len() as u64);
        for letter in batch {
            let session_id = letter.start.session_id;
            let n = if let News::Said(said) = &letter.news { said.n } else { 0 };
            error!(?error, %session_id, n, "a part of a transcript is lost");
        }
    }

    /// One last attempt for everything that waits, in batches, within a deadline.
    async fn write_the_rest(&mut self, mut batch: Vec<Letter>) {
        let until = Instant::now() + LAST_ATTEMPT;
        loop {
            self.collect(&mut batch);
            if batch.is_empty() {
                return;
            }
            match timeout_at(until, Box::pin(self.write(&batch))).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.give_up(&batch, "late", &error),
                Err(late) => {
                    let error = Error::new(ErrorKind::Timeout, "no time left").because(late);
                    self.give_up(&batch, "late", &error);
                }
            }
            self.queue.done(&batch);
            batch.clear();
        }
    }
}
