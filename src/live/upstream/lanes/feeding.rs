//! Which connections are made, and what they are sent.

use std::time::{Duration, Instant};

use super::{Lanes, OVERLAP_MS, Order};
use crate::{
    live::upstream::{
        ear::Ear,
        lane::{Lane, Link, Talk, Tie},
        pace::Pace,
        told::Upstreamed,
    },
    model::AudioChunk,
    providers::{ErrorClass, ProviderError},
};

/// A live lane with less than this waiting needs no `Finalize`.
const FINALIZE_MS: u64 = 10_000;

/// What is known of a connection that is to be made.
#[derive(Debug)]
pub struct Request {
    /// Who is to be asked, the best first; nobody is left if there is none.
    pub order: Vec<&'static str>,
    /// Why the last one cannot have this audio.
    pub error: Option<ProviderError>,
    /// Whether it repeats an attempt that failed.
    pub repeated: bool,
}

/// A connection that was made.
#[derive(Debug)]
pub struct Opening {
    /// By whom.
    pub provider: &'static str,
    /// The model in use.
    pub model: String,
    /// The provider's id of it.
    pub request_id: Option<String>,
}

/// What a connection is to be sent next.
#[derive(Debug)]
pub enum Outgoing {
    /// Nothing now.
    Nothing,
    /// More, but not before that long.
    Later(Duration),
    /// Audio.
    Audio(AudioChunk),
    /// That no more audio comes.
    Close,
}

impl Lanes {
    /// The next thing to do.
    pub fn order(&mut self, now: Instant) -> Option<Order> {
        if let Some(link) = self.leaving.pop() {
            return Some(Order::Leave(link));
        }
        let at = self.candidates().into_iter().flatten().find(|at| self.wants(*at, now))?;
        let link = Link(self.next_link);
        self.next_link += 1;
        let lane = &mut self.lanes[at];
        lane.tie = Tie::Connecting(link);
        let choice = &lane.choice;
        let request = Request {
            order: choice.order(&self.providers),
            error: choice.error().cloned(),
            repeated: choice.is_repeated(),
        };
        Some(Order::Connect(link, request))
    }

    /// When to look again though nothing happens.
    pub fn wake_at(&self) -> Option<Instant> {
        let waits = self.candidates().into_iter().flatten().filter_map(|at| {
            match self.lanes.get(at)?.tie {
                Tie::Waiting(until) => Some(until),
                _ => None,
            }
        });
        let finished = self.finishing.filter(|_| self.ring.is_raw());
        waits.chain(finished.map(|since| since + super::FINISHING)).min()
    }

    /// The lanes that may have a connection made now: the live one first, then the head.
    fn candidates(&self) -> [Option<usize>; 2] {
        let links = self.lanes.iter().filter(|lane| lane.tie.link().is_some()).count();
        let last = self.lanes.len().checked_sub(1);
        match (self.alone, links) {
            (false, 0 | 1) => [last, Some(0).filter(|_| last > Some(0))],
            (true, 0) => [Some(0).filter(|_| last.is_some()), None],
            _ => [None, None],
        }
    }

    fn wants(&mut self, at: usize, now: Instant) -> bool {
        let more = self.has_more(at);
        let lane = &mut self.lanes[at];
        match lane.tie {
            Tie::Loose => more,
            Tie::Waiting(_) if !more => {
                // Broken with everything covered: a connection without audio would only idle out.
                lane.tie = Tie::Loose;
                lane.succeeded();
                false
            }
            Tie::Waiting(until) => until <= now,
            Tie::Connecting(_) | Tie::Open(_) => false,
        }
    }

    /// Whether a connection would have something to send.
    pub(super) fn has_more(&self, at: usize) -> bool {
        match self.end_of(at) {
            Some(end_ms) => end_ms > self.lanes[at].covered_ms,
            None => {
                let broken = matches!(self.lanes[at].tie, Tie::Waiting(_));
                broken || self.ring.has_unsent()
            }
        }
    }

    /// A connection is open: the live lane's new one leaves behind what is too long to wait for.
    pub fn opened(&mut self, link: Link, opening: Opening, now: Instant) {
        let Some(at) = self.index_of(link) else { return self.leaving.push(link) };
        let instead_of = self.goes_over(at, opening.provider);
        let at = if self.is_overtaking(at, opening.provider, now) { self.cut(true) } else { at };
        self.declare(at);
        let lane = &self.lanes[at];
        let seam = at > 0 && lane.is_untouched();
        let Some(cursor) = self.ring.begin(lane.covered_ms, if seam { OVERLAP_MS } else { 0 })
        else {
            let detail = "the audio that a new connection needs is gone";
            return self.fail(ProviderError::new(ErrorClass::Unavailable, "no_replay", detail));
        };
        let behind = lane.until_ms.is_some() || lane.is_behind(now);
        // An engine that keeps its audio in one piece takes what is behind as fast as it can, and
        // shows nothing of it meanwhile that may still change.
        let measures = self.measures(opening.provider);
        let rate = self.ring.bytes_per_second().filter(|_| behind && measures);
        let interims = self.options.interim_results && (measures || !behind);
        self.let_go_ms = 0;
        self.lanes[at].tie = Tie::Open(Box::new(Talk {
            link,
            provider: opening.provider,
            cursor,
            pace: rate.map(|rate| Pace::start(rate, now)),
            ear: Ear::new(self.options.format, interims),
            speakers: self.voices.renew(),
            instead_of,
            answered: false,
            close_sent: false,
            finalize_asked: None,
        }));
        let Opening { provider, model, request_id } = opening;
        let is_live = at + 1 == self.lanes.len();
        self.out.push_back(Upstreamed::Opened { provider, is_live, model, request_id });
    }

    /// What to send next over a connection.
    pub fn outgoing(&self, link: Link, now: Instant) -> Outgoing {
        let Some(lane) = self.index_of(link).map(|at| &self.lanes[at]) else {
            return Outgoing::Nothing;
        };
        let Some(talk) = lane.tie.talk().filter(|talk| !talk.close_sent) else {
            return Outgoing::Nothing;
        };
        if let Some(chunk) = self.ring.next(&talk.cursor, self.limit(lane)) {
            let wait = talk.pace.as_ref().and_then(|pace| pace.wait(now));
            return wait.map_or(Outgoing::Audio(chunk), Outgoing::Later);
        }
        // A word at the seam is worth waiting for, as long as it goes on.
        let cut_off = lane.until_ms.is_some() && !(self.lacks_overlap(lane) && self.flows(now));
        if self.finishing.is_some() || cut_off { Outgoing::Close } else { Outgoing::Nothing }
    }

    /// Where to stop sending: behind the seam, or at it while too little has come. A word of which
    /// one side hears a part only would have its middle elsewhere.
    fn limit(&self, lane: &Lane) -> Option<u64> {
        let overlap_ms = if self.lacks_overlap(lane) { 0 } else { OVERLAP_MS };
        lane.until_ms.map(|until_ms| until_ms + overlap_ms)
    }

    fn lacks_overlap(&self, lane: &Lane) -> bool {
        let enough = |until_ms: u64| self.ring.end_ms() >= Some(until_ms + OVERLAP_MS);
        self.finishing.is_none() && !lane.until_ms.is_some_and(enough)
    }

    /// The audio of [`Self::outgoing`] was handed over.
    pub fn sent(&mut self, link: Link, chunk: &AudioChunk, now: Instant) {
        let Some(at) = self.index_of(link) else { return };
        let (limit, catching_up) = (self.limit(&self.lanes[at]), self.is_catching_up(now));
        let lane = &mut self.lanes[at];
        let Some(talk) = lane.tie.talk_mut() else { return };
        self.ring.fed(&mut talk.cursor, chunk.bytes.len());
        talk.ear.hear(&chunk.bytes, now);
        if let Some(pace) = &mut talk.pace {
            pace.sent(chunk.bytes.len());
        }
        let fed = self.ring.is_fed(&talk.cursor, limit) && !catching_up;
        if fed && lane.until_ms.is_none() {
            talk.pace = None;
            lane.replays = false;
            self.alone &= self.lanes.len() > 1;
        }
    }

    /// The close was handed over.
    pub fn closing(&mut self, link: Link) {
        let Some(at) = self.index_of(link) else { return };
        if let Some(talk) = self.lanes[at].tie.talk_mut() {
            talk.close_sent = true;
        }
    }

    /// The live lane's connection, if everything was sent over it.
    pub fn live_link(&self) -> Option<Link> {
        let talk = self.lanes.back().filter(|lane| lane.until_ms.is_none())?.tie.talk()?;
        let fed = self.ring.is_fed(&talk.cursor, None) && !talk.close_sent;
        fed.then_some(talk.link)
    }

    /// Whether what the live lane has no finals of is not worth asking for them.
    pub fn is_short(&self) -> bool {
        let waits = |lane: &Lane| Some(self.ring.end_ms()?.saturating_sub(lane.covered_ms));
        self.lanes.back().and_then(waits).is_some_and(|waits_ms| waits_ms < FINALIZE_MS)
    }

    /// Finals of everything were asked for over that connection.
    pub fn asked(&mut self, link: Link, now: Instant) {
        let Some(at) = self.index_of(link) else { return };
        if let Some(talk) = self.lanes[at].tie.talk_mut() {
            talk.finalize_asked.get_or_insert(now);
        }
    }

    /// Lets an idle connection go once everything is covered; the next audio opens another. Whether
    /// none is there or wanted.
    pub fn rest(&mut self) -> bool {
        if self.lanes.len() != 1 || self.has_more(0) {
            return false;
        }
        if let Some(link) = self.live_link().filter(|_| self.ring.is_raw()) {
            self.lanes[0].tie = Tie::Loose;
            self.leaving.push(link);
        }
        matches!(self.lanes[0].tie, Tie::Loose)
    }
}
