//! Who transcribed a session's audio, from where on: each provider is billed at its own price. Pure.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Changes of the provider that are kept apart where Postgres is long in coming.
const MOST: usize = 64;

/// The changes that are not billed yet, in order; before the first it is who the session began with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Legs(Vec<Leg>);

/// A provider's part of the way, up to where the next begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leg {
    from_ms: u64,
    pub(super) service: Cow<'static, str>,
    pub(super) model: String,
}

impl Legs {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// From there on another provider transcribes.
    pub(super) fn switch(&mut self, from_ms: u64, service: Cow<'static, str>, model: String) {
        self.0.retain(|leg| leg.from_ms < from_ms);
        self.0.push(Leg { from_ms, service, model });
        if self.0.len() > MOST {
            self.0.remove(1);
        }
    }

    /// Everything before is billed.
    pub(super) fn bill(&mut self, until_ms: u64) {
        while self.0.get(1).is_some_and(|next| next.from_ms <= until_ms) {
            self.0.remove(0);
        }
    }

    /// What another knew of the same way.
    pub(super) fn join(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
        self.0.sort_by_key(|leg| leg.from_ms);
        self.0.dedup_by_key(|leg| leg.from_ms);
    }

    /// A range by who transcribed its parts.
    pub(super) fn parts(&self, (from_ms, until_ms): (u64, u64)) -> Vec<((u64, u64), Option<&Leg>)> {
        let first = (from_ms, None);
        let begins = self.0.iter().map(|leg| (leg.from_ms.max(from_ms), Some(leg)));
        let begins: Vec<_> = std::iter::once(first).chain(begins).collect();
        let ends = begins[1..].iter().map(|(from, _)| (*from).min(until_ms)).chain([until_ms]);
        let parts = begins.iter().zip(ends).map(|((from, leg), end)| ((*from, end), *leg));
        parts.filter(|((from, end), _)| from < end).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(legs: &Legs, range: (u64, u64)) -> Vec<(u64, u64, &str)> {
        let name = |leg: Option<&Leg>| {
            leg.map_or("", |leg| match leg.model.as_str() {
                "a" => "a",
                _ => "b",
            })
        };
        legs.parts(range).into_iter().map(|((from, end), leg)| (from, end, name(leg))).collect()
    }

    #[test]
    fn a_range_is_cut_where_another_goes_on() {
        let mut legs = Legs::default();
        assert_eq!(parts(&legs, (5, 9)), [(5, 9, "")]);
        legs.switch(100, "x".into(), "a".into());
        legs.switch(200, "y".into(), "b".into());
        assert_eq!(parts(&legs, (0, 300)), [(0, 100, ""), (100, 200, "a"), (200, 300, "b")]);
        assert_eq!(parts(&legs, (120, 180)), [(120, 180, "a")]);
        assert_eq!(parts(&legs, (120, 120)), []);
        legs.bill(150);
        assert_eq!(parts(&legs, (150, 250)), [(150, 200, "a"), (200, 250, "b")]);
        legs.bill(200);
        assert_eq!(parts(&legs, (200, 250)), [(200, 250, "b")]);
        let mut other = Legs::default();
        other.switch(200, "y".into(), "b".into());
        other.switch(240, "x".into(), "a".into());
        legs.join(&other);
        assert_eq!(parts(&legs, (200, 250)), [(200, 240, "b"), (240, 250, "a")]);
        (0..1_000).for_each(|at| legs.switch(1_000 + at, "x".into(), String::new()));
        assert!(legs.0.len() <= MOST);
    }
}
