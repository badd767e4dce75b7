//! Whose turn it is: of all replicas, one sweeps a table a day.

use fred::{
    interfaces::KeysInterface,
    types::{Expiration, SetOptions},
};
use tracing::warn;

use super::Redis;

/// How long nobody else sweeps.
const CLAIM_SECONDS: i64 = 86_400;

impl Redis {
    /// Takes today's turn to sweep a table; false where another has it, and while Redis is away:
    /// then nobody knows whose turn it is, and rows can wait.
    pub async fn take_turn(&self, table: &str) -> bool {
        let expiry = Some(Expiration::EX(CLAIM_SECONDS));
        let key = self.keys().sweep(table);
        let set = self.client().set(key, 1, expiry, Some(SetOptions::NX), false).await;
        set.is_ok_and(|was: Option<String>| was.is_some())
    }

    /// Gives the turn back, so that another may try.
    pub async fn give_turn_back(&self, table: &str) {
        let deleted: Result<i64, _> = self.client().del(self.keys().sweep(table)).await;
        if let Err(error) = deleted {
            warn!(table, "nobody sweeps for a day: {error}");
        }
    }
}
