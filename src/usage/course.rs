//! How a session's audio is billed along its way: by whom it was transcribed, and what of it is not
//! billed at all. Pure.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Gaps, and changes of the provider, that are kept apart where Postgres is long in coming.
const MOST: usize = 64;

/// The part of a session's way that is not billed yet. It goes with the session to its next owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// Everything before is billed, or is not to be: it is in Postgres.
    billed_ms: u64,
    /// Audio that is never billed, in order; none touches another.
    skipped: Vec<(u64, u64)>,
    /// Who transcribes from where on, in order; the first counts for what is before it too.
    legs: Vec<Leg>,
}

/// A provider's part of the way, up to where the next begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leg {
    pub(super) from_ms: u64,
    pub(super) service: Cow<'static, str>,
    pub(super) model: String,
}

impl Course {
    /// Everything before is billed.
    pub(super) const fn billed_ms(&self) -> u64 {
        self.billed_ms
    }

    /// Audio that has no transcript is not billed.
    pub(super) fn skip(&mut self, from_ms: u64, to_ms: u64) {
        let (mut from_ms, mut to_ms) = (from_ms.max(self.billed_ms), to_ms);
        if from_ms >= to_ms {
            return;
        }
        self.skipped.retain(|(from, to)| {
            let touches = *from <= to_ms && *to >= from_ms;
            if touches {
                (from_ms, to_ms) = (from_ms.min(*from), to_ms.max(*to));
            }
            !touches
        });
        let at = self.skipped.partition_point(|(from, _)| *from < from_ms);
        self.skipped.insert(at, (from_ms, to_ms));
        if self.skipped.len() > MOST {
            self.join_nearest();
        }
    }

    /// Gives away what lies between the two gaps that are nearest to each other.
    fn join_nearest(&mut self) {
        let between = |at: &usize| self.skipped[at + 1].0 - self.skipped[*at].1;
        if let Some(at) = (0..self.skipped.len() - 1).min_by_key(between) {
            self.skipped[at].1 = self.skipped.remove(at + 1).1;
        }
    }

    /// From there on another provider transcribes, unless it is the same one.
    pub(super) fn switch(&mut self, from_ms: u64, service: Cow<'static, str>, model: String) {
        while self.legs.len() > 1 && self.legs.last().is_some_and(|leg| leg.from_ms >= from_ms) {
            self.legs.pop();
        }
        let goes_on =
            self.legs.last().is_some_and(|leg| leg.service == service && leg.model == model);
        if goes_on {
            return;
        }
        if self.legs.last().is_some_and(|leg| leg.from_ms >= from_ms) {
            self.legs.clear();
        }
        self.legs.push(Leg { from_ms, service, model });
        if self.legs.len() > MOST {
            self.legs.remove(1);
        }
    }

    /// Everything before is billed: what was noted about it is of no use any more.
    pub(super) fn bill(&mut self, until_ms: u64) {
        self.billed_ms = self.billed_ms.max(until_ms);
        let billed_ms = self.billed_ms;
        self.skipped.retain(|(_, to)| *to > billed_ms);
        while self.legs.get(1).is_some_and(|next| next.from_ms <= billed_ms) {
            self.legs.remove(0);
        }
    }

    /// What another knew of the same way. Of changes of the provider the one counts that reaches
    /// further: the other may not know of all.
    pub(super) fn join(&mut self, other: &Self, reaches_further: bool) {
        self.billed_ms = self.billed_ms.min(other.billed_ms);
        for (from_ms, to_ms) in &other.skipped {
            self.skip(*from_ms, *to_ms);
        }
        if reaches_further {
            self.legs.clone_from(&other.legs);
        }
    }

    /// Whether it can have been made here.
    pub(super) fn is_sound(&self) -> bool {
        self.skipped.len() <= MOST
            && self.legs.len() <= MOST
            && self.skipped.iter().all(|(from, to)| from < to)
            && self.skipped.windows(2).all(|pair| pair[0].1 < pair[1].0)
            && self.legs.windows(2).all(|pair| pair[0].from_ms < pair[1].from_ms)
    }

    /// What is to be billed of a range of which those ranges, which are in order, are: each part with
    /// who transcribed it.
    pub(super) fn unbilled(
        &self,
        (from_ms, until_ms): (u64, u64),
        billed: &[(u64, u64)],
    ) -> Vec<((u64, u64), &Leg)> {
        let left = without(vec![(from_ms, until_ms)], billed);
        let left = without(left, &self.skipped);
        let mut parts = Vec::new();
        for (at, leg) in self.legs.iter().enumerate() {
            let begins = if at == 0 { 0 } else { leg.from_ms };
            let ends = self.legs.get(at + 1).map_or(u64::MAX, |next| next.from_ms);
            for (from, until) in &left {
                let part = ((*from).max(begins), (*until).min(ends));
                if part.0 < part.1 {
                    parts.push((part, leg));
                }
            }
        }
        parts
    }
}

/// Ranges without others, both in order.
fn without(ranges: Vec<(u64, u64)>, others: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut left = Vec::new();
    for (mut from, until) in ranges {
        for (start, end) in others.iter().copied().chain([(until, until)]) {
            let to = start.min(until);
            if to > from {
                left.push((from, to));
            }
            from = from.max(end);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn course(skips: &[(u64, u64)], legs: &[u64]) -> Course {
        let mut course = Course::default();
        course.switch(0, "first".into(), String::new());
        for (at, from_ms) in legs.iter().enumerate() {
            course.switch(*from_ms, format!("{at}").into(), String::new());
        }
        for (from, length) in skips {
            course.skip(*from, from + length);
        }
        course
    }

    #[test]
    fn the_same_provider_goes_on_and_a_switch_takes_back_later_ones() {
        let mut course = course(&[], &[500, 900]);
        course.switch(1_200, "1".into(), String::new());
        let from = |course: &Course| course.legs.iter().map(|leg| leg.from_ms).collect::<Vec<_>>();
        assert_eq!(from(&course), [0, 500, 900]);
        course.switch(700, "0".into(), String::new());
        assert_eq!(from(&course), [0, 500]);
        course.bill(600);
        assert_eq!(from(&course), [500]);
    }

    #[test]
    fn of_two_that_know_of_one_way_the_further_one_tells_who_transcribed_it() {
        let (further, mut shorter) =
            (course(&[(100, 50)], &[500, 900]), course(&[(300, 50)], &[500]));
        // As an entry is read back: from its end on it would go on with whom the session began.
        shorter.switch(700, "first".into(), String::new());
        let joined = |mut one: Course, other: &Course, is_shorter: bool| {
            one.join(other, is_shorter);
            (one.skipped, one.legs)
        };
        let expected = (vec![(100, 150), (300, 350)], further.legs.clone());
        assert_eq!(joined(further.clone(), &shorter, false), expected);
        assert_eq!(joined(shorter, &further, true), expected);
    }

    #[test]
    fn what_is_noted_has_a_bound() {
        let skips: Vec<(u64, u64)> = (0..1_000).map(|at| (at * 100, 50)).collect();
        let legs: Vec<u64> = (1..1_000).map(|at| at * 70).collect();
        let course = course(&skips, &legs);
        assert!(course.is_sound(), "{course:?}");
        assert!(serde_json::to_string(&course).unwrap().len() < 8_000);
    }

    proptest! {
        #[test]
        fn each_moment_that_is_neither_billed_nor_skipped_is_had_once(
            skips in proptest::collection::vec((0_u64..900, 1_u64..60), 0..30),
            legs in proptest::collection::vec(1_u64..900, 0..6),
            mut billed in proptest::collection::vec((0_u64..900, 1_u64..60), 0..6),
            range in (0_u64..500, 0_u64..500),
            done_ms in 0_u64..600,
        ) {
            let mut course = course(&skips, &legs);
            course.bill(done_ms);
            prop_assert!(course.is_sound());
            billed.sort_unstable();
            let billed: Vec<(u64, u64)> = billed.iter().map(|(from, ms)| (*from, from + ms)).collect();
            let range = (range.0.max(done_ms), range.0.max(done_ms) + range.1);
            let parts = course.unbilled(range, &billed);
            for ms in range.0..range.1 {
                let times = parts.iter().filter(|(part, _)| (part.0..part.1).contains(&ms)).count();
                let is_skipped = skips.iter().any(|(from, length)| (*from..from + length).contains(&ms));
                let is_billed = billed.iter().any(|(from, until)| (*from..*until).contains(&ms));
                prop_assert_eq!(times, usize::from(!is_skipped && !is_billed), "{}", ms);
            }
            prop_assert!(parts.iter().all(|(part, _)| part.0 >= range.0 && part.1 <= range.1));
        }
    }
}
