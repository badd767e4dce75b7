//! Calls that leave us: how they fail, whether a provider is worth another attempt, and how many may
//! be made again.

mod answer;
mod breaker;
mod budget;
mod call;
mod error;
mod events;
mod gate;
mod peer;
mod retry;
#[cfg(test)]
mod tests;
pub mod vetted;

pub use answer::{Answer, Opened, protocol};
pub use breaker::{Breaker, Change, Verdict, refuses_us};
pub use budget::Budget;
pub use call::{Call, Part, Repeat};
pub use error::{ErrorClass, ProviderError};
pub use events::Events;
pub use gate::{Barred, Gate, Ticket};
pub use peer::{Outbound, Peer};
pub use retry::{class_of, retry_after};
