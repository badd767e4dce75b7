//! One attempt at a connection: with the first provider that may be asked, and that has a slot.

use std::time::{Duration, Instant};

use crate::{
    limits::{self, Seeker, Slots},
    model::SessionId,
    providers::{
        ErrorClass, LiveStream, ProviderError, StreamOptions,
        lineup::{Barred, Lineup, Pass},
    },
};

/// Where a connection has its slot from that the session's own is not for.
#[derive(Clone, Debug)]
pub struct Spare {
    /// The slots of every provider.
    pub slots: Slots,
    /// The account among whose slots it counts.
    pub account: String,
}

/// What an attempt is made with.
pub struct Dial {
    /// Who may be asked.
    pub lineup: Lineup,
    /// What they are told.
    pub options: StreamOptions,
    /// Where slots are from.
    pub spare: Option<Spare>,
    /// Whose provider's slot the session has for this connection.
    pub own: Option<&'static str>,
    /// In whose name another one is taken.
    pub name: SessionId,
}

/// A connection that was made.
pub struct Made {
    /// The connection.
    pub stream: LiveStream,
    /// A slot of its own, where the session's is not for it.
    pub extra: Option<limits::Slot>,
    /// The right that it was made with.
    pub pass: Pass,
}

/// Why none was made.
#[derive(Debug)]
pub enum Unmade {
    /// That provider refused, or has no slot.
    Refused(&'static str, ProviderError),
    /// Nobody may be asked before that long.
    Held(Duration),
    /// Nobody is left who could be asked at all.
    Hopeless(ProviderError),
}

/// Why those were passed over who were not asked.
#[derive(Default)]
struct Passed {
    full: Option<&'static str>,
    wait: Option<Duration>,
    refusal: Option<ProviderError>,
}

impl Dial {
    /// Asks the first of these who may be asked and has a slot; `repeated` where an attempt has failed.
    pub async fn make(self, order: Vec<&'static str>, repeated: bool) -> Result<Made, Unmade> {
        let mut passed = Passed::default();
        for provider in order {
            let mut pass = match self.lineup.admit(provider, repeated, Instant::now()) {
                Ok(pass) => pass,
                Err(Barred::For(wait)) => {
                    passed.wait = Some(passed.wait.map_or(wait, |least| least.min(wait)));
                    continue;
                }
                Err(Barred::Refused(error)) => {
                    passed.refusal.get_or_insert(error);
                    continue;
                }
            };
            let Some(extra) = self.slot(provider).await else {
                passed.full.get_or_insert(provider);
                continue;
            };
            let opened = pass.open(&self.options).await;
            let stream = opened.map_err(|error| Unmade::Refused(provider, error))?;
            return Ok(Made { stream, extra, pass });
        }
        Err(passed.over())
    }

    /// A slot, which may be the session's own; nothing if all are taken.
    async fn slot(&self, provider: &'static str) -> Option<Option<limits::Slot>> {
        let Some(Spare { slots, account }) =
            self.spare.as_ref().filter(|_| self.own != Some(provider))
        else {
            return Some(None);
        };
        let seeker = Seeker { session: self.name, account: account.clone() };
        slots.take_now(provider, &seeker).await.map(Some)
    }
}

impl Passed {
    /// A slot may come free soon; who is left alone may be asked later.
    fn over(self) -> Unmade {
        match (self.full, self.wait, self.refusal) {
            (Some(provider), ..) => {
                let detail = "no slot is free for another connection";
                let error = ProviderError::new(ErrorClass::RateLimited, "no_slot", detail);
                Unmade::Refused(provider, error)
            }
            (None, Some(wait), _) => Unmade::Held(wait),
            (None, None, Some(error)) => Unmade::Hopeless(error),
            (None, None, None) => Unmade::Held(Duration::from_secs(1)),
        }
    }
}
