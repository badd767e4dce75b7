//! How often this replica looks and fetches, whatever tokens say.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::COOLDOWN;

/// Unknown key ids make the replica look into Redis this often at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What was done when.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// A search is on its way; only one is.
    searching: bool,
    searched_at: Option<Instant>,
    /// The last fetch made here.
    fetched_at: Option<Instant>,
    /// Before this no fetch is made for an unknown key id, here or elsewhere.
    cools_until: Option<Instant>,
}

/// Whether a search for an unknown key id may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is the caller's to begin.
    Begin,
    /// Another one is on its way.
    Wait,
    /// The last one was a moment ago.
    Later,
}

impl Pace {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a search; who is told to begin must end it.
    pub(super) fn begin_search(&self) -> Turn {
        let mut state = self.state();
        if state.searching {
            return Turn::Wait;
        }
        if state.searched_at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return Turn::Later;
        }
        state.searching = true;
        Turn::Begin
    }

    /// Ends a search.
    pub(super) fn end_search(&self) {
        let mut state = self.state();
        (state.searching, state.searched_at) = (false, Some(Instant::now()));
    }

    /// The same for what the replica begins with, after which a search may follow at once.
    pub(super) fn end_boot(&self) {
        self.state().searching = false;
    }

    /// Notes a fetch that is made here.
    pub(super) fn note_fetch(&self) {
        self.state().fetched_at = Some(Instant::now());
    }

    /// Claims a fetch among those of this replica alone.
    pub(super) fn claim_alone(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        let free = state.fetched_at.map(|at| at + COOLDOWN).filter(|free| *free > now);
        if let Some(free) = free {
            state.cools_until = state.cools_until.max(Some(free));
            return false;
        }
        state.fetched_at = Some(now);
        true
    }

    /// Fetches for no unknown key id for that long.
    pub(super) fn cool(&self, time: Duration) {
        let mut state = self.state();
        state.cools_until = state.cools_until.max(Some(Instant::now() + time));
    }

    /// How long no fetch will be made for an unknown key id; zero if one may be.
    pub(super) fn cooling(&self) -> Duration {
        let until = self.state().cools_until;
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_search_at_a_time_and_one_a_second() {
        let pace = Pace::default();
        assert_eq!((pace.begin_search(), pace.begin_search()), (Turn::Begin, Turn::Wait));
        pace.end_boot();
        assert_eq!(pace.begin_search(), Turn::Begin);
        pace.end_search();
        assert_eq!(pace.begin_search(), Turn::Later);
    }

    #[test]
    fn alone_one_fetch_in_thirty_seconds() {
        let pace = Pace::default();
        assert!(pace.claim_alone() && pace.cooling().is_zero());
        assert!(!pace.claim_alone() && pace.cooling() > Duration::from_secs(29));
        pace.cool(Duration::from_secs(1));
        assert!(pace.cooling() > Duration::from_secs(29), "a shorter wait shortens nothing");
    }
}
