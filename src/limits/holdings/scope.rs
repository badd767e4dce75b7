//! What is held, and under which names: leases of live sessions, or slots of a provider.

use crate::redis::Keys;

/// Things of which each is held by one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The right to run a live session.
    Leases,
    /// The right to a connection to that provider.
    Slots(&'static str),
}

impl Scope {
    /// Since when they are kept without a gap.
    pub fn since(self, keys: &Keys) -> String {
        match self {
            Self::Leases => keys.leases_since(),
            Self::Slots(provider) => keys.slots_since(provider),
        }
    }

    /// All that are held.
    pub fn all(self, keys: &Keys) -> String {
        match self {
            Self::Leases => keys.leases(),
            Self::Slots(provider) => keys.slots(provider),
        }
    }

    /// Those of one account.
    pub fn of(self, keys: &Keys, account: &str) -> String {
        match self {
            Self::Leases => keys.leases_of(account),
            Self::Slots(provider) => keys.slots_of(provider, account),
        }
    }

    /// Every set in which a session of that account may stand.
    pub fn sets(self, keys: &Keys, account: &str) -> Vec<String> {
        let mut sets = vec![self.all(keys), self.of(keys, account)];
        if let Self::Slots(provider) = self {
            sets.push(keys.slots_waiting(provider));
        }
        sets
    }

    /// Whether whoever runs keeps what it holds even past the cap. A lease that expired may have gone
    /// to others; a connection that is open is open.
    pub const fn outlives_expiry(self) -> bool {
        matches!(self, Self::Slots(_))
    }
}
