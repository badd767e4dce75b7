//! Calls that leave us: how they fail, whether a provider is worth another attempt, and how many may
//! be made again.

mod breaker;
mod budget;
mod error;

pub use breaker::{Breaker, Change, Verdict, refuses_us};
pub use budget::Budget;
pub use error::{ErrorClass, ProviderError};
