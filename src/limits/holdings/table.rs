//! What this replica's own sessions hold, as it knows it whether Redis is there or not.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::model::SessionId;

/// A session and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The session.
    pub session: SessionId,
    /// The account that pays for it.
    pub account: Arc<str>,
}

/// Something to be renewed.
#[derive(Debug)]
pub struct Due {
    pub(super) named: Named,
    pub(super) cap: Option<u32>,
    /// Whether Redis was never told of it.
    pub(super) unregistered: bool,
    grant: u64,
}

/// How far it has come.
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
    /// Tells it from an earlier one of the same session; counts up.
    grant: u64,
    lost: Arc<AtomicBool>,
}

/// The table, and what waits to be given back.
#[derive(Debug, Default)]
pub struct Table {
    entries: HashMap<SessionId, Entry>,
    freed: Vec<Named>,
    grants: u64,
}

impl Table {
    /// Notes that a session asks; the number of that, and where its loss will be told.
    pub(super) fn ask(&mut self, named: &Named, cap: Option<u32>) -> (u64, Arc<AtomicBool>) {
        self.grants += 1;
        let (grant, lost) = (self.grants, Arc::new(AtomicBool::new(false)));
        let account = named.account.clone();
        let entry = Entry { account, cap, state: State::Asked, grant, lost: lost.clone() };
        self.entries.insert(named.session, entry);
        (grant, lost)
    }

    /// Redis has granted it.
    pub(super) fn register(&mut self, session: SessionId, grant: u64) {
        if let Some(entry) = self.entry(session, grant) {
            entry.state = State::Registered;
        }
    }

    /// This replica has granted it.
    pub(super) fn share(&mut self, session: SessionId, grant: u64) {
        if let Some(entry) = self.entry(session, grant) {
            entry.state = State::Shared;
        }
    }

    /// Whose everything is that is held, one account for each.
    pub fn holders(&self) -> impl Iterator<Item = &str> {
        let held = self.entries.values().filter(|entry| entry.state != State::Asked);
        held.map(|entry| &*entry.account)
    }

    /// Sessions that ask, each with its account and the number of its asking.
    pub fn asking(&self) -> impl Iterator<Item = (SessionId, &str, u64)> {
        let asking = self.entries.iter().filter(|(_, entry)| entry.state == State::Asked);
        asking.map(|(session, entry)| (*session, &*entry.account, entry.grant))
    }

    /// Ends a hold, unless a newer one of its session has taken its place; whether it is to be
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

    /// Lets a hold go to another replica: it is neither renewed nor given back here.
    pub(super) fn hand_over(&mut self, session: SessionId, grant: u64) {
        if self.entry(session, grant).is_some() {
            self.entries.remove(&session);
        }
    }

    /// Everything that is to be given back; the caller sees to it.
    pub(super) fn take_freed(&mut self) -> Vec<Named> {
        std::mem::take(&mut self.freed)
    }

    /// What is to be renewed.
    pub fn due(&self) -> Vec<Due> {
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
