//! The providers of a replica in the order in which they are asked, and which of them may be asked
//! now.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{ErrorClass, Live, LiveStream, ProviderError, StreamOptions};
use crate::{
    outbound::{Breaker, Budget, Change, Verdict, refuses_us},
    telemetry::{Metrics, log_patterns, metrics::label},
};

/// Who finds the budget spent comes back within this time after it grows.
const SPREAD: Duration = Duration::from_millis(500);

/// The providers of a replica, the first choice first. Cheap to clone.
#[derive(Clone)]
pub struct Lineup {
    first: Live,
    members: Arc<[Arc<Member>]>,
}

struct Member {
    live: Live,
    gate: Mutex<Gate>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Gate {
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

/// The right to one attempt at one provider, which is told how it went.
pub struct Pass {
    member: Arc<Member>,
    is_probe: bool,
    settled: bool,
}

impl Lineup {
    /// The first choice, and who is asked where it cannot be.
    pub fn new(first: Live, others: Vec<Live>, metrics: &Metrics) -> Self {
        let member = |live: Live| {
            let gate = Gate { breaker: Breaker::default(), budget: Budget::new(Instant::now()) };
            Arc::new(Member { live, gate: Mutex::new(gate), metrics: metrics.clone() })
        };
        let all = std::iter::once(first.clone()).chain(others);
        Self { first, members: all.map(member).collect() }
    }

    /// The first choice.
    pub const fn first(&self) -> &Live {
        &self.first
    }

    /// Who can transcribe such a stream, in order. Where nobody can, the first choice says why.
    pub fn takers(&self, options: &StreamOptions) -> Vec<&'static str> {
        let takes = |member: &&Arc<Member>| member.live.takes(options);
        let mut takers: Vec<_> =
            self.members.iter().filter(takes).map(|member| member.live.name()).collect();
        if takers.is_empty() {
            takers.push(self.first.name());
        }
        takers
    }

    /// Who of these would be asked now: all, where nobody would.
    pub fn ready(&self, providers: &[&'static str]) -> Vec<&'static str> {
        let now = Instant::now();
        let is_ready = |name: &&'static str| {
            self.member(name).is_some_and(|member| member.gate().breaker.is_ready(now))
        };
        let ready: Vec<_> = providers.iter().copied().filter(is_ready).collect();
        if ready.is_empty() { providers.to_vec() } else { ready }
    }

    /// Whether that provider measures the times of words, or only estimates them.
    pub fn measures(&self, provider: &str) -> bool {
        self.member(provider).is_none_or(|member| member.live.measures())
    }

    /// With whom a stream would begin now.
    pub fn expected(&self, options: &StreamOptions) -> (&'static str, String) {
        let name = self.ready(&self.takers(options)).first().copied().unwrap_or("none");
        let model = self.member(name).map(|member| member.live.model_for(options));
        (name, model.unwrap_or_default())
    }

    /// The right to an attempt, which is a repeated one where one has failed before.
    pub fn admit(&self, provider: &str, repeated: bool, now: Instant) -> Result<Pass, Barred> {
        let Some(member) = self.member(provider) else {
            return Err(Barred::For(Duration::from_secs(1)));
        };
        let is_probe = member.enter(repeated, now)?;
        Ok(Pass { member: member.clone(), is_probe, settled: false })
    }

    fn member(&self, name: &str) -> Option<&Arc<Member>> {
        self.members.iter().find(|member| member.live.name() == name)
    }
}

impl Member {
    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the attempt is the one that is to tell.
    fn enter(&self, repeated: bool, now: Instant) -> Result<bool, Barred> {
        let mut gate = self.gate();
        let barred = match gate.breaker.ask(now, rand::random()) {
            Verdict::Probe => return Ok(true),
            Verdict::Go if !repeated => {
                gate.budget.earn();
                return Ok(false);
            }
            Verdict::Go => match gate.budget.spend(now) {
                Ok(()) => return Ok(false),
                Err(wait) => {
                    let spread = SPREAD.mul_f64(rand::random());
                    ("budget", Barred::For(wait + spread))
                }
            },
            Verdict::Wait(wait) => ("breaker", Barred::For(wait)),
            Verdict::Refused(error) => ("refused", Barred::Refused(error)),
        };
        drop(gate);
        let (reason, barred) = barred;
        let labels = [label("provider", self.live.name()), label("reason", reason)];
        self.metrics.provider_attempts_held.add(1, &labels);
        Err(barred)
    }

    /// Changes the breaker, and tells whoever watches what that comes to.
    fn settle(&self, change: impl FnOnce(&mut Breaker) -> Change, error: Option<&ProviderError>) {
        let mut gate = self.gate();
        let was_closed = gate.breaker.is_closed();
        let changed = change(&mut gate.breaker);
        let is_closed = gate.breaker.is_closed();
        drop(gate);
        let provider = self.live.name();
        let step = i64::from(was_closed) - i64::from(is_closed);
        if step != 0 {
            self.metrics.provider_breaker_open.add(step, &[label("provider", provider)]);
        }
        if let (Change::Refused, Some(error)) = (changed, error) {
            log_patterns::provider_refuses(provider, error.class.as_str(), &error.detail);
        }
    }
}

impl Pass {
    /// Whose it is.
    pub fn provider(&self) -> &'static str {
        self.member.live.name()
    }

    /// Makes the attempt. A failure is told to the others.
    pub async fn open(&mut self, options: &StreamOptions) -> Result<LiveStream, ProviderError> {
        let opened = self.member.live.open(options).await;
        match &opened {
            Ok(_) => {
                let is_probe = std::mem::take(&mut self.is_probe);
                self.member.settle(
                    |breaker| {
                        breaker.opened(is_probe);
                        Change::None
                    },
                    None,
                );
            }
            // A model that a client asked for may be refused to us, and everything else given.
            Err(error)
                if error.class == ErrorClass::Credentials
                    && error.code == "INSUFFICIENT_PERMISSIONS"
                    && options.model.is_some() => {}
            Err(error) => self.failed(error),
        }
        opened
    }

    /// Something was heard over the connection.
    pub fn answered(&mut self) {
        if !std::mem::replace(&mut self.settled, true) {
            self.member.settle(
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
        self.member.settle(|breaker| breaker.failed(error, is_probe, at), Some(error));
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.settled && self.is_probe {
            self.member.gate().breaker.abandoned(true, Instant::now());
        }
    }
}
