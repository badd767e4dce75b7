//! The session's way to its provider: what was said is kept until it is final, over as many
//! connections as that takes.
//!
//! [`lanes`] decides, without sockets or clocks; here are the sockets and the clock.

mod choice;
mod dial;
mod ear;
mod lane;
mod lanes;
mod link;
mod pace;
mod recovery;
mod ring;
mod told;
mod voices;

use std::time::Instant;

use futures_util::FutureExt;
use tokio::time::sleep_until;

use self::{
    dial::{Dial, Unmade},
    lane::Link,
    lanes::{Lanes, Notice, Opening, Order, Outcome, Request},
    link::{Moment, Slot},
};
use crate::{
    limits,
    model::{AudioChunk, SessionId},
    providers::{Lineup, ProviderError, StreamCommand, StreamOptions},
    telemetry::{Metrics, log_patterns, log_patterns::ProviderFault, metrics::label},
};

pub use self::{
    dial::Spare,
    lanes::Origin,
    told::{Text, Upstreamed},
};

/// Owns the connections and the audio that no final covers yet.
pub struct Upstream {
    session: SessionId,
    lineup: Lineup,
    options: StreamOptions,
    metrics: Metrics,
    lanes: Lanes,
    slots: [Option<Slot>; 2],
    spare: Option<Spare>,
    /// Whose slot the session has, and whether that was just found.
    home: Option<&'static str>,
    found: bool,
    /// Up to where finals are wanted that were not asked for yet.
    finalize_ms: Option<u64>,
}

impl Upstream {
    /// Connects as soon as there is audio.
    pub fn open(
        session: SessionId,
        lineup: Lineup,
        options: StreamOptions,
        metrics: Metrics,
    ) -> Self {
        Self::begin((session, lineup, metrics), options, None)
    }

    /// Goes on with a session whose audio up to there is done with. Audio that its client had kept
    /// comes first, until [`Self::live_from_here`].
    pub fn resume(
        session: (SessionId, Lineup, Metrics),
        options: StreamOptions,
        origin: Origin,
    ) -> Self {
        Self::begin(session, options, Some(origin))
    }

    fn begin(
        (session, lineup, metrics): (SessionId, Lineup, Metrics),
        options: StreamOptions,
        origin: Option<Origin>,
    ) -> Self {
        let takers = lineup.takers(&options);
        let estimating = takers.iter().copied().filter(|taker| !lineup.measures(taker)).collect();
        let lanes = Lanes::new(options.clone(), takers, origin, rand::random::<f64>)
            .with_estimates_of(estimating);
        let (slots, spare, home) = ([None, None], None, None);
        let (found, finalize_ms) = (false, None);
        Self { session, lineup, options, metrics, lanes, slots, spare, home, found, finalize_ms }
    }

    /// The session has a slot of that provider.
    pub fn settle(&mut self, home: Option<&'static str>) {
        if self.home != home {
            (self.home, self.found) = (home, home.is_some());
        }
    }

    /// The provider that the session went to, and its slot there, which is the session's own from now
    /// on.
    pub fn moved(&mut self) -> Option<(&'static str, limits::Slot)> {
        let ([Some(only), None] | [None, Some(only)]) = &mut self.slots else { return None };
        let provider = only.provider().filter(|provider| self.home != Some(provider))?;
        let slot = only.extra.take()?;
        only.lent = true;
        (self.home, self.found) = (Some(provider), false);
        Some((provider, slot))
    }

    /// Takes slots from there that the session's own is not for.
    pub fn borrow_from(&mut self, spare: Spare) {
        self.spare = Some(spare);
    }

    /// Everything that was pushed so far is what a resumed client had kept: audio that comes from
    /// now on does not wait for it.
    pub fn live_from_here(&mut self) {
        self.lanes.live_from_here(Instant::now());
    }

    /// Whether it can take more audio now.
    pub fn has_room(&self) -> bool {
        self.lanes.has_room(Instant::now())
    }

    /// Takes audio; returns where it ends in session audio, for raw audio.
    pub fn push(&mut self, chunk: AudioChunk) -> Option<u64> {
        self.lanes.push(chunk, Instant::now())
    }

    /// No more audio comes: what is left is sent, then the connections are closed in order.
    pub fn finish(&mut self) {
        self.lanes.finish(Instant::now());
    }

    /// Asks for finals of what is left when no audio comes; false while that has to wait.
    ///
    /// A provider may have nothing to say to it, which does not make it mute.
    pub fn wind_up(&mut self) -> bool {
        self.ask().is_some()
    }

    /// Asks for finals of everything heard so far; false while that has to wait.
    pub fn finalize(&mut self) -> bool {
        // Older audio may be behind: its finals come at its own pace.
        if self.lanes.is_short() {
            return true;
        }
        let asked = self.ask();
        if let Some(link) = asked {
            self.lanes.asked(link, Instant::now());
        }
        asked.is_some()
    }

    /// Asks for finals of everything up to there, once that was sent.
    pub const fn finalize_up_to(&mut self, until_ms: u64) {
        self.finalize_ms = Some(until_ms);
    }

    /// Asks for the finals that are wanted, unless they came by themselves.
    fn ask_if_wanted(&mut self) {
        let Some(until_ms) = self.finalize_ms else { return };
        if self.covered_ms() >= until_ms || self.ask().is_some() {
            self.finalize_ms = None;
        }
    }

    /// What is not sent yet would not be finalised; a full queue means the same.
    fn ask(&mut self) -> Option<Link> {
        let link = self.lanes.live_link()?;
        let slot = self.slots.iter().flatten().find(|slot| slot.link == link)?;
        slot.try_send(StreamCommand::Finalize).then_some(link)
    }

    /// Lets an idle connection go once everything is covered; the next audio opens another. Whether
    /// none is there or wanted.
    pub fn rest(&mut self) -> bool {
        let rests = self.lanes.rest();
        self.look(Instant::now());
        rests
    }

    /// Leaves a provider that answers pings and nothing else; what that ends in, if in anything.
    pub fn leave_if_mute(&mut self) -> Option<Upstreamed> {
        self.look(Instant::now());
        self.lanes.told()
    }

    /// F: the end of the last final that was told, in milliseconds of session audio.
    pub fn covered_ms(&self) -> u64 {
        self.lanes.covered_ms()
    }

    /// The next thing to know. Safe to drop and call again.
    pub async fn next(&mut self) -> Upstreamed {
        loop {
            let now = Instant::now();
            self.look(now);
            if let Some(told) = self.lanes.told() {
                return told;
            }
            self.ask_if_wanted();
            if let (Some(link), moment) = self.moment(now).await {
                self.happened(link, moment);
            }
        }
    }

    /// Lets time pass, and does what is to be done.
    fn look(&mut self, now: Instant) {
        self.lanes.tick(now);
        while let Some(order) = self.lanes.order(now) {
            match order {
                Order::Connect(link, request) => self.connect(link, request),
                Order::Leave(link) => self.leave(link),
            }
        }
        while let Some(notice) = self.lanes.notice() {
            self.note(notice);
        }
    }

    fn connect(&mut self, link: Link, request: Request) {
        let Request { mut order, error, repeated } = request;
        if let (true, Some(error)) = (order.is_empty(), error) {
            return self.lanes.hopeless(link, error);
        }
        // Who has just given a slot is asked first: those before had none.
        if std::mem::take(&mut self.found) && !repeated {
            order.sort_by_key(|provider| self.home != Some(provider));
        }
        let others = self.slots.iter().flatten();
        let is_second = others.clone().count() > 0;
        let own = self.home.filter(|_| others.clone().all(|slot| !slot.lent));
        let dial = Dial {
            lineup: self.lineup.clone(),
            options: self.options.clone(),
            spare: self.spare.clone(),
            own,
            name: if is_second { SessionId::mint() } else { self.session },
        };
        let attempt = dial.make(order, repeated).boxed();
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(Slot::new(link, attempt, own.is_some()));
        }
    }

    /// A connection whose slot is dropped closes by itself.
    fn leave(&mut self, link: Link) {
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|slot| slot.link == link) {
                *slot = None;
            }
        }
        self.give_back();
    }

    /// One connection alone has the session's own slot.
    fn give_back(&mut self) {
        if let [Some(only), None] | [None, Some(only)] = &mut self.slots
            && only.provider().is_some_and(|provider| self.home == Some(provider))
        {
            (only.extra, only.lent) = (None, true);
        }
    }

    async fn moment(&mut self, now: Instant) -> (Option<Link>, Moment) {
        let wake_at = self.lanes.wake_at();
        let outgoing = |slot: &Option<Slot>| match slot {
            Some(slot) => self.lanes.outgoing(slot.link, now),
            None => lanes::Outgoing::Nothing,
        };
        let [first, second] = &mut self.slots;
        let (to_first, to_second) = (outgoing(first), outgoing(second));
        tokio::select! {
            moment = link::next(first, to_first) => moment,
            moment = link::next(second, to_second) => moment,
            () = sleep_until(wake_at.unwrap_or(now).into()), if wake_at.is_some() => {
                (None, Moment::Rested)
            }
        }
    }

    fn happened(&mut self, link: Link, moment: Moment) {
        let now = Instant::now();
        match moment {
            Moment::Connected(connected) => self.connected(link, connected, now),
            Moment::Heard(event) => self.lanes.heard(link, event, now),
            Moment::Sent(chunk) => self.lanes.sent(link, &chunk, now),
            Moment::Closing => self.lanes.closing(link),
            Moment::Rested => {}
        }
    }

    fn connected(&mut self, link: Link, connected: Result<Opening, Unmade>, now: Instant) {
        match connected {
            Ok(opening) => {
                self.count(opening.provider, "opened");
                self.give_back();
                self.lanes.opened(link, opening, now);
            }
            Err(unmade) => {
                self.leave(link);
                match unmade {
                    Unmade::Refused(provider, error) => {
                        self.count(provider, error.class.as_str());
                        self.lanes.refused(link, provider, error, now);
                    }
                    Unmade::Held(wait) => self.lanes.held(link, wait, now),
                    Unmade::Hopeless(error) => self.lanes.hopeless(link, error),
                }
            }
        }
    }

    fn count(&self, provider: &'static str, outcome: &'static str) {
        let labels = [label("provider", provider), label("outcome", outcome)];
        self.metrics.upstream_connects.add(1, &labels);
    }

    fn note(&self, notice: Notice) {
        match notice {
            Notice::Broke { provider, error, delay, .. } => {
                let class = label("class", error.class.as_str());
                let reason = label("reason", lanes::reason(&error));
                let labels = [label("provider", provider), class, reason];
                self.metrics.upstream_failures.add(1, &labels);
                self.tell_of(provider, &error, delay.map(|delay| delay.as_millis() as u64));
            }
            Notice::Refused { provider, error, delay } => {
                self.tell_of(provider, &error, Some(delay.as_millis() as u64));
            }
            Notice::Over { from, to, outcome } => {
                let labels =
                    [label("from", from), label("to", to), label("outcome", outcome.as_str())];
                self.metrics.provider_failovers.add(1, &labels);
                if outcome == Outcome::Attempted {
                    log_patterns::provider_replaced(self.session, from, to);
                }
            }
        }
    }

    fn tell_of(&self, provider: &'static str, error: &ProviderError, delay_ms: Option<u64>) {
        let fault = ProviderFault {
            code: &error.code,
            request_id: error.request_id.as_deref(),
            detail: &error.detail,
        };
        if let Some(delay_ms) = delay_ms.filter(|_| error.class.retryable()) {
            log_patterns::stream_broke(self.session, provider, &fault, delay_ms);
        }
    }
}
