//! The owner's side of a room: what it said and the room may have to be told again.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Position, Recorded, Said, Text,
    history::{Appended, Claim, History},
    refuge::Refuge,
};
use crate::{
    model::{Error, ErrorKind},
    telemetry::{Metrics, metrics::label},
    usage::Mark,
};

/// Finals of the running session that are remembered, and their bytes.
const REMEMBERED: usize = 4096;
const REMEMBERED_BYTES: usize = 4 * 1024 * 1024;
/// Finals of owners before that are remembered at most.
const RECALLED: usize = 1000;
/// Finals that the room has already and that are left in Postgres with the first that it refuses:
/// should the room forget them, and their owner die, viewers find their places by them.
const BEFORE: u64 = 64;
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
    /// Redis refuses, and everything published is in Postgres.
    Kept,
    /// Another owner has taken the session over: this one must stop.
    Fenced,
}

/// Publishes the finals of one session into a room, in order; while Redis refuses them they are left
/// in Postgres.
#[derive(Debug)]
pub struct Publisher {
    history: History,
    refuge: Refuge,
    metrics: Metrics,
    claim: Claim,
    finals: VecDeque<Arc<Text>>,
    bytes: usize,
    stored_n: u64,
    remembered: Position,
    /// Before where in the room older finals may be recalled.
    older: Option<Position>,
    /// Goes with the last final.
    mark: Option<Mark>,
    /// What is in Postgres besides: up to which number, and the mark that went with it.
    kept_n: u64,
    kept_mark: Option<Mark>,
    /// Whether Redis refused the last time.
    refused: bool,
}

impl Publisher {
    pub(super) fn new(history: History, refuge: Refuge, metrics: Metrics, claim: Claim) -> Self {
        Self {
            history,
            refuge,
            metrics,
            claim,
            finals: VecDeque::new(),
            bytes: 0,
            stored_n: 0,
            remembered: Position::default(),
            older: None,
            mark: None,
            kept_n: 0,
            kept_mark: None,
            refused: false,
        }
    }

    /// What the next owner is told once everything published so far is stored.
    pub fn set_mark(&mut self, mark: Mark) {
        self.mark = Some(mark);
    }

    /// Adds what is not in the room yet, and the mark; while Redis refuses, leaves both in Postgres.
    /// Then it is to be told again, so that the room has it once Redis is back.
    pub async fn tell(&mut self) -> Result<Published, Error> {
        if self.refused && !self.history.is_there().await {
            return self.keep().await;
        }
        // Whoever took over meanwhile could not say so in Redis.
        if self.refused && !self.refuge.is_current(&self.claim).await {
            return Ok(Published::Fenced);
        }
        match self.tell_room().await {
            Err(error) if error.kind != ErrorKind::Forbidden => {
                self.refused = true;
                self.keep().await.map_err(|away| error.because(format!("{away:?}")))
            }
            told => {
                (self.refused, self.kept_n, self.kept_mark) = (false, 0, None);
                told
            }
        }
    }

    async fn tell_room(&mut self) -> Result<Published, Error> {
        if self.waiting() > 0 {
            return self.flush().await;
        }
        if let Some(mark) = &self.mark
            && !self.history.leave_mark(&self.claim, mark).await?
        {
            return Ok(Published::Fenced);
        }
        Ok(Published::Stored { position: self.remembered, refilled: false })
    }

    /// Leaves in Postgres what is nowhere yet.
    async fn keep(&mut self) -> Result<Published, Error> {
        let after = if self.kept_n == 0 {
            self.stored_n.saturating_sub(BEFORE)
        } else {
            self.stored_n.max(self.kept_n)
        };
        let finals: Vec<Arc<Text>> = self.following(after).cloned().collect();
        if finals.is_empty() && self.mark == self.kept_mark {
            return Ok(Published::Kept);
        }
        let last_n = finals.last().map_or(self.kept_n, |last| last.label.n);
        let count = finals.len() as u64;
        if !self.refuge.keep(&self.claim, finals, self.mark.clone()).await? {
            self.count("fenced", 1);
            return Ok(Published::Fenced);
        }
        self.count("kept", count);
        (self.kept_n, self.kept_mark) = (last_n, self.mark.clone());
        Ok(Published::Kept)
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

    /// Goes on after what owners before said up to that number; what of it only Postgres has, without
    /// a position, the room is to be told.
    pub fn after(mut self, said: &[Arc<Recorded>], until_n: u64) -> Self {
        let is_hole = |pair: &[Arc<Recorded>]| pair[0].text.label.n + 1 != pair[1].text.label.n;
        let said = said.split_at(said.windows(2).rposition(is_hole).map_or(0, |at| at + 1)).1;
        let is_kept = |recorded: &&Arc<Recorded>| recorded.position == Position::default();
        let at = said.iter().rfind(|recorded| !is_kept(recorded));
        let at = at.map_or_else(Position::default, |last| last.position);
        self.older = said.first().filter(|first| !is_kept(first)).map(|first| first.position);
        let stored_n = said.iter().find(is_kept).map(|first| first.text.label.n.saturating_sub(1));
        // From there on it is told anew, whatever an owner of the past has said there.
        self.claim.base = self.claim.base.map(|base| base.min(stored_n.unwrap_or(base)));
        let texts = said.iter().map(|recorded| recorded.text.clone());
        self.resumed(texts, stored_n.unwrap_or(until_n), at)
    }

    /// Remembers a page more of what owners before said, so that a room that forgets it can be told
    /// it again; nobody waits for that.
    pub async fn recall(&mut self) -> Result<(), Error> {
        let Some(place) = self.older else { return Ok(()) };
        let Claim { room, account, session, .. } = &self.claim;
        let whose = (room, account.as_str());
        let Said { finals, older } =
            self.history.read_session(whose, *session, 0, Some(place)).await?;
        self.older = older;
        for recorded in finals.iter().rev() {
            let text = &recorded.text;
            let follows = self.finals.front().is_some_and(|next| next.label.n == text.label.n + 1);
            let bytes = self.bytes + text.body.len();
            if !follows || self.finals.len() >= RECALLED || bytes > REMEMBERED_BYTES {
                self.older = None;
                break;
            }
            self.bytes = bytes;
            self.finals.push_front(Arc::new(text.clone()));
        }
        Ok(())
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
            Ok(Published::Stored { .. } | Published::Kept) => {}
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
        self.following(self.stored_n).count()
    }

    async fn add_all(&mut self) -> Result<Published, Error> {
        let mut refilled = false;
        loop {
            let batch: Vec<_> = self.following(self.stored_n).take(BATCH).cloned().collect();
            let oldest = self.finals.front().map_or(0, |text| text.label.n);
            // What is missing and not remembered cannot be told again.
            let first_n = batch.first().map_or(0, |first| first.label.n);
            let holed = first_n == oldest || first_n > self.stored_n + 1;
            let Some(last_n) = batch.last().map(|last| last.label.n) else {
                return Ok(Published::Stored { position: self.remembered, refilled });
            };
            let is_last = self.finals.back().is_some_and(|last| last.label.n == last_n);
            let mark = self.mark.as_ref().filter(|_| is_last);
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
                Appended::Fenced { .. } => return Ok(Published::Fenced),
            }
        }
    }

    fn following(&self, n: u64) -> impl Iterator<Item = &Arc<Text>> {
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
