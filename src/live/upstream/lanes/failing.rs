//! What becomes of audio whose connection broke, was refused, or says nothing.

use std::time::{Duration, Instant};

use super::{AWAY, BUDGET, FINISHING, GapReason, LOST_MS, Lanes, MAX_HELD, Notice, Outcome, Tie};
use crate::{
    live::upstream::{choice::Failure, lane::Link},
    providers::{ErrorClass, ProviderError},
};

/// How long a provider may leave `Finalize` without a final before it counts as mute.
const MUTE: Duration = Duration::from_secs(10);

/// What is said of a provider that leaves speech unanswered, and of one that leaves `Finalize` so.
const IGNORED: &str = "ignored";
const NO_FINAL: &str = "mute";

/// Why a connection is no more: `ignored` and `mute` are what was concluded from silence.
pub fn reason(error: &ProviderError) -> &'static str {
    match error.code.as_str() {
        IGNORED => IGNORED,
        NO_FINAL => NO_FINAL,
        _ => "broke",
    }
}

impl Lanes {
    /// A connection was not to be had.
    pub fn refused(
        &mut self,
        link: Link,
        provider: &'static str,
        error: ProviderError,
        now: Instant,
    ) {
        let Some(at) = self.index_of(link) else { return };
        self.goes_over(at, provider);
        let failure = Failure { provider, error: &error, refused: true };
        if let Some(delay) = self.failed(at, failure, now) {
            self.notices.push_back(Notice::Refused { provider, error, delay });
        }
    }

    /// Nobody may be asked for a lane before that long.
    pub fn held(&mut self, link: Link, wait: Duration, now: Instant) {
        let Some(at) = self.index_of(link) else { return };
        self.lanes[at].tie = Tie::Loose;
        let at = self.join(at);
        self.lanes[at].recovery.held(now);
        let detail = "no provider may be asked for now";
        let error = ProviderError::new(ErrorClass::Unavailable, "held", detail);
        self.wait(at, &error, wait, now);
    }

    /// Notes that a provider is asked, be it again, instead of one that failed; which one that was.
    pub(super) fn goes_over(&mut self, at: usize, to: &'static str) -> Option<&'static str> {
        let from = self.lanes[at].choice.instead_of(to)?;
        let outcome = Outcome::Attempted;
        self.notices.push_back(Notice::Over { from, to, outcome });
        Some(from)
    }

    /// Nobody is left who could transcribe a lane.
    pub fn hopeless(&mut self, link: Link, error: ProviderError) {
        let Some(at) = self.index_of(link) else { return };
        if self.lanes[at].until_ms.is_some() && self.ring.is_raw() {
            self.give_up(at);
        } else {
            self.fail(error);
        }
    }

    /// Looks at what the time has brought.
    pub fn tick(&mut self, now: Instant) {
        for at in (0..self.lanes.len()).rev() {
            self.watch(at, now);
        }
        if self.ring.is_raw() && !self.over {
            self.budget(now);
        }
        if self.finishing.is_some() {
            self.close_live();
        }
        self.settle();
    }

    fn watch(&mut self, at: usize, now: Instant) {
        let talk = self.lanes.get_mut(at).and_then(|lane| lane.tie.talk_mut());
        let Some(talk) = talk else { return };
        let mute = talk.finalize_asked.is_some_and(|asked| now >= asked + MUTE);
        let error = |code, detail| ProviderError::new(ErrorClass::Timeout, code, detail);
        if mute {
            self.broke(at, error(NO_FINAL, "no final came after finalize"), now);
        } else if talk.ear.is_ignored(now) {
            self.broke(at, error(IGNORED, "speech was sent and nothing was said"), now);
        }
    }

    /// Gives up what has been tried for long enough.
    fn budget(&mut self, now: Instant) {
        let late = self.finishing.is_some_and(|since| now >= since + FINISHING);
        let stale = self.pushed_at.is_none_or(|pushed| now >= pushed + BUDGET);
        for at in (0..self.lanes.len()).rev() {
            let lane = &self.lanes[at];
            let spent = lane.recovery.lasting(now).is_some_and(|lasting| lasting >= BUDGET);
            let waits = matches!(lane.tie, Tie::Loose | Tie::Waiting(_));
            let turn = if lane.until_ms.is_some() { at == 0 } else { stale };
            if late || (spent && waits && turn) {
                self.give_up(at);
            } else if lane.lost.is_some_and(|(from_ms, to_ms)| to_ms - from_ms >= LOST_MS) {
                self.declare(at);
            }
        }
        let held = |lanes: &Self| lanes.lanes.iter().map(|lane| lane.held.len()).sum::<usize>();
        while held(self) > MAX_HELD {
            self.give_up(0);
            self.settle();
        }
    }

    /// Without audio to send, the live lane needs no connection to end.
    fn close_live(&mut self) {
        let Some(at) = self.lanes.len().checked_sub(1) else { return };
        let open = matches!(self.lanes[at].tie, Tie::Open(_) | Tie::Connecting(_));
        let lane = &self.lanes[at];
        if lane.until_ms.is_none() && !open && !self.has_more(at) {
            let covered_ms = lane.covered_ms;
            self.lanes[at].until_ms = Some(covered_ms);
        }
    }

    /// A connection broke in mid-stream.
    pub(super) fn broke(&mut self, at: usize, error: ProviderError, now: Instant) {
        let lane = &mut self.lanes[at];
        let Tie::Open(talk) = std::mem::take(&mut lane.tie) else { return };
        self.leaving.push(talk.link);
        let live = lane.until_ms.is_none();
        // A client waits for the end: who was late with it twice would be again.
        let late = live && self.finishing.is_some() && error.class == ErrorClass::Timeout;
        let provider = talk.provider;
        let delay = if late && std::mem::replace(&mut self.was_late, true) {
            self.too_late(at, &error);
            None
        } else {
            if !talk.answered {
                self.lanes[at].choice.repeat();
            }
            self.failed(at, Failure { provider, error: &error, refused: false }, now)
        };
        self.notices.push_back(Notice::Broke { provider, error, delay });
    }

    /// The last words did not come.
    fn too_late(&mut self, at: usize, error: &ProviderError) {
        if self.ring.is_raw() { self.give_up(at) } else { self.fail(error.clone()) }
    }

    /// Plans the next attempt; returns how long it waits, if there is one.
    fn failed(&mut self, at: usize, failure: Failure<'_>, now: Instant) -> Option<Duration> {
        let chance = (self.chance)();
        let error = failure.error;
        self.lanes[at].tie = Tie::Loose;
        let others = self.lanes.iter().any(|lane| lane.tie.link().is_some());
        let full = matches!(error.class, ErrorClass::RateLimited | ErrorClass::Capacity);
        let choice = &mut self.lanes[at].choice;
        choice.failed(failure, !(error.class.retryable() || (full && others)));
        if failure.refused {
            choice.repeat();
        }
        let another = choice.fresh(&self.providers).is_some();
        let at = if full && others && !another { self.go_alone(at) } else { self.join(at) };
        let lane = &mut self.lanes[at];
        let delay = lane.recovery.failed(now, chance, error.retry_after);
        // Another is asked at once, and nobody left is found out at once.
        let at_once = another || lane.choice.order(&self.providers).is_empty();
        self.wait(at, error, if at_once { Duration::ZERO } else { delay }, now)
    }

    /// Lets a lane wait for its next attempt; nothing if there is none any more.
    fn wait(
        &mut self,
        at: usize,
        error: &ProviderError,
        delay: Duration,
        now: Instant,
    ) -> Option<Duration> {
        let lane = &mut self.lanes[at];
        let lasting = lane.recovery.lasting(now).unwrap_or_default();
        // What it was joined to may have a connection of its own.
        if lane.tie.link().is_none() {
            lane.tie = Tie::Waiting(now + delay);
        }
        if !self.ring.is_raw() && error.class.retryable() && lasting + delay >= BUDGET {
            self.fail(error.clone());
            return None;
        }
        Some(delay)
    }

    /// Whether audio may be let go of: the provider is away, and has been for a while. No faster
    /// than it is spoken, so that a file is not swallowed whole.
    pub(super) fn may_let_go(&self, now: Instant) -> bool {
        let lasting = |lane: &super::Lane| lane.recovery.lasting(now);
        let away = self.lanes.iter().filter_map(lasting).max();
        let enough =
            |away: Duration| away >= AWAY && u128::from(self.let_go_ms) <= away.as_millis();
        self.ring.is_raw() && !self.is_open() && away.is_some_and(enough)
    }

    /// Lets go of the oldest audio; false where there is none.
    pub(super) fn let_go(&mut self) -> bool {
        let Some(lane) = self.lanes.front_mut() else { return false };
        let Some(begins_ms) = self.ring.let_go(lane.covered_ms) else { return false };
        let begins_ms = lane.until_ms.map_or(begins_ms, |until_ms| {
            // Less than a sample's worth of milliseconds lies on the other side.
            if begins_ms + 1 >= until_ms { until_ms } else { begins_ms }
        });
        let from_ms = lane.lost.map_or(lane.covered_ms, |(from_ms, _)| from_ms);
        self.let_go_ms += begins_ms.saturating_sub(lane.covered_ms);
        lane.cover(begins_ms);
        lane.lost = Some((from_ms, lane.covered_ms));
        self.free();
        self.settle();
        true
    }

    /// Declares the rest of a lane lost.
    pub(super) fn give_up(&mut self, at: usize) {
        let end_ms = self.end_of(at).or(self.ring.seam_ms());
        let finishing = self.finishing.is_some();
        let lane = &mut self.lanes[at];
        self.leaving.extend(lane.tie.link());
        lane.tie = Tie::Loose;
        let reason = match lane.until_ms {
            Some(_) => GapReason::BackfillFailed,
            None => GapReason::ProviderAway,
        };
        let from_ms = lane.lost.take().map_or(lane.covered_ms, |(from_ms, _)| from_ms);
        let end_ms = lane.until_ms.or(end_ms).unwrap_or(lane.covered_ms);
        lane.cover(end_ms);
        lane.succeeded();
        if finishing {
            lane.until_ms.get_or_insert(end_ms);
        }
        self.gap(at, from_ms, end_ms, reason);
        self.free();
    }
}
