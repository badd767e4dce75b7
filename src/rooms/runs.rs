//! Entries of a history as they are believed: in runs, between which something is missing or was not
//! written by a replica.

use std::{collections::HashMap, str::FromStr, sync::Arc};

use super::{
    Cursor, Label, Position, Read, Reason, Recorded, Text, history::strange, seals::Seals,
};
use crate::{
    auth::is_same_account,
    model::{Error, SessionId},
};

/// What the scripts tell of an entry: its id, session, n, body, account and seal.
pub(super) const FIELDS: usize = 6;

/// Finals that follow each other without a hole.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) finals: Vec<Arc<Recorded>>,
    /// After the last of them, or after what is none.
    pub(super) cursor: Cursor,
}

/// Reads entries of one history.
pub(super) struct Reader<'a> {
    pub(super) seals: &'a Seals,
    pub(super) history: &'a str,
    /// Whose words count.
    pub(super) owner: &'a str,
}

impl Reader<'_> {
    /// The final of an entry, if a replica wrote it there; and where it stands. What is no position
    /// fails: Redis itself gives those.
    pub(super) fn read(&self, entry: &[String]) -> Result<(Position, Option<Recorded>), Error> {
        let [id, session, n, body, account, mark] = entry else { return Err(strange()) };
        let position = parse(id)?;
        let label = session.parse().ok().zip(n.parse().ok());
        let text = label.map(|(session, n)| {
            let label = Label { session: SessionId(session), n };
            Text { label, body: body.clone() }
        });
        let is_ours = |text: &Text| {
            is_same_account(account, self.owner)
                && self.seals.is_final(self.history, account, text, mark)
        };
        let recorded = text.filter(is_ours).map(|text| Recorded { position, text });
        if recorded.is_none() {
            self.seals.doubt(self.history, "final");
        }
        Ok((position, recorded))
    }

    /// The runs of entries in order. With `after`, the first goes on from there: its first entry is the
    /// next one.
    pub(super) fn runs(
        &self,
        after: Option<Cursor>,
        entries: &[String],
    ) -> Result<Vec<Run>, Error> {
        let cursor = after.unwrap_or_default();
        let mut at = after.map(|after| after.position);
        let seen = cursor.last.iter().map(|last| (last.session, last.n));
        let mut last: HashMap<SessionId, u64> = seen.collect();
        let mut runs = vec![Run { finals: Vec::new(), cursor }];
        for entry in entries.chunks_exact(FIELDS) {
            let (position, recorded) = self.read(entry)?;
            let follows = at.is_none_or(|at| position == Position { offset: at.offset + 1, ..at });
            at = Some(position);
            let Some(recorded) = recorded.filter(|it| !self.is_repeated(&last, it.text.label))
            else {
                // No name: who goes on from there goes by the place alone.
                cut(&mut runs, Cursor { position, last: None });
                continue;
            };
            let Label { session, n } = recorded.text.label;
            let before = last.insert(session, n);
            if !follows || before.is_some_and(|before| n > before + 1) {
                cut(&mut runs, recorded.cursor());
            }
            if let Some(run) = runs.last_mut() {
                run.cursor = recorded.cursor();
                run.finals.push(Arc::new(recorded));
            }
        }
        Ok(runs)
    }

    fn is_repeated(&self, last: &HashMap<SessionId, u64>, label: Label) -> bool {
        let repeated = last.get(&label.session).is_some_and(|n| label.n <= *n);
        if repeated {
            self.seals.doubt(self.history, "repeated");
        }
        repeated
    }
}

/// Ends the last run there, unless it begins there.
fn cut(runs: &mut Vec<Run>, cursor: Cursor) {
    let count = runs.len();
    match runs.last_mut() {
        Some(last) if count > 1 && last.finals.is_empty() => last.cursor = cursor,
        _ => runs.push(Run { finals: Vec::new(), cursor }),
    }
}

/// What follows a cursor, up to where something is missing; that is told by the next read.
pub(super) fn recovered(runs: Vec<Run>, more: bool) -> Read {
    let mut runs = runs.into_iter();
    let first = runs.next().unwrap_or_default();
    let is_cut = runs.len() > 0;
    let Some(next) = runs.next().filter(|_| first.finals.is_empty()) else {
        let Run { finals, cursor } = first;
        return Read::Recovered { finals, cursor, short: false, more: more || is_cut };
    };
    let Run { finals: rest, cursor } = next;
    Read::NotRecovered { reason: Reason::Trimmed, rest, cursor, more: more || runs.len() > 0 }
}

/// What can be shown where something is missing anyway: the last run.
pub(super) fn lost(reason: Reason, runs: Vec<Run>) -> Read {
    let Run { finals: rest, cursor } = runs.into_iter().next_back().unwrap_or_default();
    Read::NotRecovered { reason, rest, cursor, more: false }
}

pub(super) fn parse<T: FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| strange())
}
