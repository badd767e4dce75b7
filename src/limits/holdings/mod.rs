//! What sessions of this replica hold for themselves in Redis: kept there while they run, free once
//! they are gone, whoever dies.

mod keeper;
mod scope;
mod table;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

pub use keeper::{Keeper, MARKER};
pub use scope::Scope;
pub use table::{Named, Table};

/// What one session holds, or asks for. Given back when it is dropped.
#[derive(Debug)]
pub struct Hold {
    keeper: Arc<Keeper>,
    named: Named,
    grant: u64,
    lost: Arc<AtomicBool>,
}

impl Hold {
    /// Notes that a session asks, with the most that its account may have (`None`: any number).
    pub fn ask(keeper: &Arc<Keeper>, named: Named, cap: Option<u32>) -> Self {
        let (grant, lost) = keeper.table().ask(&named, cap);
        Self { keeper: keeper.clone(), named, grant, lost }
    }

    /// Who keeps it.
    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// Whose it is.
    pub const fn named(&self) -> &Named {
        &self.named
    }

    /// Redis has granted it.
    pub fn register(&self) {
        self.keeper.table().register(self.named.session, self.grant);
    }

    /// Granted by this replica, in a table that has room for it.
    pub fn share(&self, table: &mut Table) {
        table.share(self.named.session, self.grant);
    }

    /// Leaves it to the session's next owner, which takes it over; nobody does so within its expiry,
    /// and it is free.
    pub fn hand_over(&self) {
        self.keeper.table().hand_over(self.named.session, self.grant);
    }

    /// Whether others took its place while this replica could not renew it.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.keeper.free(self.named.session, self.grant);
    }
}
