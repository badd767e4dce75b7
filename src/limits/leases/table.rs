//! The leases of this replica's own sessions, as it knows them whether Redis is there or not.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{Caps, keeper::Answer};
use crate::model::SessionId;

/// A session and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) session: SessionId,
    pub(super) account: Arc<str>,
}

/// A lease to be renewed.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) named: Named,
    pub(super) cap: Option<u32>,
    /// Whether Redis was never told of it.
    pub(super) unregistered: bool,
    grant: u64,
}

/// How far a lease has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Redis is being asked.
    Asked,
    /// Held, and Redis has not been told.
    Shared,
    /// Held, and Redis knows.
    Registered,
}

#[derive(Debug)]
struct Entry {
    account: Arc<str>,
    cap: Option<u32>,
    state: State,
    /// Tells this lease from an earlier one of the same session.
    grant: u64,
    lost: Arc<AtomicBool>,
}

/// The table, and what waits to be given back.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashMap<SessionId, Entry>,
    freed: Vec<Named>,
    grants: u64,
}

impl Table {
    /// Notes that a lease is being asked for; its number, and where its loss will be told.
    pub(super) fn ask(&mut self, named: &Named, caps: Caps) -> (u64, Arc<AtomicBool>) {
        self.grants += 1;
        let (grant, lost) = (self.grants, Arc::new(AtomicBool::new(false)));
        let account = named.account.clone();
        let entry =
            Entry { account, cap: caps.account, state: State::Asked, grant, lost: lost.clone() };
        self.entries.insert(named.session, entry);
        (grant, lost)
    }

    /// Redis has granted it.
    pub(super) fn register(&mut self, session: SessionId, grant: u64) {
        if let Some(entry) = self.entry(session, grant) {
            entry.state = State::Registered;
        }
    }

    /// Grants it out of this replica's own share, if that has room.
    pub(super) fn share(&mut self, named: &Named, grant: u64, shares: Caps) -> Answer {
        let held = || self.entries.values().filter(|entry| entry.state != State::Asked);
        let of_account = held().filter(|entry| entry.account == named.account).count();
        let has_room = |cap: Option<u32>, held: usize| cap.is_none_or(|cap| held < cap as usize);
        if !has_room(shares.account, of_account) {
            return Answer::AccountFull;
        }
        if !has_room(shares.total, held().count()) {
            return Answer::Full;
        }
        if let Some(entry) = self.entry(named.session, grant) {
            entry.state = State::Shared;
        }
        Answer::Granted
    }

    /// Ends a lease, unless a newer one of its session has taken its place; whether it is to be
    /// given back.
    pub(super) fn free(&mut self, session: SessionId, grant: u64) -> bool {
        if self.entry(session, grant).is_none() {
            return false;
        }
        if let Some(Entry { account, .. }) = self.entries.remove(&session) {
            self.freed.push(Named { session, account });
        }
        true
    }

    /// Lets a lease go to another replica: it is neither renewed nor given back here.
    pub(super) fn hand_over(&mut self, session: SessionId, grant: u64) {
        if self.entry(session, grant).is_some() {
            self.entries.remove(&session);
        }
    }

    /// Everything that is to be given back; the caller sees to it.
    pub(super) fn take_freed(&mut self) -> Vec<Named> {
        std::mem::take(&mut self.freed)
    }

    /// The leases to be renewed.
    pub(super) fn due(&self) -> Vec<Due> {
        let due = |(session, entry): (&SessionId, &Entry)| Due {
            named: Named { session: *session, account: entry.account.clone() },
            cap: entry.cap,
            unregistered: entry.state == State::Shared,
            grant: entry.grant,
        };
        let held = |(_, entry): &(&SessionId, &Entry)| {
            entry.state != State::Asked && !entry.lost.load(Ordering::Relaxed)
        };
        self.entries.iter().filter(held).map(due).collect()
    }

    /// Notes what became of a renewal.
    pub(super) fn renewed(&mut self, due: &Due, lost: bool) {
        if let Some(entry) = self.entry(due.named.session, due.grant) {
            entry.state = State::Registered;
            entry.lost.store(lost, Ordering::Relaxed);
        }
    }

    fn entry(&mut self, session: SessionId, grant: u64) -> Option<&mut Entry> {
        self.entries.get_mut(&session).filter(|entry| entry.grant == grant)
    }
}
