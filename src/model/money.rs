//! Money as whole micro-dollars.

use serde::{Deserialize, Serialize};

/// Millionths of a US dollar.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub struct Micros(pub i64);

impl Micros {
    /// Dollars, for the old `cost_usd` column only; decisions are made on whole micros.
    pub fn as_dollars(self) -> f64 {
        self.0 as f64 / 1_000_000.0
    }
}
