//! The way to one provider: whether an attempt may be made now, and what its end says to others.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Breaker, Budget, Change, ProviderError, Verdict, refuses_us};
use crate::telemetry::{Metrics, log_patterns, metrics::label};

/// Who finds the budget spent comes back within this time after it grows.
const SPREAD: Duration = Duration::from_millis(500);

/// A provider's breaker and its budget of repeated attempts, as one replica has them.
#[derive(Debug)]
pub struct Gate {
    provider: &'static str,
    state: Mutex<State>,
    metrics: Metrics,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    budget: Budget,
}

/// Why a provider is not asked.
#[derive(Clone, Debug)]
pub enum Barred {
    /// Not before that long.
    For(Duration),
    /// It refuses our account, as it said.
    Refused(ProviderError),
}

/// The right to one attempt, which is told how it went.
#[derive(Debug)]
pub struct Ticket {
    gate: Arc<Gate>,
    is_probe: bool,
    settled: bool,
}

impl Gate {
    /// An open one.
    pub fn new(provider: &'static str, metrics: Metrics) -> Self {
        let budget = Budget::new(Instant::now());
        let state = Mutex::new(State { breaker: Breaker::default(), budget });
        Self { provider, state, metrics }
    }

    /// Whether who begins now may begin there.
    pub fn is_ready(&self, now: Instant) -> bool {
        self.state().breaker.is_ready(now)
    }

    /// The right to an attempt, which is a repeated one where one has failed before.
    pub fn admit(self: &Arc<Self>, repeated: bool, now: Instant) -> Result<Ticket, Barred> {
        let is_probe = self.enter(repeated, now)?;
        Ok(Ticket { gate: self.clone(), is_probe, settled: false })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the attempt is the one that is to tell.
    fn enter(&self, repeated: bool, now: Instant) -> Result<bool, Barred> {
        let mut state = self.state();
        let barred = match state.breaker.ask(now, rand::random()) {
            Verdict::Probe => return Ok(true),
            Verdict::Go if !repeated => {
                state.budget.earn();
                return Ok(false);
            }
            Verdict::Go => match state.budget.spend(now) {
                Ok(()) => return Ok(false),
                Err(wait) => {
                    let spread = SPREAD.mul_f64(rand::random());
                    ("budget", Barred::For(wait + spread))
                }
            },
            Verdict::Wait(wait) => ("breaker", Barred::For(wait)),
            Verdict::Refused(error) => ("refused", Barred::Refused(error)),
        };
        drop(state);
        let (reason, barred) = barred;
        let labels = [label("provider", self.provider), label("reason", reason)];
        self.metrics.provider_attempts_held.add(1, &labels);
        Err(barred)
    }

    /// Changes the breaker, and tells whoever watches what that comes to.
    fn settle(&self, change: impl FnOnce(&mut Breaker) -> Change, error: Option<&ProviderError>) {
        let mut state = self.state();
        let was_closed = state.breaker.is_closed();
        let changed = change(&mut state.breaker);
        let is_closed = state.breaker.is_closed();
        drop(state);
        let step = i64::from(was_closed) - i64::from(is_closed);
        if step != 0 {
            self.metrics.provider_breaker_open.add(step, &[label("provider", self.provider)]);
        }
        if let (Change::Refused, Some(error)) = (changed, error) {
            log_patterns::provider_refuses(self.provider, error.class.as_str(), &error.detail);
        }
    }
}

impl Ticket {
    /// The connection is open.
    pub fn opened(&mut self) {
        let is_probe = std::mem::take(&mut self.is_probe);
        self.gate.settle(
            |breaker| {
                breaker.opened(is_probe);
                Change::None
            },
            None,
        );
    }

    /// Something came back.
    pub fn answered(&mut self) {
        if !std::mem::replace(&mut self.settled, true) {
            self.gate.settle(
                |breaker| {
                    breaker.answered();
                    Change::None
                },
                None,
            );
        }
    }

    /// The attempt failed, or the connection broke. What was answered before says that the provider
    /// is there, unless it refuses our account.
    pub fn failed(&mut self, error: &ProviderError) {
        let answered = std::mem::replace(&mut self.settled, true);
        if answered && !refuses_us(error.class) {
            return;
        }
        let (is_probe, at) = (self.is_probe, (Instant::now(), rand::random()));
        self.gate.settle(|breaker| breaker.failed(error, is_probe, at), Some(error));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.settled && self.is_probe {
            self.gate.state().breaker.abandoned(true, Instant::now());
        }
    }
}
