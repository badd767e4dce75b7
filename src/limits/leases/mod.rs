//! Leases: how many live sessions run at once, of an account and in all, over every replica.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use fred::types::scripts::Script;

use super::holdings::{Hold, Keeper, MARKER, Named, Scope};
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

/// What one who asks for a lease is answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// It is theirs.
    Granted,
    /// The account has as many as it may.
    AccountFull,
    /// All together are as many as may be.
    Full,
    /// Leases were lost, and their owners register first.
    Paused(Duration),
}

/// The leases of live sessions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Leases {
    keeper: Arc<Keeper>,
    script: Arc<Script>,
    config: Arc<LimitsConfig>,
}

/// The right to run one live session. Given back when it is dropped.
#[derive(Debug)]
pub struct Lease(Option<Held>);

#[derive(Debug)]
struct Held {
    hold: Hold,
    cap: Option<u32>,
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
        let ground = (redis, fleet, &metrics);
        let keeper = Keeper::start(Scope::Leases, total_cap, ground, shutdown);
        let script = Arc::new(Script::from_lua([MARKER, include_str!("acquire.lua")].concat()));
        Self { keeper, script, config: Arc::new(config) }
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
        // From here on whatever happens is undone when this is dropped.
        let held = Held { hold: Hold::ask(&self.keeper, named, caps.account), cap: caps.account };
        for _ in 0..PATIENCE {
            match self.ask(held.hold.named(), caps).await {
                None => break,
                Some(Answer::Paused(wait)) => {
                    self.keeper.count("paused", "redis");
                    tokio::time::sleep(wait).await;
                }
                Some(answer) => {
                    if answer == Answer::Granted {
                        held.hold.register();
                    }
                    return held.settle(&answer, "redis");
                }
            }
        }
        let answer = held.share(caps.share(self.keeper.replicas()));
        held.settle(&answer, "share")
    }

    /// What Redis says; nothing if it is away.
    async fn ask(&self, named: &Named, caps: Caps) -> Option<Answer> {
        let cap = |cap: Option<u32>| cap.map_or(-1, i64::from).into();
        let arguments = vec![named.session.to_string().into(), cap(caps.account), cap(caps.total)];
        let asked = self.keeper.ask(&self.script, &named.account, vec![], arguments);
        let (word, wait_ms): (String, u64) = asked.await?;
        Some(match word.as_str() {
            "granted" => Answer::Granted,
            "account" => Answer::AccountFull,
            "total" => Answer::Full,
            _ => Answer::Paused(Duration::from_millis(wait_ms)),
        })
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
    /// Grants it out of this replica's own share, if that has room.
    fn share(&self, shares: Caps) -> Answer {
        let account = &*self.hold.named().account;
        let mut table = self.hold.keeper().table();
        let has_room = |cap: Option<u32>, held: usize| cap.is_none_or(|cap| held < cap as usize);
        if !has_room(shares.account, table.holders().filter(|of| *of == account).count()) {
            return Answer::AccountFull;
        }
        if !has_room(shares.total, table.holders().count()) {
            return Answer::Full;
        }
        self.hold.share(&mut table);
        Answer::Granted
    }

    fn settle(self, answer: &Answer, source: &'static str) -> Result<Lease, Error> {
        let outcome = if *answer == Answer::Granted { "granted" } else { "refused" };
        self.hold.keeper().count(outcome, source);
        match answer {
            Answer::Granted => Ok(Lease(Some(self))),
            Answer::AccountFull => Err(too_many(self.cap)),
            Answer::Full | Answer::Paused(_) => Err(full()),
        }
    }
}

impl Lease {
    /// Leaves the lease to the session's next owner, which takes it over; nobody does so within its
    /// expiry, and it is free.
    pub fn hand_over(self) {
        if let Some(held) = &self.0 {
            held.hold.hand_over();
        }
    }

    /// Why the session may not go on, if others took its place while this replica could not renew
    /// its lease.
    pub fn loss(&self) -> Option<Error> {
        let held = self.0.as_ref()?;
        held.hold.is_lost().then(|| too_many(held.cap))
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
