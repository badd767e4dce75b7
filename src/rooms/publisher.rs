//! The owner's side of a room: what it said and the room may have to be told again.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Position, Text,
    history::{Appended, Claim, History},
};
use crate::{
    model::Error,
    telemetry::{Metrics, metrics::label},
};

/// Finals of the running session that are remembered, and their bytes.
const REMEMBERED: usize = 4096;
const REMEMBERED_BYTES: usize = 4 * 1024 * 1024;
/// Finals that one script adds.
const BATCH: usize = 200;

/// What became of what an owner published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Everything published is in the room.
    Stored {
        /// Where the last final stands.
        position: Position,
        /// Whether a new epoch began, into which the running session was added again.
        refilled: bool,
    },
    /// Another owner has taken the session over: this one must stop.
    Fenced,
}

/// Publishes the finals of one session into a room, in order.
#[derive(Debug)]
pub struct Publisher {
    history: History,
    metrics: Metrics,
    claim: Claim,
    finals: VecDeque<Arc<Text>>,
    bytes: usize,
    stored_n: u64,
    remembered: Position,
    /// Goes with the last final; empty for none.
    mark: String,
}

impl Publisher {
    pub(super) fn new(history: History, metrics: Metrics, claim: Claim) -> Self {
        Self {
            history,
            metrics,
            claim,
            finals: VecDeque::new(),
            bytes: 0,
            stored_n: 0,
            remembered: Position::default(),
            mark: String::new(),
        }
    }

    /// What the next owner is told once everything published so far is in the room.
    pub fn set_mark(&mut self, mark: String) {
        self.mark = mark;
    }

    /// Leaves the mark by itself, where no final carries it; false if another owner has taken over.
    pub async fn leave_mark(&self) -> Result<bool, Error> {
        self.history.leave_mark(&self.claim, &self.mark).await
    }

    /// Goes on from what an owner before is known to have stored: `finals` are the session's last
    /// ones, in order, `stored_n` is the last that is in the room, at `remembered`.
    pub fn resumed(
        mut self,
        finals: impl IntoIterator<Item = Text>,
        stored_n: u64,
        remembered: Position,
    ) -> Self {
        finals.into_iter().for_each(|text| self.remember(text));
        self.stored_n = stored_n;
        self.remembered = remembered;
        self
    }

    /// Adds a final, and whatever could not be added before. If Redis cannot take it now, it is
    /// remembered, and goes with the next one or with [`Self::flush`].
    pub async fn publish(&mut self, text: Text) -> Result<Published, Error> {
        self.hold(text);
        self.flush().await
    }

    /// Takes a final that goes with the next [`Self::flush`].
    pub fn hold(&mut self, text: Text) {
        self.remember(text);
    }

    /// Adds what is not in the room yet.
    pub async fn flush(&mut self) -> Result<Published, Error> {
        let flushed = self.add_all().await;
        match &flushed {
            Ok(Published::Fenced) => self.count("fenced", 1),
            Ok(Published::Stored { .. }) => {}
            Err(_) => self.count("unstored", 1),
        }
        flushed
    }

    /// Says an interim to whoever listens now, and tells how many replicas do. A loss costs nothing:
    /// another follows.
    pub async fn say(&self, interim: &Text) -> Result<u64, Error> {
        self.history.say(&self.claim, interim).await
    }

    /// Finals that are not in the room yet.
    pub fn waiting(&self) -> usize {
        self.after(self.stored_n).count()
    }

    async fn add_all(&mut self) -> Result<Published, Error> {
        let mut refilled = false;
        loop {
            let batch: Vec<_> = self.after(self.stored_n).take(BATCH).cloned().collect();
            let oldest = self.finals.front().map_or(0, |text| text.label.n);
            // What is missing before the oldest that is remembered cannot be told again.
            let holed = batch.first().is_some_and(|first| first.label.n == oldest);
            let Some(last_n) = batch.last().map(|last| last.label.n) else {
                return Ok(Published::Stored { position: self.remembered, refilled });
            };
            let is_last = self.finals.back().is_some_and(|last| last.label.n == last_n);
            let mark = if is_last { self.mark.as_str() } else { "" };
            let (claim, remembered) = (&self.claim, self.remembered);
            match self.history.append(claim, remembered, holed, &batch, mark).await? {
                Appended::Stored { position, added, began } => {
                    let again = began && self.remembered != Position::default();
                    refilled |= again;
                    self.count(if refilled { "refilled" } else { "stored" }, added);
                    (self.stored_n, self.remembered) = (last_n, position);
                }
                Appended::Known(position) => {
                    self.count("known", batch.len() as u64);
                    (self.stored_n, self.remembered) = (last_n, position);
                }
                Appended::Missing(after) => {
                    refilled = true;
                    self.stored_n = after;
                }
                Appended::Fenced => return Ok(Published::Fenced),
            }
        }
    }

    fn after(&self, n: u64) -> impl Iterator<Item = &Arc<Text>> {
        self.finals.iter().filter(move |text| text.label.n > n)
    }

    fn remember(&mut self, text: Text) {
        self.bytes += text.body.len();
        self.finals.push_back(Arc::new(text));
        while self.finals.len() > REMEMBERED
            || (self.bytes > REMEMBERED_BYTES && self.finals.len() > 1)
        {
            self.bytes -= self.finals.pop_front().map_or(0, |oldest| oldest.body.len());
        }
    }

    fn count(&self, outcome: &'static str, finals: u64) {
        self.metrics.room_finals.add(finals, &[label("outcome", outcome)]);
    }
}
