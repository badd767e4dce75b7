//! The providers of a replica in the order in which they are asked, and which of them may be asked
//! now.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{ErrorClass, Live, LiveStream, ProviderError, StreamOptions, transcriber::Transcriber};
pub use crate::outbound::Barred;
use crate::{
    outbound::{Gate, Ticket},
    telemetry::Metrics,
};

/// The providers of a replica, the first choice first. Cheap to clone.
#[derive(Clone)]
pub struct Lineup {
    first: Live,
    members: Arc<[Arc<Member>]>,
}

struct Member {
    live: Live,
    gate: Arc<Gate>,
}

/// The right to one attempt at one provider, which is told how it went.
pub struct Pass {
    member: Arc<Member>,
    ticket: Ticket,
}

impl Lineup {
    /// The first choice, and who is asked where it cannot be.
    pub fn new(first: Live, others: Vec<Live>, metrics: &Metrics) -> Self {
        let member = |live: Live| {
            let gate = Arc::new(Gate::new(live.name(), metrics.clone()));
            Arc::new(Member { live, gate })
        };
        let all = std::iter::once(first.clone()).chain(others);
        Self { first, members: all.map(member).collect() }
    }

    /// The first choice.
    pub const fn first(&self) -> &Live {
        &self.first
    }

    /// The embedded engine for recordings, if any live audio goes to it.
    pub fn embedded(&self) -> Transcriber {
        #[cfg(feature = "local-speech")]
        for member in self.members.iter() {
            if let Live::Local(engine) = &member.live {
                return Transcriber::Local(engine.clone());
            }
        }
        let why = "the embedded engine is not running: name local in LIVE_FALLBACKS";
        Transcriber::Absent("local", why.into())
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
        let is_ready =
            |name: &&'static str| self.member(name).is_some_and(|member| member.gate.is_ready(now));
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
        let ticket = member.gate.admit(repeated, now)?;
        Ok(Pass { member: member.clone(), ticket })
    }

    fn member(&self, name: &str) -> Option<&Arc<Member>> {
        self.members.iter().find(|member| member.live.name() == name)
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
            Ok(_) => self.ticket.opened(),
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
        self.ticket.answered();
    }

    /// The attempt failed, or the connection broke.
    pub fn failed(&mut self, error: &ProviderError) {
        self.ticket.failed(error);
    }
}
