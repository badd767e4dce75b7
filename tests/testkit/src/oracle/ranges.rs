//! Sets of whole numbers as ranges.

use std::ops::Range;

/// A set of numbers as ranges that neither touch nor overlap, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(pub(super) Vec<Range<u64>>);

impl Ranges {
    /// The union of these ranges.
    pub(super) fn of(ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut sorted: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        sorted.sort_by_key(|range| range.start);
        let mut union: Vec<Range<u64>> = Vec::new();
        for range in sorted {
            match union.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => union.push(range),
            }
        }
        Self(union)
    }

    /// The numbers of one range.
    pub(super) fn one(range: Range<u64>) -> Self {
        Self::of(std::iter::once(range))
    }

    /// What is in this set and not in the other.
    pub(super) fn without(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        for range in &self.0 {
            let mut start = range.start;
            for hole in other.0.iter().filter(|hole| hole.end > range.start) {
                if hole.start >= range.end {
                    break;
                }
                left.push(start..hole.start.max(start));
                start = start.max(hole.end);
            }
            left.push(start.min(range.end)..range.end);
        }
        Self::of(left)
    }

    pub(super) fn and(&self, other: &Self) -> Self {
        self.without(&self.without(other))
    }

    /// How many numbers there are.
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for Ranges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown: Vec<_> =
            self.0.iter().take(8).map(|r| format!("{}..{}", r.start, r.end)).collect();
        let more = if self.0.len() > 8 { " …" } else { "" };
        write!(f, "{}{more}", shown.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_joined_and_cut() {
        let set = Ranges::of([5..9, 0..2, 2..3, 8..10, 4..4]);
        assert_eq!(set.to_string(), "0..3 5..10");
        assert_eq!(set.len(), 8);
        assert_eq!(set.without(&Ranges::of([1..6, 7..8, 9..20])).to_string(), "0..1 6..7 8..9");
        assert_eq!(set.and(&Ranges::one(2..6)).to_string(), "2..3 5..6");
        assert!(set.without(&set).is_empty());
    }
}
