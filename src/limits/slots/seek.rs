//! One session that looks for a slot, and waits for its turn where all are taken.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{
    FORGOTTEN_AFTER, Held, Hold, Named, Pool, Seeker, Slot,
    line::{Had, Waiter, in_order},
};
use crate::{
    model::{Error, ErrorKind},
    telemetry::metrics::label,
};

/// How often one who waits asks again.
const POLL: Duration = Duration::from_millis(500);
/// How often it is told where it stands, at most.
const TELL: Duration = Duration::from_secs(1);
/// When one who was refused may come again.
const COME_AGAIN: Duration = Duration::from_secs(5);

/// What one who asks for a slot is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is theirs.
    Granted,
    /// All are taken; their place among those who wait, from 1.
    Waiting(u32),
    /// All are taken, and as many wait as may.
    Full,
}

/// A session that looks for a slot. It leaves the line when it is dropped.
#[derive(Debug)]
pub struct Seek(Option<Search>);

#[derive(Debug)]
struct Search {
    pool: Arc<Pool>,
    /// Gone once the slot is found.
    hold: Option<Hold>,
    began: Instant,
    ask_at: Instant,
    /// Since when it waits on the clock of Redis, in milliseconds; 0 before it was asked.
    since_ms: u64,
    source: &'static str,
    waits: Option<Wait>,
}

/// One who waits, as it is counted and told.
#[derive(Debug)]
struct Wait {
    pool: Arc<Pool>,
    began: Instant,
    told: u32,
    told_at: Instant,
    outcome: &'static str,
}

impl Seek {
    pub(super) fn new(pool: Option<&Arc<Pool>>, seeker: &Seeker) -> Self {
        Self(pool.map(|pool| {
            let Seeker { session, account } = seeker;
            let named = Named { session: *session, account: account.as_str().into() };
            let now = Instant::now();
            Search {
                pool: pool.clone(),
                hold: Some(Hold::ask(&pool.keeper, named, None)),
                began: now,
                ask_at: now,
                since_ms: 0,
                source: "redis",
                waits: None,
            }
        }))
    }

    /// Waits for the slot; a call that is dropped goes on with the next. `told` hears the place among
    /// those who wait, from 1, whenever that changes, at most once a second; at last 0.
    ///
    /// Fails with `overloaded` if too many wait, or if it takes too long.
    pub async fn slot(&mut self, told: impl Fn(u32)) -> Result<Slot, Error> {
        let Some(search) = &mut self.0 else { return Ok(Slot(None)) };
        loop {
            sleep_until(search.ask_at).await;
            let answer = search.ask(search.pool.line.bound).await;
            search.ask_at = Instant::now() + POLL;
            match answer {
                Answer::Granted => return Ok(search.found(told)),
                Answer::Full => return Err(search.refused("full")),
                Answer::Waiting(_) if search.is_late() => return Err(search.refused("late")),
                Answer::Waiting(place) => search.wait(place, &told),
            }
        }
    }

    /// The slot, if it can be had without waiting.
    pub(super) async fn slot_at_once(mut self) -> Option<Slot> {
        let Some(search) = &mut self.0 else { return Some(Slot(None)) };
        let granted = search.ask(0).await == Answer::Granted;
        granted.then(|| search.found(|_| ()))
    }

    /// Leaves the place in the line to the session's next owner, for a moment.
    pub fn hand_over(self) {
        if let Some(hold) = self.0.as_ref().and_then(|search| search.hold.as_ref()) {
            hold.hand_over();
        }
    }
}

impl Search {
    /// Asks Redis, or this replica's own share while it is away.
    async fn ask(&mut self, bound: u32) -> Answer {
        let Some(hold) = &self.hold else { return Answer::Full };
        match self.pool.ask(hold.named(), bound, self.since_ms).await {
            Some((answer, since_ms)) => {
                (self.since_ms, self.source) = (since_ms, "redis");
                if answer == Answer::Granted {
                    hold.register();
                }
                answer
            }
            None => {
                self.source = "share";
                self.pool.share(hold, bound)
            }
        }
    }

    fn is_late(&self) -> bool {
        self.began.elapsed() >= self.pool.line.patience
    }

    fn wait(&mut self, place: u32, told: impl Fn(u32)) {
        let wait = self.waits.get_or_insert_with(|| Wait::begin(&self.pool, self.began));
        wait.tell(place, told);
    }

    fn found(&mut self, told: impl Fn(u32)) -> Slot {
        let outcome = if let Some(mut wait) = self.waits.take() {
            wait.outcome = "granted";
            told(0);
            "waited"
        } else {
            "granted"
        };
        self.pool.keeper.count(outcome, self.source);
        Slot(self.hold.take().map(|hold| Held::new(hold, self.pool.clone())))
    }

    fn refused(&mut self, outcome: &'static str) -> Error {
        if let Some(wait) = &mut self.waits {
            wait.outcome = outcome;
        }
        self.pool.keeper.count(outcome, self.source);
        let text = "all connections to the transcription service are in use";
        Error::new(ErrorKind::Overloaded, text).after(COME_AGAIN)
    }
}

impl Wait {
    fn begin(pool: &Arc<Pool>, began: Instant) -> Self {
        pool.metrics.upstream_slots_waiting.add(1, &[label("provider", pool.provider)]);
        Self { pool: pool.clone(), began, told: 0, told_at: began, outcome: "left" }
    }

    fn tell(&mut self, place: u32, told: impl Fn(u32)) {
        if place != self.told && (self.told == 0 || self.told_at.elapsed() >= TELL) {
            (self.told, self.told_at) = (place, Instant::now());
            told(place);
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let (provider, metrics) = (self.pool.provider, &self.pool.metrics);
        metrics.upstream_slots_waiting.add(-1, &[label("provider", provider)]);
        let waited_ms = self.began.elapsed().as_secs_f64() * 1000.0;
        let labels = [label("provider", provider), label("outcome", self.outcome)];
        metrics.upstream_slot_wait_ms.record(waited_ms, &labels);
    }
}

impl Pool {
    /// What Redis says, and since when the session waits; nothing if it is away.
    pub(super) async fn ask(
        &self,
        named: &Named,
        bound: u32,
        since_ms: u64,
    ) -> Option<(Answer, u64)> {
        let names = self.keeper.keys();
        let keys = vec![
            names.slots_waiting(self.provider),
            names.slots_line(self.provider),
            names.slots_served(self.provider),
        ];
        let arguments = vec![
            named.session.to_string().into(),
            (*named.account).into(),
            i64::from(self.line.cap).into(),
            i64::from(bound).into(),
            (FORGOTTEN_AFTER.as_millis() as i64).into(),
            (since_ms as i64).into(),
        ];
        let asked = self.keeper.ask(&self.script, &named.account, keys, arguments);
        let (word, number, since_ms): (String, u64, u64) = asked.await?;
        let answer = match word.as_str() {
            "granted" => Answer::Granted,
            "waiting" => Answer::Waiting(number as u32),
            _ => Answer::Full,
        };
        Some((answer, since_ms))
    }

    /// What this replica's own share says. Its own sessions are served in the same order.
    fn share(&self, hold: &Hold, bound: u32) -> Answer {
        let share = self.line.share(self.keeper.replicas());
        let mut table = self.keeper.table();
        let asking = table.asking();
        let waiters = asking.map(|(session, account, since)| Waiter { session, account, since });
        let held = |account: &str| table.holders().filter(|of| *of == account).count() as u64;
        let order = in_order(waiters.collect(), |account| Had { held: held(account), served: 0 });
        let place = (1..).zip(&order).find(|(_, next)| **next == hold.named().session);
        let place = place.map_or(u32::MAX, |(place, _)| place);
        if place <= share.cap.saturating_sub(table.holders().count() as u32) {
            hold.share(&mut table);
            return Answer::Granted;
        }
        if place > share.bound.min(bound) { Answer::Full } else { Answer::Waiting(place) }
    }
}
