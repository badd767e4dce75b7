//! Whether a provider is worth another attempt, by how its last ones ended. Pure.

use std::time::{Duration, Instant};

use super::{ErrorClass, ProviderError};
use crate::backoff::Backoff;

/// Failures in a row after which a provider is left alone.
const LIMIT: u32 = 5;
/// For how long at most, the first time; twice that the next, and so on.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(5);
/// For how long one is left alone that refuses our account: nobody but an operator can help.
const REFUSED: Duration = Duration::from_mins(1);
/// How long others wait at most before they ask again how the attempt went that is to tell.
const ASIDE: Duration = Duration::from_millis(500);

/// What one who wants a connection is told.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Go ahead.
    Go,
    /// Go ahead: whether others may follow depends on how it goes.
    Probe,
    /// Not before that long.
    Wait(Duration),
    /// Not for a long while, and why: the provider refuses our account.
    Refused(ProviderError),
}

/// What a failure changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that anybody has to know.
    None,
    /// The provider is left alone for a while.
    Opened,
    /// The provider is left alone for long, since it refuses our account.
    Refused,
}

/// The state of one provider, as one replica sees it.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    failures: u32,
    penalty: Backoff,
    /// Why our account is refused, where it is.
    refusal: Option<ProviderError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    /// Nobody asks before that moment.
    Open(Instant),
    /// One asks, and nobody else.
    Probing,
}

impl Default for Breaker {
    fn default() -> Self {
        let penalty = Backoff::new(FIRST, LONGEST);
        Self { state: State::Closed, failures: 0, penalty, refusal: None }
    }
}

impl Breaker {
    /// Whether anybody may ask.
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whether who begins now may begin there, be it as the one that is to tell.
    pub fn is_ready(&self, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::Open(until) => until <= now,
            State::Probing => false,
        }
    }

    /// Whether a connection may be made now; `chance`, between 0 and 1, spreads who has to wait.
    pub fn ask(&mut self, now: Instant, chance: f64) -> Verdict {
        match self.state {
            State::Closed => Verdict::Go,
            State::Open(until) if until <= now => {
                self.state = State::Probing;
                Verdict::Probe
            }
            State::Open(until) => match &self.refusal {
                Some(refusal) => Verdict::Refused(refusal.clone()),
                None => {
                    let left = until.saturating_duration_since(now);
                    Verdict::Wait(left + ASIDE.max(left / 4).mul_f64(chance))
                }
            },
            State::Probing => Verdict::Wait(ASIDE.mul_f64(f64::midpoint(1.0, chance))),
        }
    }

    /// A connection is open. One that was to tell lets others follow, but not many, unless
    /// something is heard.
    pub fn opened(&mut self, is_probe: bool) {
        if is_probe {
            self.state = State::Closed;
            self.failures = LIMIT - 1;
            self.refusal = None;
        }
    }

    /// A connection was answered.
    pub const fn answered(&mut self) {
        if self.is_closed() {
            self.failures = 0;
            self.penalty.reset();
        }
    }

    /// An attempt failed, or a connection broke before anything was heard. One that began before the
    /// provider was left alone tells nothing new.
    pub fn failed(
        &mut self,
        error: &ProviderError,
        is_probe: bool,
        (now, chance): (Instant, f64),
    ) -> Change {
        let is_refused = refuses_us(error.class);
        if !is_refused && is_alive(error.class) {
            self.opened(is_probe);
            return Change::None;
        }
        if is_refused {
            return self.refused(error, now, chance);
        }
        if !is_probe && !self.is_closed() {
            return Change::None;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures < LIMIT && !is_probe {
            return Change::None;
        }
        self.refusal = None;
        let rest = self.penalty.next_bound().mul_f64(chance);
        self.state =
            State::Open(now + error.retry_after.map_or(rest, |told| told.min(LONGEST).max(rest)));
        Change::Opened
    }

    /// An attempt came to nothing: it says nothing about the provider.
    pub const fn abandoned(&mut self, is_probe: bool, now: Instant) {
        if is_probe && matches!(self.state, State::Probing) {
            self.state = State::Open(now);
        }
    }

    fn refused(&mut self, error: &ProviderError, now: Instant, chance: f64) -> Change {
        let is_news = self.refusal.is_none();
        self.failures = LIMIT;
        self.refusal = Some(error.clone());
        self.state = State::Open(now + REFUSED + FIRST.mul_f64(chance));
        if is_news { Change::Refused } else { Change::Opened }
    }
}

/// Whether a failure is our account's.
pub const fn refuses_us(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::Credentials | ErrorClass::Payment)
}

/// Whether who answers like that is there: what was asked for was wrong.
const fn is_alive(class: ErrorClass) -> bool {
    !matches!(class, ErrorClass::RateLimited | ErrorClass::Unavailable | ErrorClass::Timeout)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HALF: f64 = 0.5;

    fn error(class: ErrorClass) -> ProviderError {
        ProviderError::new(class, "test", "as planned")
    }

    fn fail(breaker: &mut Breaker, is_probe: bool, now: Instant) -> Change {
        breaker.failed(&error(ErrorClass::Unavailable), is_probe, (now, HALF))
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 1..LIMIT {
            assert_eq!(fail(&mut breaker, false, now), Change::None);
            assert!(matches!(breaker.ask(now, HALF), Verdict::Go));
        }
        assert_eq!(fail(&mut breaker, false, now), Change::Opened);
        breaker
    }

    #[test]
    fn five_failures_in_a_row_leave_it_alone_and_one_asks_then() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert!(matches!(breaker.ask(now, HALF), Verdict::Wait(wait) if wait >= FIRST / 2));
        let later = now + FIRST / 2;
        assert!(matches!(breaker.ask(later, HALF), Verdict::Probe));
        assert!(matches!(breaker.ask(later, HALF), Verdict::Wait(wait) if wait <= ASIDE));
        // What began before says nothing new.
        assert_eq!(fail(&mut breaker, false, later), Change::None);
        assert_eq!(fail(&mut breaker, true, later), Change::Opened);
        assert!(matches!(breaker.ask(later + FIRST / 2, HALF), Verdict::Wait(_)), "twice as long");
        assert!(matches!(breaker.ask(later + FIRST, HALF), Verdict::Probe));
        breaker.opened(true);
        assert!(matches!(breaker.ask(later, HALF), Verdict::Go));
    }

    #[test]
    fn who_opens_and_says_nothing_is_left_alone_at_once() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert!(matches!(breaker.ask(now + FIRST, HALF), Verdict::Probe));
        breaker.opened(true);
        assert_eq!(fail(&mut breaker, false, now), Change::Opened);
        assert!(matches!(breaker.ask(now + FIRST, HALF), Verdict::Probe));
        breaker.opened(true);
        breaker.answered();
        assert_eq!(fail(&mut breaker, false, now), Change::None, "counted from nought");
    }

    #[test]
    fn an_attempt_that_came_to_nothing_is_made_again() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert!(matches!(breaker.ask(now + FIRST, HALF), Verdict::Probe));
        breaker.abandoned(true, now + FIRST);
        assert!(matches!(breaker.ask(now + FIRST, HALF), Verdict::Probe));
    }

    #[test]
    fn a_refused_account_is_left_alone_for_a_minute_and_told_once() {
        for class in [ErrorClass::Credentials, ErrorClass::Payment] {
            let now = Instant::now();
            let mut breaker = Breaker::default();
            assert_eq!(breaker.failed(&error(class), false, (now, 0.0)), Change::Refused);
            let almost = now + (REFUSED * 999) / 1000;
            let refused = |verdict: Verdict| matches!(verdict, Verdict::Refused(error) if error.class == class);
            assert!(refused(breaker.ask(almost, 1.0)));
            assert!(matches!(breaker.ask(now + REFUSED, 1.0), Verdict::Probe));
            assert_eq!(breaker.failed(&error(class), true, (now + REFUSED, 0.0)), Change::Opened);
            assert!(refused(breaker.ask(almost + REFUSED, 1.0)));
        }
    }

    #[test]
    fn what_is_wrong_with_a_request_says_nothing_about_the_provider() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for class in [ErrorClass::BadRequest, ErrorClass::Poison, ErrorClass::Format] {
            for _ in 0..2 * LIMIT {
                assert_eq!(breaker.failed(&error(class), false, (now, HALF)), Change::None);
            }
        }
        assert!(breaker.is_closed());
    }

    proptest! {
        /// Whatever happens: while it is not closed one asks at most, and it always asks again.
        #[test]
        fn one_asks_at_a_time_and_it_never_waits_for_ever(
            steps in proptest::collection::vec((0_u8..6, 0_u64..3_000, 0.0..1.0_f64), 1..300),
        ) {
            let (mut breaker, mut now) = (Breaker::default(), Instant::now());
            let mut probing = false;
            for (step, ms, chance) in steps {
                now += Duration::from_millis(ms);
                match step {
                    0 | 1 => match breaker.ask(now, chance) {
                        Verdict::Probe => {
                            prop_assert!(!probing, "two at once");
                            probing = true;
                        }
                        Verdict::Wait(wait) => prop_assert!(wait <= LONGEST * 5 / 4),
                        Verdict::Go => prop_assert!(breaker.is_closed()),
                        Verdict::Refused(_) => prop_assert!(false, "nobody refused us"),
                    },
                    2 | 3 => {
                        let is_probe = std::mem::take(&mut probing);
                        breaker.failed(&error(ErrorClass::Unavailable), is_probe, (now, chance));
                    }
                    4 if std::mem::take(&mut probing) => breaker.opened(true),
                    _ => breaker.answered(),
                }
            }
            breaker.abandoned(std::mem::take(&mut probing), now);
            let verdict = breaker.ask(now + LONGEST, 1.0);
            prop_assert!(matches!(verdict, Verdict::Go | Verdict::Probe), "{verdict:?}");
        }
    }
}
