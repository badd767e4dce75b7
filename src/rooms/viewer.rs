//! One who watches a room: pulls what follows a cursor, first from history and then live.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    Cursor, Recorded, Text,
    fanout::Fanout,
    feed::{Entry, Feed, State},
    found::{Read, Reason},
    history::{self, PAGE},
    membership::Seat,
};
use crate::{
    auth::is_same_account,
    model::{Error, ErrorKind},
};

/// How long a viewer waits before it asks for a page again.
const RETRY: Duration = Duration::from_millis(500);

/// How long a room whose history ends before a viewer's cursor is waited for: a Redis that lost its
/// memory is told all of it again by who speaks there.
const REFILL: Duration = Duration::from_secs(3);

/// Where a viewer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With what is said from now on.
    Now,
    /// After what it has seen; the default cursor is the room's beginning.
    After(Cursor),
}

/// What a viewer sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// A final: each once, in order, without a hole since the last [`Update::Gap`].
    Final(Arc<Recorded>),
    /// The newest interim, of speech that no final covers yet.
    Interim(Arc<Text>),
    /// Redis is away: finals come late.
    Degraded,
    /// Redis is there again, and nothing was missed by that.
    Recovered,
    /// Finals are missing before what follows (`recovered: false`).
    Gap(Reason),
    /// So many watch the room on all replicas now.
    Viewers(u64),
    /// The room is another account's, and this is the end.
    Foreign,
    /// The viewer was too slow, and this is the end; it can begin again at its cursor.
    Behind,
}

/// A place before a room, given up when it is dropped.
#[derive(Debug)]
pub struct Viewer {
    pub(super) fanout: Arc<Fanout>,
    pub(super) feed: Arc<Feed>,
    /// Whose words this viewer may see.
    pub(super) account: String,
    pub(super) changes: watch::Receiver<()>,
    pub(super) phase: Phase,
    pub(super) cursor: Cursor,
    pub(super) pages: VecDeque<Arc<Recorded>>,
    pub(super) version: u64,
    pub(super) viewers: u64,
    pub(super) counts: u64,
    degraded: bool,
    resumed: bool,
    /// Since when the room's history ends before the cursor.
    short_since: Option<Instant>,
    pub(super) seat: Seat,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for the room's present end.
    Entering,
    /// Looks for what follows its cursor.
    Resuming,
    /// Reads the feed from that entry on.
    Live(u64),
    Ended,
}

/// What a look at the feed comes to.
enum Look {
    Seen(Update),
    Nothing,
    /// What follows the cursor is not in the feed.
    Elsewhere,
}

impl Viewer {
    pub(super) fn new(
        fanout: Arc<Fanout>,
        feed: Arc<Feed>,
        (account, start): (&str, Start),
        seat: Seat,
    ) -> Self {
        let (phase, cursor) = match start {
            Start::Now => (Phase::Entering, Cursor::default()),
            Start::After(cursor) => (Phase::Resuming, cursor),
        };
        let changes = feed.changes();
        Self {
            fanout,
            feed,
            account: account.to_owned(),
            changes,
            phase,
            cursor,
            pages: VecDeque::new(),
            version: 0,
            viewers: 0,
            counts: 0,
            degraded: false,
            resumed: false,
            short_since: None,
            seat,
        }
    }

    /// Up to where this viewer has seen the room.
    pub const fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// What comes next; nothing after [`Update::Behind`] and [`Update::Foreign`]. A call that is dropped loses nothing.
    pub async fn next(&mut self) -> Option<Update> {
        while self.phase != Phase::Ended {
            self.changes.mark_unchanged();
            match self.look() {
                Look::Seen(update) => return Some(update),
                // The sender lives in the feed, which is ours too.
                Look::Nothing => drop(self.changes.changed().await),
                Look::Elsewhere => {
                    if let Some(update) = self.turn_page().await {
                        return Some(update);
                    }
                }
            }
        }
        None
    }

    fn look(&mut self) -> Look {
        let feed = self.feed.clone();
        let state = feed.state();
        if state.is_foreign(&self.account) {
            self.phase = Phase::Ended;
            return Look::Seen(Update::Foreign);
        }
        if state.degraded != self.degraded {
            self.degraded = state.degraded;
            let update = if self.degraded { Update::Degraded } else { Update::Recovered };
            return Look::Seen(update);
        }
        while let Some(recorded) = self.pages.pop_front() {
            if let Some(update) = self.show(recorded) {
                return Look::Seen(update);
            }
        }
        match self.phase {
            _ if !state.loaded => Look::Nothing,
            Phase::Entering => {
                self.cursor = state.cursor;
                self.phase = Phase::Live(state.end());
                self.look_live(&state, state.end())
            }
            Phase::Resuming => match state.after(&self.cursor) {
                Some(number) => {
                    self.settle("recovered");
                    self.phase = Phase::Live(number);
                    self.look_live(&state, number)
                }
                None => Look::Elsewhere,
            },
            Phase::Live(number) => self.look_live(&state, number),
            Phase::Ended => Look::Nothing,
        }
    }

    fn look_live(&mut self, state: &State, mut number: u64) -> Look {
        loop {
            let entry = state.entry(number);
            let Ok(Some(entry)) = entry else {
                if entry.is_err() {
                    self.phase = Phase::Ended;
                    return Look::Seen(Update::Behind);
                }
                return self.look_interim(state);
            };
            number += 1;
            self.phase = Phase::Live(number);
            match entry {
                Entry::Gap(reason) => return Look::Seen(Update::Gap(reason)),
                Entry::Final(recorded) => {
                    if let Some(update) = self.show(recorded) {
                        return Look::Seen(update);
                    }
                }
            }
        }
    }

    fn look_interim(&mut self, state: &State) -> Look {
        if let Some((viewers, counts)) = state.count_since(self.counts) {
            self.counts = counts;
            if std::mem::replace(&mut self.viewers, viewers) != viewers {
                return Look::Seen(Update::Viewers(viewers));
            }
        }
        let newer = state.newer_interim(self.version);
        let Some((version, interim)) = newer else { return Look::Nothing };
        self.version = version;
        Look::Seen(Update::Interim(interim))
    }

    /// Moves on over a final, and shows it if it was not seen before under another position.
    fn show(&mut self, recorded: Arc<Recorded>) -> Option<Update> {
        let seen = self.cursor.has_seen(recorded.text.label);
        let cursor = recorded.cursor();
        if seen {
            // Its name stays, so that everything up to it stays seen.
            self.cursor.position = cursor.position;
            return None;
        }
        self.cursor = cursor;
        Some(Update::Final(recorded))
    }

    /// Reads the page after the cursor from Redis.
    async fn turn_page(&mut self) -> Option<Update> {
        let read = self.read_page().await;
        match read {
            Err(error) if error.kind == ErrorKind::Forbidden => {
                self.phase = Phase::Ended;
                Some(Update::Foreign)
            }
            Ok(Read::Recovered { short: true, .. }) if !self.may_be_refilled() => {
                Some(self.lose(Reason::EpochGone, Vec::new()))
            }
            Ok(Read::NotRecovered { reason, rest, .. }) => Some(self.lose(reason, rest)),
            Ok(Read::Recovered { finals, .. }) if !finals.is_empty() => {
                self.settle("recovered");
                self.pages = finals.into();
                None
            }
            // The feed is about to come here, or Redis is away, which the feed tells.
            Ok(_) | Err(_) => {
                self.wait().await;
                None
            }
        }
    }

    /// Whether it is too early to say of a room whose history ends before the cursor that it is gone.
    pub(super) fn may_be_refilled(&mut self) -> bool {
        self.short_since.get_or_insert_with(Instant::now).elapsed() < REFILL
    }

    /// Waits for news of the room, and not for long.
    pub(super) async fn wait(&mut self) {
        let changed = tokio::time::timeout(RETRY, self.changes.changed());
        drop(changed.await);
    }

    /// What follows the cursor in Redis. Fails with `forbidden` where the room is another account's.
    pub(super) async fn read_page(&self) -> Result<Read, Error> {
        let _turn = self.fanout.pagers.acquire().await;
        let history = &self.fanout.history;
        let (owner, read) = history.read_after(&self.feed.room, &self.cursor, PAGE).await?;
        match owner {
            Some(owner) if !is_same_account(&owner, &self.account) => Err(history::foreign()),
            _ => Ok(read),
        }
    }

    fn lose(&mut self, reason: Reason, rest: Vec<Arc<Recorded>>) -> Update {
        self.settle(reason.code());
        if rest.is_empty() {
            self.phase = Phase::Entering;
        }
        self.pages = rest.into();
        Update::Gap(reason)
    }

    /// Counts how the viewer's resumption went, once.
    pub(super) fn settle(&mut self, outcome: &'static str) {
        if !std::mem::replace(&mut self.resumed, true) {
            self.fanout.count(outcome);
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.fanout.leave(&self.feed.room);
    }
}
