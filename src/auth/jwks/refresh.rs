//! Keys fetched ahead of need: on boot and every few minutes, by one replica for all.

use std::time::Duration;

use super::{
    Shared,
    claim::{self, Claim},
};

/// Keys older than this are fetched anew.
const REFRESH_AFTER: Duration = Duration::from_mins(5);
/// Keys older than this are fetched even if another replica claims to be about to.
const NEEDED_AFTER: Duration = Duration::from_hours(1);
/// How often the age is looked at; spread, so that replicas do not ask in step.
const TICK: Duration = Duration::from_secs(5);

impl Shared {
    /// Gets the keys, and keeps them fresh for ever.
    pub(super) async fn keep_fresh(&self) {
        self.refresh().await;
        self.pace.end_boot();
        self.ended.send_modify(|count| *count += 1);
        loop {
            tokio::time::sleep(TICK.mul_f64(0.5 + rand::random::<f64>())).await;
            self.refresh().await;
        }
    }

    /// Takes over the copy of another replica, or fetches if none is about to.
    async fn refresh(&self) {
        if !self.is_older(REFRESH_AFTER) {
            return;
        }
        let reached = self.look().await.is_ok();
        if !self.is_older(REFRESH_AFTER) {
            return;
        }
        let name = self.copies.redis.keys().jwks_refresh();
        let claim =
            if reached { claim::make(&self.copies.redis, &name).await } else { Claim::Away };
        match claim {
            Claim::Ours => self.fetch_under(&name).await,
            Claim::Held(_) if self.is_older(NEEDED_AFTER) => {
                self.await_copy(&name).await;
                self.fetch_alone(NEEDED_AFTER).await;
            }
            Claim::Held(_) => {}
            Claim::Away => self.fetch_alone(REFRESH_AFTER).await,
        }
    }

    async fn fetch_alone(&self, age: Duration) {
        if self.is_older(age) && self.pace.claim_alone() {
            self.fetch().await;
        }
    }

    fn is_older(&self, age: Duration) -> bool {
        self.set().is_none_or(|set| set.age() > age)
    }
}
