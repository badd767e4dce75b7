//! What one replica knows of one room: its last finals and the interim, shared by all its viewers.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{Cursor, End, Label, PAGE, Position, Read, Reason, Recorded, RoomName, Text};
use crate::auth::is_same_account;

/// Finals that may wait for a viewer, beyond those that a feed begins with.
pub const BEHIND: usize = 256;

/// How often a change of how many watch is told at most.
const COUNTED_EVERY: Duration = Duration::from_secs(1);

/// What happened in a room, in order.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// A final.
    Final(Arc<Recorded>),
    /// Finals are missing here.
    Gap(Reason),
}

/// One room as its viewers on this replica see it.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) room: RoomName,
    state: Mutex<State>,
    changes: watch::Sender<()>,
}

#[derive(Debug)]
pub(super) struct State {
    /// Whether Redis was asked once.
    pub(super) loaded: bool,
    /// Whether Redis is away.
    pub(super) degraded: bool,
    /// Whose words these are, once there are any; they are for that account only.
    pub(super) owner: Option<String>,
    /// Up to where the room was read.
    pub(super) cursor: Cursor,
    entries: VecDeque<Entry>,
    /// The number of the first entry that is kept.
    base: u64,
    /// The cursor of whoever has seen everything before that one.
    before: Cursor,
    interim: Option<Arc<Text>>,
    /// Counts interims.
    version: u64,
    /// The fence of the one who said the interim.
    fence: u64,
    heard: Instant,
    watch: Watch,
}

/// How many watch the room on all replicas.
#[derive(Debug)]
struct Watch {
    counted: u64,
    /// What viewers are told, and how often that changed.
    told: (u64, u64),
    told_at: Instant,
}

impl Feed {
    pub(super) fn new(room: RoomName) -> Self {
        let state = State {
            loaded: false,
            degraded: false,
            owner: None,
            cursor: Cursor::default(),
            entries: VecDeque::new(),
            base: 0,
            before: Cursor::default(),
            interim: None,
            version: 0,
            fence: 0,
            heard: Instant::now(),
            watch: Watch { counted: 0, told: (0, 0), told_at: Instant::now() },
        };
        Self { room, state: Mutex::new(state), changes: watch::Sender::new(()) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Told of every change from now on.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changes.send_replace(());
    }

    /// The room's last finals, as they were found first.
    pub(super) fn load(&self, end: End) {
        self.change(|state| {
            let finals = end.finals;
            state.owner = end.owner;
            (state.loaded, state.degraded, state.heard) = (true, false, Instant::now());
            if let Some(first) = finals.first()
                && first.position.offset > 1
            {
                let offset = first.position.offset - 1;
                state.before =
                    Cursor { position: Position { offset, ..first.position }, last: None };
            }
            state.add(finals, end.cursor);
            if state.entries.is_empty() {
                state.before = state.cursor;
            }
        });
    }

    /// What was read after the cursor; whether there may be more, and whether a hole was found.
    pub(super) fn apply(&self, owner: Option<String>, read: Read) -> (bool, Option<Reason>) {
        let mut outcome = (false, None);
        self.change(|state| {
            (state.degraded, state.heard) = (false, Instant::now());
            if state.belongs_to_another(owner) {
                outcome.0 = true;
                return;
            }
            match read {
                Read::Recovered { finals, cursor, more, .. } => {
                    outcome.0 = more;
                    state.add(finals, cursor);
                }
                Read::NotRecovered { reason, rest, cursor, more } => {
                    outcome = (more, Some(reason));
                    state.entries.push_back(Entry::Gap(reason));
                    state.add(rest, cursor);
                }
            }
        });
        outcome
    }

    /// Redis is away.
    pub(super) fn degrade(&self) {
        self.change(|state| state.degraded = true);
    }

    /// A wake-up: whether there is something to read.
    pub(super) fn wake(&self, position: Position) -> bool {
        let mut state = self.state();
        state.heard = Instant::now();
        position > state.cursor.position
    }

    /// Whether nothing was heard for so long; it counts as heard then.
    pub(super) fn was_silent(&self, long: Duration) -> bool {
        let mut state = self.state();
        let silent = state.heard.elapsed() >= long;
        if silent {
            state.heard = Instant::now();
        }
        silent
    }

    /// So many watch on all replicas.
    pub(super) fn count(&self, viewers: u64) {
        self.state().watch.counted = viewers;
    }

    /// Tells viewers how many they are, where that changed and they were not told a moment ago.
    pub(super) fn tell_count(&self) {
        let mut state = self.state();
        let Watch { counted, told, told_at } = &mut state.watch;
        if *counted == told.0 || told_at.elapsed() < COUNTED_EVERY {
            return;
        }
        (*told, *told_at) = ((*counted, told.1 + 1), Instant::now());
        drop(state);
        self.changes.send_replace(());
    }

    /// An interim of that account's: the newest wins, and one that a final has overtaken is nothing.
    /// False if it is not known whether the room is that account's.
    pub(super) fn interim(&self, account: &str, fence: u64, interim: Text) -> bool {
        let mut state = self.state();
        if !state.owner.as_deref().is_some_and(|owner| is_same_account(owner, account)) {
            return false;
        }
        let label = interim.label;
        let known = state.interim.as_ref().map(|known| known.label);
        let older = known
            .filter(|known| known.session == label.session)
            .is_some_and(|known| known.n > label.n || fence < state.fence);
        if state.cursor.has_seen(label) || older {
            return true;
        }
        state.fence = fence;
        state.interim = Some(Arc::new(interim));
        state.version += 1;
        drop(state);
        self.changes.send_replace(());
        true
    }
}

impl State {
    /// The number that the next entry will have.
    pub(super) fn end(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    /// The entry with that number; an error if it is kept no more.
    pub(super) fn entry(&self, number: u64) -> Result<Option<Entry>, ()> {
        let at = number.checked_sub(self.base).ok_or(())?;
        Ok(self.entries.get(at as usize).cloned())
    }

    /// The number of the entry that follows a cursor, if that is known here.
    pub(super) fn after(&self, cursor: &Cursor) -> Option<u64> {
        let is = |other: &Cursor| match (cursor.last, other.last) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => cursor.position == other.position,
        };
        let found = self.entries.iter().rposition(|entry| match entry {
            Entry::Final(recorded) => is(&recorded.cursor()),
            Entry::Gap(_) => false,
        });
        let found = found.map(|at| self.base + at as u64 + 1);
        found.or_else(|| is(&self.before).then_some(self.base))
    }

    /// The last finals without a hole, in order, and the interim.
    pub(super) fn latest(&self, limit: usize) -> (Vec<Arc<Recorded>>, Option<Arc<Text>>) {
        let finals = self.entries.iter().rev().map_while(|entry| match entry {
            Entry::Final(recorded) => Some(recorded.clone()),
            Entry::Gap(_) => None,
        });
        let mut finals: Vec<_> = finals.take(limit).collect();
        finals.reverse();
        (finals, self.interim.clone())
    }

    /// Whether what is here is for other eyes.
    pub(super) fn is_foreign(&self, account: &str) -> bool {
        self.owner.as_deref().is_some_and(|owner| !is_same_account(owner, account))
    }

    /// How many watch, if viewers were told since that many changes; and how many changes there were.
    pub(super) fn count_since(&self, changes: u64) -> Option<(u64, u64)> {
        Some(self.watch.told).filter(|told| told.1 > changes)
    }

    /// How many changes of how many watch there were.
    pub(super) const fn count_changes(&self) -> u64 {
        self.watch.told.1
    }

    /// How many watch, as is known here.
    pub(super) const fn counted(&self) -> u64 {
        self.watch.counted
    }

    /// How many interims there were.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// Learns whose the room is. Where it has gone over to another account nothing is left of the one
    /// before, and the room is to be read from its beginning.
    fn belongs_to_another(&mut self, owner: Option<String>) -> bool {
        let Some(owner) = owner else { return false };
        let stays = self.owner.as_ref().is_none_or(|before| is_same_account(before, &owner));
        self.owner = Some(owner);
        if stays {
            return false;
        }
        self.base = self.end();
        self.entries.clear();
        (self.before, self.cursor) = (Cursor::default(), Cursor::default());
        self.interim = None;
        true
    }

    fn has(&self, label: Label) -> bool {
        let is = |entry: &Entry| matches!(entry, Entry::Final(it) if it.text.label == label);
        self.entries.iter().any(is)
    }

    /// The interim, if it is newer than that one.
    pub(super) fn newer_interim(&self, version: u64) -> Option<(u64, Arc<Text>)> {
        let interim = self.interim.clone().filter(|_| self.version > version)?;
        Some((self.version, interim))
    }

    /// Adds finals, after which the room is read on from a cursor.
    fn add(&mut self, finals: Vec<Arc<Recorded>>, cursor: Cursor) {
        for recorded in finals {
            let label = recorded.text.label;
            let seen = self.cursor.has_seen(label) || self.has(label);
            self.cursor = recorded.cursor();
            if !seen {
                self.entries.push_back(Entry::Final(recorded));
            }
        }
        if self.interim.as_ref().is_some_and(|interim| self.cursor.has_seen(interim.label)) {
            self.interim = None;
        }
        self.cursor = cursor;
        while self.entries.len() > PAGE + BEHIND {
            if let Some(Entry::Final(oldest)) = self.entries.pop_front() {
                self.before = oldest.cursor();
            }
            self.base += 1;
        }
    }
}
