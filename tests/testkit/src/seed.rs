//! Chance that can be had again: the same seed gives the same numbers.

use std::time::Duration;

use uuid::Uuid;

/// A seeded generator of numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall as they fell with the same seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed that nobody has had.
    pub fn fresh_seed() -> u64 {
        let (high, low) = Uuid::new_v4().as_u64_pair();
        high ^ low
    }

    /// The next number.
    pub const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 when that is 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        let roll = self.roll();
        if limit == 0 { 0 } else { roll % limit }
    }

    /// Whether something happens that has this probability, 0 to 1.
    pub const fn happens(&mut self, probability: f64) -> bool {
        ((self.roll() >> 11) as f64) < probability * (1_u64 << 53) as f64
    }

    /// A time up to that long.
    pub const fn up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.below(longest.as_micros() as u64 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_everything() {
        let rolls = |seed| {
            let mut dice = Dice::new(seed);
            (0..20).map(|_| dice.below(100)).collect::<Vec<_>>()
        };
        assert_eq!(rolls(7), rolls(7));
        assert_ne!(rolls(7), rolls(8));
    }

    #[test]
    fn what_is_likely_happens_often() {
        let mut dice = Dice::new(1);
        let hits = (0..10_000).filter(|_| dice.happens(0.05)).count();
        assert!((300..700).contains(&hits), "{hits}");
        assert!(!dice.happens(0.0) && dice.happens(1.0));
    }
}
