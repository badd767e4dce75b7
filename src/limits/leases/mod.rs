//! Leases: how many live sessions run at once, of an account and in all, over every replica.

mod keeper;
mod table;
#[cfg(test)]
mod tests;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use keeper::{Answer, Keeper};
use table::Named;

use crate::{
    config::LimitsConfig,
    fleet::{EXPIRY, Fleet},
    lifecycle::Shutdown,
    model::{Error, ErrorKind, Plan, SessionId},
    redis::Redis,
    telemetry::Metrics,
};

/// Pauses that are waited out before this replica's share is asked.
const PATIENCE: usize = 3;

/// How many sessions may run at once; `None` is unlimited.
#[derive(Clone, Copy, Debug)]
struct Caps {
    account: Option<u32>,
    total: Option<u32>,
}

/// The leases of live sessions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Leases {
    keeper: Arc<Keeper>,
    config: Arc<LimitsConfig>,
}

/// The right to run one live session. Given back when it is dropped.
#[derive(Debug)]
pub struct Lease(Option<Held>);

#[derive(Debug)]
struct Held {
    keeper: Arc<Keeper>,
    session: SessionId,
    grant: u64,
    cap: Option<u32>,
    lost: Arc<AtomicBool>,
}

impl Leases {
    /// Leases of that configuration, which are kept until the hard stop.
    pub fn new(
        config: LimitsConfig,
        redis: Redis,
        fleet: Fleet,
        metrics: Metrics,
        shutdown: &Shutdown,
    ) -> Self {
        let total_cap = config.live_sessions_total.of(Plan::default());
        let keeper = Arc::new(Keeper::new(redis, fleet, metrics, total_cap));
        let (stop, kept) = (shutdown.hard().clone(), keeper.clone());
        shutdown.spawn(async move { stop.run_until_cancelled(kept.keep()).await });
        Self { keeper, config: Arc::new(config) }
    }

    /// Takes a lease for a session, or takes it over where the session has one.
    ///
    /// Fails with `rate_limited` if the account has as many sessions as its plan allows, and with
    /// `overloaded` if all replicas together do. While Redis is away, this replica grants its share.
    pub async fn acquire(
        &self,
        session: SessionId,
        account: &str,
        plan: Plan,
    ) -> Result<Lease, Error> {
        let caps = Caps {
            account: self.config.live_sessions.of(plan),
            total: self.config.live_sessions_total.of(plan),
        };
        if caps.account.is_none() && caps.total.is_none() {
            return Ok(Lease(None));
        }
        let named = Named { session, account: account.into() };
        let (grant, lost) = self.keeper.table().ask(&named, caps);
        // From here on whatever happens is undone when this is dropped.
        let held = Held { keeper: self.keeper.clone(), session, grant, cap: caps.account, lost };
        for _ in 0..PATIENCE {
            match self.keeper.ask_if_there(&named, caps).await {
                None => break,
                Some(Answer::Paused(wait)) => {
                    self.keeper.count("paused", "redis");
                    tokio::time::sleep(wait).await;
                }
                Some(answer) => {
                    if answer == Answer::Granted {
                        self.keeper.table().register(session, grant);
                    }
                    return held.settle(&answer, "redis");
                }
            }
        }
        let replicas = self.keeper.fleet.replicas();
        let answer = self.keeper.table().share(&named, grant, caps.share(replicas));
        held.settle(&answer, "share")
    }
}

impl Caps {
    /// What one of so many replicas may grant by itself.
    fn share(self, replicas: u32) -> Self {
        let share = |cap: Option<u32>| cap.map(|cap| (cap / replicas).max(1));
        Self { account: share(self.account), total: share(self.total) }
    }
}

impl Held {
    fn settle(self, answer: &Answer, source: &'static str) -> Result<Lease, Error> {
        let outcome = if *answer == Answer::Granted { "granted" } else { "refused" };
        self.keeper.count(outcome, source);
        match answer {
            Answer::Granted => Ok(Lease(Some(self))),
            Answer::AccountFull => Err(too_many(self.cap)),
            Answer::Full | Answer::Paused(_) => Err(full()),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.keeper.free(self.session, self.grant);
    }
}

impl Lease {
    /// Leaves the lease to the session's next owner, which takes it over; nobody does so within its
    /// expiry, and it is free.
    pub fn hand_over(self) {
        if let Some(held) = &self.0 {
            held.keeper.table().hand_over(held.session, held.grant);
        }
    }

    /// Why the session may not go on, if others took its place while this replica could not renew
    /// its lease.
    pub fn loss(&self) -> Option<Error> {
        let held = self.0.as_ref()?;
        held.lost.load(Ordering::Relaxed).then(|| too_many(held.cap))
    }
}

/// The refusal at an account's cap. Leases of a replica that died are free after their expiry.
fn too_many(cap: Option<u32>) -> Error {
    let Some(cap) = cap else { return full() };
    let sessions = if cap == 1 { "session" } else { "sessions" };
    let text = format!("your plan allows {cap} live {sessions} at once");
    Error::new(ErrorKind::RateLimited, text).after(EXPIRY)
}

fn full() -> Error {
    let text = "the service runs as many live sessions as it may";
    Error::new(ErrorKind::Overloaded, text).after(EXPIRY)
}
