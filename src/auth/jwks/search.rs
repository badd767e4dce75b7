//! The search for a key id that nobody here knows: the copy first, then one fetch for all replicas.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    COOLDOWN, Shared,
    claim::{self, Claim},
    fetch::FETCH_DEADLINE,
};

/// How often the copy is looked at while another replica fetches.
const POLL: Duration = Duration::from_millis(100);

impl Shared {
    /// Looks into Redis, and fetches where that does not help and a fetch may be made.
    pub(super) async fn search(&self, kid: &str) {
        let reached = self.look().await.is_ok();
        if self.find(kid).is_some() || !self.pace.cooling().is_zero() {
            return;
        }
        let name = self.copies.redis.keys().jwks_unknown();
        let claim =
            if reached { claim::make(&self.copies.redis, &name).await } else { Claim::Away };
        match claim {
            Claim::Ours => {
                self.pace.cool(COOLDOWN);
                self.fetch_under(&name).await;
            }
            Claim::Held(left) => {
                self.pace.cool(left);
                // Older claims belong to fetches that have ended.
                if left + FETCH_DEADLINE > COOLDOWN {
                    self.await_copy(&name).await;
                }
            }
            Claim::Away if self.pace.claim_alone() => {
                self.pace.cool(COOLDOWN);
                self.fetch().await;
            }
            Claim::Away => {}
        }
    }

    /// Fetches under a claim of this replica.
    pub(super) async fn fetch_under(&self, name: &str) {
        self.fetch().await;
        claim::tell_over(&self.copies.redis, name).await;
    }

    /// Waits for the copy of the replica that holds a claim, for as long as a fetch may take.
    pub(super) async fn await_copy(&self, name: &str) {
        let deadline = Instant::now() + FETCH_DEADLINE;
        while Instant::now() < deadline {
            // In this order: what was left before the end is seen.
            let over = claim::is_over(&self.copies.redis, name).await;
            if !matches!(self.look().await, Ok(false)) || over {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
