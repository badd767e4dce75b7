//! How a viewer begins: what it is told first, and that nothing lies between that and what follows.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    Cursor, Read, Reason, Recorded, Text,
    history::foreign,
    viewer::{Phase, Viewer},
};
use crate::model::{Error, ErrorKind};

/// How long Redis may take over what a viewer is told first, and a room over being told again.
const PATIENCE: Duration = Duration::from_secs(6);

/// What a viewer begins with.
#[derive(Clone, Debug)]
pub enum Settled {
    /// Nothing is missing after the position that it named, and what it missed follows.
    Resumed(Cursor),
    /// These, and what follows them.
    Afresh {
        /// Why it could not go on from the position that it named, if it named one.
        reason: Option<Reason>,
        /// After the last of the finals.
        cursor: Cursor,
        /// The room's last finals, in order.
        finals: Vec<Arc<Recorded>>,
        /// The interim, where this replica has heard it.
        interim: Option<Arc<Text>>,
    },
}

impl Viewer {
    /// Finds where the viewer begins, and what it is told first: at most that many finals. To be
    /// called before anything else. Fails with `forbidden` if the room is another account's, and with
    /// `dependency_unavailable` if Redis cannot be asked.
    pub async fn begin(&mut self, limit: usize) -> Result<Settled, Error> {
        let late = |_| {
            Error::new(ErrorKind::DependencyUnavailable, "the room cannot be read now: ask again")
        };
        timeout(PATIENCE, self.find_beginning(limit)).await.map_err(late)?
    }

    /// Viewers of the room on all replicas, this one among them; as last known while Redis is away.
    pub async fn count(&mut self) -> u64 {
        let counted = self.seat.count().await;
        self.viewers = counted.unwrap_or_else(|_| self.feed.state().counted());
        self.viewers
    }

    async fn find_beginning(&mut self, limit: usize) -> Result<Settled, Error> {
        loop {
            self.changes.mark_unchanged();
            let (loaded, known) = {
                let state = self.feed.state();
                if state.is_foreign(&self.account) {
                    return Err(foreign());
                }
                (state.loaded, state.after(&self.cursor))
            };
            match (loaded, &self.phase, known) {
                (false, ..) => drop(self.changes.changed().await),
                (true, Phase::Resuming, Some(number)) => {
                    self.phase = Phase::Live(number);
                    self.settle("recovered");
                    return Ok(Settled::Resumed(self.cursor));
                }
                (true, Phase::Resuming, None) => match self.read_page().await? {
                    Read::Recovered { short: false, finals, .. } => {
                        self.pages = finals.into();
                        self.settle("recovered");
                        return Ok(Settled::Resumed(self.cursor));
                    }
                    Read::Recovered { .. } if self.may_be_refilled() => self.wait().await,
                    Read::Recovered { .. } => {
                        return self.begin_afresh(Some(Reason::EpochGone), limit);
                    }
                    Read::NotRecovered { reason, .. } => {
                        return self.begin_afresh(Some(reason), limit);
                    }
                },
                _ => return self.begin_afresh(None, limit),
            }
        }
    }

    fn begin_afresh(&mut self, reason: Option<Reason>, limit: usize) -> Result<Settled, Error> {
        if let Some(reason) = reason {
            self.settle(reason.code());
        }
        let state = self.feed.state();
        if state.is_foreign(&self.account) {
            return Err(foreign());
        }
        let (finals, interim) = state.latest(limit);
        (self.cursor, self.phase) = (state.cursor, Phase::Live(state.end()));
        (self.version, self.counts) = (state.version(), state.count_changes());
        Ok(Settled::Afresh { reason, cursor: self.cursor, finals, interim })
    }
}
