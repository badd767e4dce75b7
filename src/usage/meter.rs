//! One session's cursor of billed audio, and the queue of sessions whose cursor has moved.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use chrono::{DateTime, NaiveDateTime};
use tokio::sync::{mpsc, watch};
use tracing::error;

use super::{Course, Mark, Marked, SessionStart, Taken};
use crate::{
    model::Clock,
    telemetry::{Metrics, metrics::label},
};

/// How far a session has come, in milliseconds of its audio. Shared with the recorder.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) start: SessionStart,
    pub(super) started_at: NaiveDateTime,
    /// Of the owner that counts; a write with a lower one than the table has is refused.
    pub(super) fence: u64,
    target_ms: AtomicU64,
    target_at_micros: AtomicI64,
    /// Up to where usage is in Postgres or in Redis, which is acknowledged.
    durable_ms: watch::Sender<u64>,
    /// What is not in Postgres yet, as far as this replica knows. All of it is written anew each
    /// time, so that a Redis that loses its memory loses no running session's usage.
    course: Mutex<Course>,
    /// Where the session stands, which goes with what is written.
    mark: Mutex<Option<Mark>>,
    /// Its entry in Redis, which the next one takes the place of.
    waiting_id: Mutex<Option<String>>,
    finished: AtomicBool,
    fenced: AtomicBool,
    waiting: AtomicBool,
}

/// What of a session is to be written now.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) cursor: Arc<Cursor>,
    pub(super) from_ms: u64,
    pub(super) until_ms: u64,
    pub(super) course: Course,
    pub(super) mark: Option<Mark>,
    pub(super) at: NaiveDateTime,
    pub(super) finished: bool,
}

impl Entry {
    pub(super) fn marked(&self) -> Marked<'_> {
        let (session, fence) = (self.cursor.start.session_id, self.cursor.fence);
        Marked { session, fence, mark: self.mark.as_ref() }
    }
}

impl Cursor {
    pub(super) fn new(start: SessionStart, taken: Taken, clock: Clock) -> Self {
        let (now, start) = (clock.now(), start.storable());
        let Taken { fence, mut course, covered_ms } = taken;
        course.switch(covered_ms, start.service.clone(), start.model.clone());
        let billed_ms = course.billed_ms();
        Self {
            started_at: now.naive_utc(),
            fence,
            // What owners before have left to be billed is billed at once.
            target_ms: AtomicU64::new(covered_ms.max(billed_ms)),
            target_at_micros: AtomicI64::new(now.timestamp_micros()),
            durable_ms: watch::Sender::new(billed_ms),
            course: Mutex::new(course),
            mark: Mutex::default(),
            waiting_id: Mutex::default(),
            finished: AtomicBool::new(false),
            fenced: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            start,
        }
    }

    /// Takes the session out of the queue and says what is to be written. Whatever comes later
    /// puts it back.
    pub(super) fn take(self: &Arc<Self>) -> Entry {
        self.waiting.store(false, Ordering::SeqCst);
        let finished = self.finished.load(Ordering::SeqCst);
        // Before the course, which may know of gaps beyond, never of fewer than there are before.
        let until_ms = self.target_ms.load(Ordering::SeqCst);
        let at = DateTime::from_timestamp_micros(self.target_at_micros.load(Ordering::SeqCst));
        let course = self.course();
        Entry {
            from_ms: course.billed_ms(),
            until_ms,
            course,
            mark: locked(&self.mark).clone(),
            at: at.map_or(self.started_at, |at| at.naive_utc()),
            finished,
            cursor: Arc::clone(self),
        }
    }

    /// An entry as another process left it.
    pub(super) fn restored(
        start: SessionStart,
        taken: Taken,
        started_at: NaiveDateTime,
        at: NaiveDateTime,
    ) -> Self {
        let mut cursor = Self::new(start, taken, Clock);
        cursor.started_at = started_at;
        cursor.target_at_micros = AtomicI64::new(at.and_utc().timestamp_micros());
        cursor
    }

    /// Takes another range of the same session and owner in.
    pub(super) fn reach(&self, other: &Entry) {
        // Before it reaches there: no range may be taken without its gaps.
        let reaches_further = other.until_ms > self.target_ms.load(Ordering::SeqCst);
        locked(&self.course).join(&other.course, reaches_further);
        self.target_ms.fetch_max(other.until_ms, Ordering::SeqCst);
        self.finished.fetch_or(other.finished, Ordering::SeqCst);
    }

    /// What is not in Postgres yet.
    fn course(&self) -> Course {
        locked(&self.course).clone()
    }

    pub(super) fn set_mark(&self, mark: Option<Mark>) {
        *locked(&self.mark) = mark;
    }

    pub(super) fn set_finished(&self, finished: bool) {
        self.finished.store(finished, Ordering::SeqCst);
    }

    /// Whether another owner has taken the session over.
    pub(super) fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::SeqCst)
    }

    /// Tells that another owner has taken the session over, which bills what is left.
    pub(super) fn set_fenced(&self) {
        self.fenced.store(true, Ordering::SeqCst);
    }

    /// Audio that is counted and neither in Postgres nor in Redis, in milliseconds.
    pub(super) fn at_risk_ms(&self) -> u64 {
        self.target_ms.load(Ordering::SeqCst).saturating_sub(*self.durable_ms.borrow())
    }

    /// The session's entry in Redis, if it has one.
    pub(super) fn waiting_id(&self) -> Option<String> {
        locked(&self.waiting_id).clone()
    }

    /// Tells that everything before `until_ms` is in Redis, in that entry.
    pub(super) fn set_waiting(&self, id: String, until_ms: u64) {
        *locked(&self.waiting_id) = Some(id);
        self.set_durable(until_ms);
    }

    /// Tells that everything before `until_ms` is in the table.
    pub(super) fn set_written(&self, until_ms: u64) {
        locked(&self.course).bill(until_ms);
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

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Counts one session's audio. Nothing here waits. Dropping it leaves the session where it is, to be
/// gone on with or to be given up.
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

    /// Notes where the session stands: it goes with the next checkpoint.
    pub fn mark(&self, mark: Mark) {
        self.cursor.set_mark(Some(mark));
    }

    /// Never bills that audio, since it has no transcript. To be said before a checkpoint passes it.
    pub fn skip(&self, from_ms: u64, to_ms: u64) {
        locked(&self.cursor.course).skip(from_ms, to_ms);
    }

    /// Bills audio from there on at the price of another provider, unless it is the same as before.
    /// To be said before a checkpoint passes that point.
    pub fn switch(&self, from_ms: u64, service: &'static str, model: &str) {
        let model = model.replace('\0', "");
        locked(&self.cursor.course).switch(from_ms, service.into(), model);
    }

    /// What the next owner has to know to bill the rest.
    pub fn course(&self) -> Course {
        self.cursor.course()
    }

    /// Whether another owner has taken the session over, as was found out when usage was refused.
    pub fn is_fenced(&self) -> bool {
        self.cursor.is_fenced()
    }

    /// Tells up to where usage is in the table, or waits for it in Redis, in milliseconds.
    pub fn durable_ms(&self) -> watch::Receiver<u64> {
        self.cursor.durable_ms.subscribe()
    }

    /// Bills the rest and ends the session.
    pub fn finish(self, until_ms: u64) {
        self.cursor.advance(until_ms, self.clock);
        self.cursor.set_finished(true);
    }

    /// Bills the rest of what this owner has; the session may be gone on with.
    pub fn park(self, until_ms: u64) {
        self.cursor.advance(until_ms, self.clock);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if !self.queue.push(&self.cursor) {
            let Entry { from_ms, until_ms, .. } = self.cursor.take();
            self.queue.count_rows("lost", 1);
            error!(session_id = %self.cursor.start.session_id, from_ms, until_ms,
                "usage is lost: too many sessions wait to be written");
        }
        self.queue.open.send_modify(|open| *open = open.saturating_sub(1));
    }
}
