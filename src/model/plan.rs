//! What a user has subscribed to.

use serde::{Deserialize, Serialize};

/// A plan, as the column `users.plan` holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plan {
    /// Everybody begins here.
    #[default]
    Free,
    /// Paid.
    Pro,
    /// Paid, by contract.
    Enterprise,
    /// The static key of the replaced service, and whoever develops.
    Legacy,
}

impl Plan {
    /// Every plan, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Free, Self::Pro, Self::Enterprise, Self::Legacy];

    /// The name in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
            Self::Legacy => "legacy",
        }
    }

    /// The plan of that name; one that is not known allows no more than the least.
    pub fn of(name: &str) -> Self {
        Self::ALL.into_iter().find(|plan| plan.as_str() == name).unwrap_or_default()
    }
}
