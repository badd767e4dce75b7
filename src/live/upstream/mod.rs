//! The session's way to its provider: what was said is kept until it is final, over as many
//! connections as that takes.
//!
//! [`lanes`] decides, without sockets or clocks; here are the sockets and the clock.

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
    lane::Link,
    lanes::{Lanes, Notice, Opening, Order, Request},
    link::{Moment, Slot},
};
use crate::{
    limits::{self, Seeker, Slots},
    model::{AudioChunk, SessionId},
    providers::{ErrorClass, Live, ProviderError, StreamCommand, StreamOptions},
    telemetry::{Metrics, log_patterns, log_patterns::ProviderFault, metrics::label},
};

pub use self::{
    lanes::Origin,
    told::{Text, Upstreamed},
};

/// Owns the connections and the audio that no final covers yet.
pub struct Upstream {
    session: SessionId,
    live: Live,
    options: StreamOptions,
    metrics: Metrics,
    lanes: Lanes,
    slots: [Option<Slot>; 2],
    spare: Option<Spare>,
}

/// Where a second connection has its slot from: the session's own is for one.
#[derive(Clone, Debug)]
pub struct Spare {
    /// The slots of every provider.
    pub slots: Slots,
    /// The account among whose slots it counts.
    pub account: String,
}

impl Spare {
    async fn take(self, provider: &'static str) -> Result<limits::Slot, ProviderError> {
        let Self { slots, account } = self;
        let seeker = Seeker { session: SessionId::mint(), account };
        slots.take_now(provider, &seeker).await.ok_or_else(|| {
            let detail = "no slot is free for a second connection";
            ProviderError::new(ErrorClass::RateLimited, "no_slot", detail)
        })
    }
}

impl Upstream {
    /// Connects as soon as there is audio.
    pub fn open(session: SessionId, live: Live, options: StreamOptions, metrics: Metrics) -> Self {
        Self::begin((session, live, metrics), options, None)
    }

    /// Goes on with a session whose audio up to there is done with. Audio that its client had kept
    /// comes first, until [`Self::live_from_here`].
    pub fn resume(
        session: (SessionId, Live, Metrics),
        options: StreamOptions,
        origin: Origin,
    ) -> Self {
        Self::begin(session, options, Some(origin))
    }

    fn begin(
        (session, live, metrics): (SessionId, Live, Metrics),
        options: StreamOptions,
        origin: Option<Origin>,
    ) -> Self {
        let lanes = Lanes::new(options.clone(), origin, rand::random::<f64>);
        Self { session, live, options, metrics, lanes, slots: [None, None], spare: None }
    }

    /// Takes slots for second connections from there.
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
        if let Some((_, error)) = request.avoided.into_iter().next_back() {
            return self.lanes.hopeless(link, error);
        }
        let (live, options) = (self.live.clone(), self.options.clone());
        let provider = live.name();
        let is_second = self.slots.iter().any(Option::is_some);
        let spare = self.spare.clone().filter(|_| is_second);
        let attempt = async move {
            let extra = match spare {
                Some(spare) => Some(spare.take(provider).await?),
                None => None,
            };
            Ok((live.open(&options).await?, extra))
        }
        .boxed();
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(Slot::new(link, attempt));
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
        if let [Some(only), None] | [None, Some(only)] = &mut self.slots {
            only.extra = None;
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

    fn connected(
        &mut self,
        link: Link,
        connected: Result<(String, Option<String>), ProviderError>,
        now: Instant,
    ) {
        let provider = self.live.name();
        let outcome = connected.as_ref().map_or_else(|error| error.class.as_str(), |_| "opened");
        let labels = [label("provider", provider), label("outcome", outcome)];
        self.metrics.upstream_connects.add(1, &labels);
        match connected {
            Ok((model, request_id)) => {
                self.give_back();
                self.lanes.opened(link, Opening { provider, model, request_id }, now);
            }
            Err(error) => {
                self.leave(link);
                self.lanes.refused(link, provider, error, now);
            }
        }
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
