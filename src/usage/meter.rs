//! One session's cursor of billed audio, and the queue of sessions whose cursor has moved.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use chrono::{DateTime, NaiveDateTime};
use tokio::sync::{mpsc, watch};
use tracing::error;

use super::{SessionStart, legs::Legs};
use crate::{
    model::Clock,
    telemetry::{Metrics, metrics::label},
};

/// How far a session has come, in milliseconds of its audio. Shared with the recorder.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) start: SessionStart,
    pub(super) started_at: NaiveDateTime,
    target_ms: AtomicU64,
    target_at_micros: AtomicI64,
    /// Up to where usage is in Postgres or in Redis, which is acknowledged.
    durable_ms: watch::Sender<u64>,
    /// Up to where it is in Postgres, as far as this replica knows. What is beyond is written anew
    /// each time, so that a Redis that loses its memory loses no running session's usage.
    written_ms: AtomicU64,
    /// Audio that is never billed, from when until when.
    skipped: Mutex<Vec<(u64, u64)>>,
    legs: Mutex<Legs>,
    /// Its entry in Redis, which the next one takes the place of.
    waiting_id: Mutex<Option<String>>,
    finished: AtomicBool,
    waiting: AtomicBool,
}

/// What of a session is to be written now.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) cursor: Arc<Cursor>,
    pub(super) from_ms: u64,
    pub(super) until_ms: u64,
    /// Parts of it that are never billed.
    pub(super) skipped: Vec<(u64, u64)>,
    /// Who transcribed its parts.
    pub(super) legs: Legs,
    pub(super) at: NaiveDateTime,
    pub(super) finished: bool,
}

impl Cursor {
    pub(super) fn new(start: SessionStart, billed_ms: u64, clock: Clock) -> Self {
        let now = clock.now();
        Self {
            start: start.storable(),
            started_at: now.naive_utc(),
            target_ms: AtomicU64::new(billed_ms),
            target_at_micros: AtomicI64::new(now.timestamp_micros()),
            durable_ms: watch::Sender::new(billed_ms),
            written_ms: AtomicU64::new(billed_ms),
            skipped: Mutex::default(),
            legs: Mutex::default(),
            waiting_id: Mutex::default(),
            finished: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
        }
    }

    /// Takes the session out of the queue and says what is to be written. Whatever comes later
    /// puts it back.
    pub(super) fn take(self: &Arc<Self>) -> Entry {
        self.waiting.store(false, Ordering::SeqCst);
        let finished = self.finished.load(Ordering::SeqCst);
        let until_ms = self.target_ms.load(Ordering::SeqCst);
        let at = DateTime::from_timestamp_micros(self.target_at_micros.load(Ordering::SeqCst));
        let from_ms = self.written_ms.load(Ordering::SeqCst);
        Entry {
            from_ms,
            until_ms,
            skipped: self.skipped_after(from_ms),
            legs: self.legs_after(from_ms),
            at: at.map_or(self.started_at, |at| at.naive_utc()),
            finished,
            cursor: Arc::clone(self),
        }
    }

    /// What is never billed, as far as it is not done with.
    fn skipped_after(&self, from_ms: u64) -> Vec<(u64, u64)> {
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.retain(|(_, to_ms)| *to_ms > from_ms);
        skipped.clone()
    }

    fn legs_after(&self, from_ms: u64) -> Legs {
        let mut legs = self.legs.lock().unwrap_or_else(PoisonError::into_inner);
        legs.bill(from_ms);
        legs.clone()
    }

    /// Takes in what another knew of who transcribed.
    pub(super) fn join(&self, legs: &Legs) {
        self.legs.lock().unwrap_or_else(PoisonError::into_inner).join(legs);
    }

    /// Notes ranges that are never billed.
    pub(super) fn skip(&self, ranges: &[(u64, u64)]) {
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.extend_from_slice(ranges);
    }

    /// A session as another process left it, with a range that is to be written.
    pub(super) fn restored(
        start: SessionStart,
        started_at: NaiveDateTime,
        at: NaiveDateTime,
        (from_ms, until_ms): (u64, u64),
        finished: bool,
    ) -> Self {
        let mut cursor = Self::new(start, from_ms, Clock);
        cursor.started_at = started_at;
        cursor.target_ms = AtomicU64::new(until_ms);
        cursor.target_at_micros = AtomicI64::new(at.and_utc().timestamp_micros());
        cursor.finished = AtomicBool::new(finished);
        cursor
    }

    /// Takes another range of the same session in.
    pub(super) fn reach(&self, other: &Entry) {
        self.skip(&other.skipped);
        self.join(&other.legs);
        self.written_ms.fetch_min(other.from_ms, Ordering::SeqCst);
        self.target_ms.fetch_max(other.until_ms, Ordering::SeqCst);
        self.finished.fetch_or(other.finished, Ordering::SeqCst);
    }

    /// Audio that is counted and neither in Postgres nor in Redis, in milliseconds.
    pub(super) fn at_risk_ms(&self) -> u64 {
        self.target_ms.load(Ordering::SeqCst).saturating_sub(*self.durable_ms.borrow())
    }

    /// The session's entry in Redis, if it has one.
    pub(super) fn waiting_id(&self) -> Option<String> {
        self.waiting_id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells that everything before `until_ms` is in Redis, in that entry.
    pub(super) fn set_waiting(&self, id: String, until_ms: u64) {
        *self.waiting_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
        self.set_durable(until_ms);
    }

    /// Tells that everything before `until_ms` is in the table.
    pub(super) fn set_written(&self, until_ms: u64) {
        self.written_ms.fetch_max(until_ms, Ordering::SeqCst);
        self.set_durable(until_ms);
    }

    fn set_durable(&self, until_ms: u64) {
        self.durable_ms.send_if_modified(|durable| {
            let moved = until_ms > *durable;
            *durable = until_ms.max(*durable);
            moved
        });
    }

    fn advance(&self, until_ms: u64, clock: Clock) {
        // The column is signed; no audio is that long.
        let until_ms = until_ms.min(i64::MAX.cast_unsigned());
        if self.target_ms.fetch_max(until_ms, Ordering::SeqCst) < until_ms {
            self.target_at_micros.store(clock.now().timestamp_micros(), Ordering::SeqCst);
        }
    }
}

/// Sessions that wait to be written: each at most once, all of them bounded.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<Arc<Cursor>>,
    count: Arc<watch::Sender<usize>>,
    open: Arc<watch::Sender<usize>>,
    pub(super) metrics: Metrics,
}

impl Queue {
    pub(super) fn new(sender: mpsc::Sender<Arc<Cursor>>, metrics: Metrics) -> Self {
        let (count, open) = (Arc::new(watch::Sender::new(0)), Arc::new(watch::Sender::new(0)));
        Self { sender, count, open, metrics }
    }

    pub(super) fn pending(&self) -> usize {
        *self.count.borrow()
    }

    pub(super) fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Meters that have not finished.
    pub(super) fn open_meters(&self) -> watch::Receiver<usize> {
        self.open.subscribe()
    }

    /// Puts a session in, unless it waits already; false if there is no room.
    fn push(&self, cursor: &Arc<Cursor>) -> bool {
        if cursor.waiting.swap(true, Ordering::SeqCst) {
            return true;
        }
        // Counted first, since the recorder may be done with it before this returns.
        self.count.send_modify(|count| *count += 1);
        self.metrics.usage_pending.add(1, &[]);
        let pushed = self.sender.try_send(Arc::clone(cursor)).is_ok();
        if !pushed {
            cursor.waiting.store(false, Ordering::SeqCst);
            self.done(1);
        }
        pushed
    }

    /// Adds sessions to the count that did not come through the queue.
    pub(super) fn add(&self, sessions: usize) {
        self.count.send_modify(|count| *count += sessions);
        self.metrics.usage_pending.add(i64::try_from(sessions).unwrap_or(i64::MAX), &[]);
    }

    /// Takes `sessions` off the count, written or given up.
    pub(super) fn done(&self, sessions: usize) {
        self.count.send_modify(|count| *count = count.saturating_sub(sessions));
        self.metrics.usage_pending.add(-i64::try_from(sessions).unwrap_or(i64::MAX), &[]);
    }

    /// Counts usage that went beside Postgres, by what became of it.
    pub(super) fn count_fallback(&self, outcome: &'static str, entries: usize) {
        if entries > 0 {
            self.metrics.usage_fallback.add(entries as u64, &[label("outcome", outcome)]);
        }
    }

    /// Counts rows by what became of them.
    pub(super) fn count_rows(&self, outcome: &'static str, rows: u64) {
        if rows > 0 {
            self.metrics.usage_rows.add(rows, &[label("outcome", outcome)]);
        }
    }
}

/// Counts one session's audio. Nothing here waits; dropping it finishes the session where it is.
#[derive(Debug)]
pub struct Meter {
    cursor: Arc<Cursor>,
    queue: Queue,
    clock: Clock,
}

impl Meter {
    pub(super) fn new(cursor: Arc<Cursor>, queue: Queue, clock: Clock) -> Self {
        queue.open.send_modify(|open| *open += 1);
        // If there is no room, the first checkpoint makes the session's row.
        let _has_room = queue.push(&cursor);
        Self { cursor, queue, clock }
    }

    /// Bills everything before `until_ms` that is not billed yet. Less than before changes nothing.
    ///
    /// Where no more can wait, the audio is billed by a later checkpoint.
    pub fn checkpoint(&self, until_ms: u64) {
        self.cursor.advance(until_ms, self.clock);
        if !self.queue.push(&self.cursor) {
            self.queue.count_rows("deferred", 1);
        }
    }

    /// Never bills that range, whatever is counted around it. To be said before it is counted.
    pub fn skip(&self, from_ms: u64, to_ms: u64) {
        self.cursor.skip(&[(from_ms, to_ms)]);
    }

    /// Bills audio from there on at the price of another provider. To be said before a checkpoint passes
    /// that point.
    pub fn switch(&self, from_ms: u64, service: &'static str, model: &str) {
        let model = model.replace('\0', "");
        let mut legs = self.cursor.legs.lock().unwrap_or_else(PoisonError::into_inner);
        legs.switch(from_ms, service.into(), model);
    }

    /// Tells up to where usage is in the table, or waits for it in Redis, in milliseconds.
    pub fn durable_ms(&self) -> watch::Receiver<u64> {
        self.cursor.durable_ms.subscribe()
    }

    /// Bills the rest and ends the session.
    pub fn finish(self, until_ms: u64) {
        self.cursor.advance(until_ms, self.clock);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.cursor.finished.store(true, Ordering::SeqCst);
        if !self.queue.push(&self.cursor) {
            let Entry { from_ms, until_ms, .. } = self.cursor.take();
            self.queue.count_rows("lost", 1);
            error!(session_id = %self.cursor.start.session_id, from_ms, until_ms,
                "usage is lost: too many sessions wait to be written");
        }
        self.queue.open.send_modify(|open| *open = open.saturating_sub(1));
    }
}
