//! Who transcribes a session: under that name it is counted while it lives, and once it has ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::telemetry::{Metrics, metrics::label};

/// Who transcribes one session now.
#[derive(Debug)]
pub struct Transcriber {
    metrics: Metrics,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    name: &'static str,
    counts: bool,
}

/// A session that is counted as live, under whoever transcribes it then, until this is dropped.
#[derive(Debug)]
pub struct Counted(Arc<Transcriber>);

impl Transcriber {
    /// That provider, as far as is known before anything is heard.
    pub fn new(name: &'static str, metrics: Metrics) -> Self {
        Self { metrics, state: Mutex::new(State { name, counts: false }) }
    }

    /// The provider.
    pub fn name(&self) -> &'static str {
        self.lock().name
    }

    /// From now on it is that one.
    pub fn change(&self, name: &'static str) {
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.name, name);
        if state.counts && before != name {
            self.add(before, -1);
            self.add(name, 1);
        }
    }

    /// Counts the session as live; once at a time.
    pub fn count(self: &Arc<Self>) -> Counted {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.counts, true) {
            self.add(state.name, 1);
        }
        Counted(self.clone())
    }

    /// While the state is locked, or a change might fall between what is counted and where.
    fn add(&self, name: &'static str, sessions: i64) {
        self.metrics.live_sessions.add(sessions, &[label("provider", name)]);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if std::mem::replace(&mut state.counts, false) {
            self.0.add(state.name, -1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 3] = ["deepgram", "assemblyai", "local"];

    fn counted(metrics: &Metrics) -> [i64; 3] {
        let text = metrics.render().expect("text");
        NAMES.map(|name| {
            let wanted = format!("live_sessions{{provider=\"{name}\"");
            let line = text.lines().find(|line| line.starts_with(&wanted));
            line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
        })
    }

    proptest! {
        /// Of several sessions each is counted once, where it is transcribed, and none is left over.
        #[test]
        fn a_session_is_counted_where_it_is_transcribed(
            acts in proptest::collection::vec((0_usize..3, 0_usize..5), 0..24),
        ) {
            let metrics = Metrics::new().expect("metrics");
            let session = || Arc::new(Transcriber::new(NAMES[0], metrics.clone()));
            let sessions = [session(), session(), session()];
            let mut live = [None, None, None];
            for (at, act) in acts {
                match act {
                    3 => live[at] = live[at].take().or_else(|| Some(sessions[at].count())),
                    4 => live[at] = None,
                    name => sessions[at].change(NAMES[name]),
                }
                let lives = |name: &str| {
                    (0..3).filter(|at| live[*at].is_some() && sessions[*at].name() == name).count()
                };
                prop_assert_eq!(counted(&metrics), NAMES.map(|name| lives(name) as i64));
            }
            live = [None, None, None];
            prop_assert_eq!(counted(&metrics), [0; 3], "{:?}", live);
        }
    }
}
