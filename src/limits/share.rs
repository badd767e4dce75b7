//! What this replica counts by itself while Redis is away: its share of a limit, in bounded room.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::gcra::{self, Count};

/// Subjects that are remembered for each action.
const SUBJECTS: usize = 10_000;

/// The subjects of one action.
///
/// In a full table a newcomer takes the place of whoever has used least, *with what that one has
/// used*: pushing others out, or being pushed out, gives nobody more than their share.
#[derive(Debug, Default)]
pub(super) struct Share {
    full_at: HashMap<Arc<str>, u64>,
    by_use: BTreeSet<(u64, Arc<str>)>,
}

impl Share {
    /// Counts one act at a time in microseconds, which never goes back.
    pub(super) fn count(&mut self, subject: &str, now: u64, limit: u32) -> Count {
        let (subject, mut full_at) = self.take(subject);
        let counted = gcra::count(&mut full_at, now, limit);
        self.by_use.insert((full_at, subject.clone()));
        self.full_at.insert(subject, full_at);
        counted
    }

    /// Takes the subject out, or makes room for it.
    fn take(&mut self, subject: &str) -> (Arc<str>, u64) {
        if let Some((subject, full_at)) = self.full_at.remove_entry(subject) {
            let key = (full_at, subject);
            self.by_use.remove(&key);
            return (key.1, full_at);
        }
        let mut inherited = 0;
        if self.full_at.len() >= SUBJECTS
            && let Some((full_at, least)) = self.by_use.pop_first()
        {
            self.full_at.remove(&least);
            inherited = full_at;
        }
        (subject.into(), inherited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 5;

    #[test]
    fn a_full_table_makes_nobody_unlimited() {
        let mut share = Share::default();
        let mut allowed = 0;
        // One subject between ever new ones, who push it out before it comes again.
        for round in 0..200_000_u64 {
            share.count(&format!("stranger {round}"), round, LIMIT);
            if round % 20_000 == 0 && share.count("victim or villain", round, LIMIT).allowed {
                allowed += 1;
            }
        }
        assert!(allowed <= LIMIT, "{allowed} were allowed in a fifth of a second");
        assert_eq!((share.full_at.len(), share.by_use.len()), (SUBJECTS, SUBJECTS));
        // Once they are gone, everybody has the whole share again.
        let later = 300_000_000;
        let burst = (0..10).filter(|_| share.count("newcomer", later, LIMIT).allowed).count();
        assert_eq!(burst, LIMIT as usize);
    }
}
