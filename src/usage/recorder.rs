//! Writes what meters count, in batches: to Postgres, beside it while it is away, and for as long
//! as it takes where neither is there.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tracing::{error, warn};
use uuid::Uuid;

use super::{
    fallback::Fallback,
    meter::{Cursor, Entry},
    writer::Writer,
};
use crate::{
    lifecycle::Shutdown,
    model::{Error, ErrorKind},
    postgres,
};

/// Sessions of one transaction.
const BATCH: usize = 500;
/// How long a batch waits for more.
const GATHER: Duration = Duration::from_millis(100);
/// How long Postgres may take for a batch before it counts as away.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long Postgres is left alone once it was away.
const PAUSE: Duration = Duration::from_secs(2);
/// How often what nobody takes is offered again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long sessions that the hard shutdown cuts may take to hand over their last audio.
const LAST_METERS: Duration = Duration::from_millis(500);
/// What is left at the hard shutdown gets one attempt of this length.
const LAST_ATTEMPT: Duration = Duration::from_millis(1_500);

/// Sessions by their id, which is the order in which they are written.
type Sessions = BTreeMap<Uuid, Arc<Cursor>>;

/// The one writer of a replica's usage.
pub(super) struct Recorder {
    writer: Writer,
    fallback: Option<Fallback>,
    receiver: mpsc::Receiver<Arc<Cursor>>,
    /// Sessions out of the queue whose usage is nowhere yet.
    held: Sessions,
    /// Until when Postgres, which was away, is left alone.
    paused_until: Option<Instant>,
    at_risk_seconds: i64,
    has_scratched: bool,
}

impl Recorder {
    pub(super) fn new(
        writer: Writer,
        fallback: Option<Fallback>,
        receiver: mpsc::Receiver<Arc<Cursor>>,
    ) -> Self {
        Self {
            writer,
            fallback,
            receiver,
            held: Sessions::new(),
            paused_until: None,
            at_risk_seconds: 0,
            has_scratched: false,
        }
    }

    /// Runs until all is written after a soft shutdown, or until the hard one.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        self.restore().await;
        let mut open = self.writer.queue.open_meters();
        let ended = async {
            shutdown.soft().cancelled().await;
            // The sender lives in this struct, so the wait ends by the count alone.
            let _counted = open.wait_for(|open| *open == 0).await;
        };
        tokio::pin!(ended);
        let mut batch = Vec::with_capacity(BATCH);
        let mut ending = false;
        loop {
            let again = Instant::now() + AGAIN;
            tokio::select! {
                biased;
                () = shutdown.hard().cancelled() => break,
                () = self.gather(&mut batch), if !ending => {}
                () = &mut ended, if !ending => ending = true,
                () = sleep_until(again), if !self.held.is_empty() => {}
                () = std::future::ready(()), if ending && self.held.is_empty() => {}
            }
            self.collect(&mut batch);
            if ending && batch.is_empty() && self.held.is_empty() {
                return;
            }
            let settled = Box::pin(self.settle(&mut batch));
            if shutdown.hard().run_until_cancelled(settled).await.is_none() {
                break;
            }
        }
        let mut open = self.writer.queue.open_meters();
        // A session that takes longer has been billed up to its last checkpoint.
        let _in_time = timeout(LAST_METERS, open.wait_for(|open| *open == 0)).await.is_ok();
        self.settle_for_good(batch).await;
    }

    /// Takes over what processes left on the disk that died.
    async fn restore(&mut self) {
        let Some(fallback) = self.fallback.clone().filter(|fallback| fallback.scratch.is_on())
        else {
            return;
        };
        match fallback.scratch.restore().await {
            Ok(records) => {
                let entries: Vec<Option<Entry>> =
                    records.iter().map(|record| fallback.sealed.open(record)).collect();
                let unreadable = entries.iter().filter(|entry| entry.is_none()).count();
                if unreadable > 0 {
                    error!(unreadable, "usage on the disk is not sealed by this service");
                }
                let queue = &self.writer.queue;
                queue.count_fallback("parked", unreadable);
                queue.count_fallback("restored", entries.len() - unreadable);
                self.has_scratched = !entries.is_empty();
                entries.into_iter().flatten().for_each(|entry| self.adopt(entry));
                self.tell_risk();
            }
            Err(error) => warn!(?error, "usage on the disk could not be read"),
        }
    }

    /// Holds a range of a dead process; of one session the later record reaches further.
    fn adopt(&mut self, entry: Entry) {
        self.writer.queue.add(1);
        self.hold(entry.cursor);
    }

    /// Holds a session. Of two owners of one the later counts, which bills what the other has left;
    /// of one owner, as a dead process and this one may have had it, both do. Which one is held now.
    fn hold(&mut self, cursor: Arc<Cursor>) -> Arc<Cursor> {
        let id = cursor.start.session_id.0;
        let kept = match self.held.remove(&id) {
            None => cursor,
            Some(held) => {
                self.writer.queue.done(1);
                match held.fence.cmp(&cursor.fence) {
                    _ if Arc::ptr_eq(&held, &cursor) => cursor,
                    Ordering::Equal => {
                        cursor.reach(&held.take());
                        cursor
                    }
                    Ordering::Less => {
                        held.set_fenced();
                        cursor
                    }
                    Ordering::Greater => {
                        cursor.set_fenced();
                        held
                    }
                }
            }
        };
        self.held.insert(id, Arc::clone(&kept));
        kept
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

    /// Finds a place for everything that is held, or keeps holding it.
    async fn settle(&mut self, batch: &mut Vec<Arc<Cursor>>) {
        let mut fresh = Sessions::new();
        for cursor in batch.drain(..) {
            if cursor.is_fenced() {
                self.writer.queue.done(1);
                continue;
            }
            let kept = self.hold(cursor);
            fresh.insert(kept.start.session_id.0, kept);
        }
        if self.may_write().await {
            self.write().await;
        }
        if !self.held.is_empty() {
            self.leave_in_redis().await;
        }
        fresh.retain(|id, _| self.held.contains_key(id));
        self.scratch(&fresh).await;
        self.tell_risk();
    }

    /// Whether Postgres is worth an attempt.
    async fn may_write(&mut self) -> bool {
        // Without the schema the server would refuse what it will take a moment later.
        if !self.writer.database.schema_seen() {
            return false;
        }
        let Some(paused_until) = self.paused_until else { return true };
        if Instant::now() < paused_until {
            return false;
        }
        let is_there = self.writer.database.health().await.is_ok();
        self.paused_until = (!is_there).then(|| Instant::now() + PAUSE);
        is_there
    }

    /// Writes what is held to Postgres.
    async fn write(&mut self) {
        let cursors: Vec<Arc<Cursor>> = self.held.values().cloned().collect();
        for cursors in cursors.chunks(BATCH) {
            let entries: Vec<Entry> = cursors.iter().map(Cursor::take).collect();
            let written = timeout(PATIENCE, self.writer.write(&entries)).await;
            match written.unwrap_or_else(|late| Err(postgres::unavailable().because(late))) {
                Ok(refused) => {
                    for (at, error) in refused {
                        self.give_up(&entries[at], &error);
                    }
                    self.release(&entries);
                }
                Err(error) => {
                    warn!(?error, sessions = self.held.len(), "usage waits for the database");
                    self.writer.queue.count_rows("retried", entries.len() as u64);
                    self.paused_until = Some(Instant::now() + PAUSE);
                    return;
                }
            }
        }
    }

    /// Leaves what is held in Redis, from where any replica brings it to Postgres.
    async fn leave_in_redis(&mut self) {
        let Some(fallback) = self.fallback.clone() else { return };
        let cursors: Vec<Arc<Cursor>> = self.held.values().cloned().collect();
        for cursors in cursors.chunks(BATCH) {
            let entries: Vec<Entry> = cursors.iter().map(Cursor::take).collect();
            // A session that used nothing needs no row yet.
            let (entries, idle): (Vec<_>, Vec<_>) = entries
                .into_iter()
                .partition(|entry| entry.until_ms > entry.from_ms || entry.finished);
            self.release(&idle);
            if let Err(error) = self.append(&fallback, entries).await {
                warn!(?error, "usage waits for the database, and Redis takes none");
                return;
            }
        }
    }

    async fn append(&mut self, fallback: &Fallback, entries: Vec<Entry>) -> Result<(), Error> {
        let internal = |error| Error::new(ErrorKind::Internal, "internal error").because(error);
        let mut texts = Vec::with_capacity(entries.len());
        for entry in &entries {
            let text = fallback.sealed.seal(entry).map_err(internal)?;
            texts.push((entry.cursor.waiting_id(), text));
        }
        let ids = fallback.waiting.append(texts).await.map_err(crate::redis::unavailable)?;
        let (mut placed, mut full) = (Vec::with_capacity(entries.len()), 0);
        for (entry, id) in entries.into_iter().zip(ids) {
            match id {
                Some(id) => {
                    entry.cursor.set_waiting(id, entry.until_ms);
                    placed.push(entry);
                }
                None => full += 1,
            }
        }
        self.writer.queue.count_fallback("waiting", placed.len());
        self.writer.queue.count_fallback("full", full);
        self.release(&placed);
        if full > 0 {
            return Err(Error::new(ErrorKind::Overloaded, "too much usage waits in Redis"));
        }
        Ok(())
    }

    /// Puts what nobody takes on the disk, and clears the disk once somebody has.
    async fn scratch(&mut self, fresh: &Sessions) {
        let Some(fallback) = self.fallback.clone().filter(|fallback| fallback.scratch.is_on())
        else {
            return;
        };
        if self.held.is_empty() {
            if self.has_scratched {
                match fallback.scratch.clear().await {
                    Ok(()) => self.has_scratched = false,
                    Err(error) => warn!(?error, "usage on the disk could not be cleared"),
                }
            }
            return;
        }
        if fresh.is_empty() {
            return;
        }
        self.has_scratched = true;
        let records = sealed(&fallback, fresh);
        let count = records.len();
        let mut kept = fallback.scratch.append(records).await;
        if kept.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::StorageFull) {
            kept = fallback.scratch.replace(sealed(&fallback, &self.held)).await;
        }
        self.writer.queue.count_fallback(outcome(&kept), count);
        if let Err(error) = kept {
            warn!(?error, "usage could not be put on the disk");
        }
    }

    /// Leaves all that is held on the disk; whether the next process will find it.
    async fn is_left_on_disk(&self) -> bool {
        let Some(fallback) = self.fallback.as_ref().filter(|_| !self.held.is_empty()) else {
            return false;
        };
        let kept = fallback.scratch.replace(sealed(fallback, &self.held)).await;
        self.writer.queue.count_fallback(outcome(&kept), self.held.len());
        kept.is_ok()
    }

    /// Lets sessions go whose usage has found its place.
    fn release(&mut self, entries: &[Entry]) {
        for entry in entries {
            if self.held.remove(&entry.cursor.start.session_id.0).is_some() {
                self.writer.queue.done(1);
            }
        }
    }

    fn tell_risk(&mut self) {
        let ms: u64 = self.held.values().map(|cursor| cursor.at_risk_ms()).sum();
        let seconds = i64::try_from(ms.div_ceil(1_000)).unwrap_or(i64::MAX);
        let gauge = &self.writer.queue.metrics.usage_at_risk_seconds;
        gauge.add(seconds - self.at_risk_seconds, &[]);
        self.at_risk_seconds = seconds;
    }

    fn give_up(&self, entry: &Entry, error: &Error) {
        let Entry { from_ms, until_ms, .. } = *entry;
        self.writer.queue.count_rows("lost", u64::from(until_ms > from_ms));
        let session_id = entry.cursor.start.session_id;
        error!(?error, %session_id, from_ms, until_ms, "usage is lost");
    }

    /// One last attempt for everything that waits, within a deadline. What is on the disk then is
    /// left to the next process.
    async fn settle_for_good(&mut self, mut batch: Vec<Arc<Cursor>>) {
        while let Ok(cursor) = self.receiver.try_recv() {
            batch.push(cursor);
        }
        // Late or not, what is still held then is what found no place.
        let _in_time = timeout(LAST_ATTEMPT, Box::pin(self.settle(&mut batch))).await.is_ok();
        let is_kept = self.is_left_on_disk().await;
        let error = Error::new(ErrorKind::Timeout, "no time left");
        for cursor in std::mem::take(&mut self.held).into_values() {
            if !is_kept {
                self.give_up(&cursor.take(), &error);
            }
            self.writer.queue.done(1);
        }
    }
}

/// What became of an attempt to put usage on the disk, for its counter.
const fn outcome(kept: &std::io::Result<()>) -> &'static str {
    if kept.is_ok() { "scratched" } else { "unscratched" }
}

/// The sessions' ranges as sealed text.
fn sealed(fallback: &Fallback, sessions: &Sessions) -> Vec<String> {
    let seal = |cursor: &Arc<Cursor>| fallback.sealed.seal(&cursor.take()).ok();
    sessions.values().filter_map(seal).collect()
}
