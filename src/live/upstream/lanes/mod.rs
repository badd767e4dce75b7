//! What of the session's audio is where, without sockets or clocks: audio, connections and events go
//! in, with the time; what to tell and what to do comes out.
//!
//! Lanes stand in the order of the audio. The first is the *head*: its texts are told at once. The
//! last is live. When a connection broke and newer audio does not wait, the live lane is cut at the
//! end of the audio: what is behind is made up for at its own pace, and finals of later lanes are
//! held until then, so that finals are told in the order of the audio.

mod failing;
mod feeding;
mod hearing;
mod seams;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    lane::{Lane, Link, Tie},
    ring::Ring,
    told::{GapReason, Upstreamed},
    voices::Voices,
};
use crate::{
    model::AudioChunk,
    providers::{ProviderError, StreamOptions},
};

pub use failing::reason;
pub use feeding::{Opening, Outgoing, Request};

/// How far a provider's times may lie beyond the audio that it was sent.
const SLACK_MS: u64 = 1_000;
/// Less than this is replayed before newer audio; more is overtaken by it.
const SHORT_MS: u64 = 1_000;
/// Audio around a seam goes to both sides, so that both hear the words there whole.
const OVERLAP_MS: u64 = 500;
/// Most lanes at once; past it a break is replayed as it is.
const MAX_LANES: usize = 8;
/// Most finals that are held; past it the head is given up.
const MAX_HELD: usize = 512;
/// Audio that was sent within this time before now is being spoken.
const FLOWING: Duration = Duration::from_secs(1);
/// How long a lane that was overtaken may fail, and how long a live one without new audio.
const BUDGET: Duration = Duration::from_secs(30);
/// How long a resumed client may take to send what it had kept.
const CATCHING_UP: Duration = Duration::from_secs(5);
/// How long the provider must be away before audio is let go of.
const AWAY: Duration = Duration::from_secs(20);
/// Audio that was let go of is declared in pieces of at most this length.
const LOST_MS: u64 = 10_000;
/// How long the last words may take: less than the session waits for them.
const FINISHING: Duration = Duration::from_secs(37);

/// What is to be done.
#[derive(Debug)]
pub enum Order {
    /// Make a connection of that number.
    Connect(Link, Request),
    /// Let go of that connection.
    Leave(Link),
}

/// What is to be counted or logged.
#[derive(Debug)]
pub enum Notice {
    /// A connection broke in mid-stream.
    Broke {
        /// Whose.
        provider: &'static str,
        /// Why.
        error: ProviderError,
        /// When the next attempt is due, if there is one.
        delay: Option<Duration>,
    },
    /// A connection went to another provider than the one that failed.
    Over {
        /// Who failed.
        from: &'static str,
        /// Who was asked instead.
        to: &'static str,
        /// What came of it.
        outcome: Outcome,
    },
    /// An attempt to connect failed and is repeated after a while.
    Refused {
        /// By whom.
        provider: &'static str,
        /// Why.
        error: ProviderError,
        /// When the next attempt is due.
        delay: Duration,
    },
}

/// What came of asking another provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was asked, be it again.
    Attempted,
    /// Finals came from it, or the proof of silence.
    Succeeded,
}

impl Outcome {
    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attempted => "attempted",
            Self::Succeeded => "succeeded",
        }
    }
}

/// The session's audio, its lanes, and what is to be told.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "lanes are what it is made of")]
pub struct Lanes {
    options: StreamOptions,
    /// Who can transcribe it, the first choice first.
    providers: Vec<&'static str>,
    /// Whose times are estimated: a seam would cut their words anywhere.
    estimating: Vec<&'static str>,
    ring: Ring,
    lanes: VecDeque<Lane>,
    voices: Voices,
    out: VecDeque<Upstreamed>,
    leaving: Vec<Link>,
    notices: VecDeque<Notice>,
    /// F: up to where everything was told.
    told_ms: u64,
    next_link: u64,
    /// The provider gives us one connection only: the head's.
    alone: bool,
    /// Until when a resumed client still sends what it had kept.
    catching_up: Option<Instant>,
    pushed_at: Option<Instant>,
    finishing: Option<Instant>,
    was_late: bool,
    /// What was let go of since the provider went away, in milliseconds.
    let_go_ms: u64,
    over: bool,
    chance: fn() -> f64,
}

/// Where a session's audio begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    /// Milliseconds of session audio that were done with before.
    pub ms: u64,
    /// Numbers that speakers were given before.
    pub speakers: u32,
}

impl Lanes {
    /// One live lane without audio, for these providers; `chance` gives numbers between 0 and 1 for
    /// delays.
    pub fn new(
        options: StreamOptions,
        providers: Vec<&'static str>,
        origin: Option<Origin>,
        chance: fn() -> f64,
    ) -> Self {
        let Origin { ms, speakers } = origin.unwrap_or_default();
        let ring = Ring::new(options.format, ms);
        let begins_ms = if ring.is_raw() { ms } else { 0 };
        let mut lane = Lane::live(begins_ms, options.billed_channels());
        lane.replays = origin.is_some();
        Self {
            ring,
            lanes: VecDeque::from([lane]),
            voices: Voices::after(speakers),
            options,
            providers,
            estimating: Vec::new(),
            out: VecDeque::new(),
            leaving: Vec::new(),
            notices: VecDeque::new(),
            told_ms: begins_ms,
            next_link: 0,
            alone: false,
            catching_up: None,
            pushed_at: None,
            finishing: None,
            was_late: false,
            let_go_ms: 0,
            over: false,
            chance,
        }
    }

    /// The same where the times of these providers are estimated: their audio is in one piece.
    pub fn with_estimates_of(self, estimating: Vec<&'static str>) -> Self {
        Self { estimating, ..self }
    }

    /// Whether that provider measures the times of words.
    fn measures(&self, provider: &'static str) -> bool {
        !self.estimating.contains(&provider)
    }

    /// Whether a resumed client still sends what it had kept.
    fn is_catching_up(&self, now: Instant) -> bool {
        self.catching_up.is_some_and(|until| now < until)
    }

    /// Whether it can take more audio now.
    pub fn has_room(&self, now: Instant) -> bool {
        let overtaking = self.lanes.len() > 1 && self.is_open();
        self.ring.has_room(overtaking) || self.may_let_go(now)
    }

    /// Takes audio; returns where it ends in session audio, for raw audio.
    pub fn push(&mut self, chunk: AudioChunk, now: Instant) -> Option<u64> {
        if self.pushed_at.replace(now).is_none() && self.lanes[0].replays {
            self.catching_up = Some(now + CATCHING_UP);
        }
        let end_ms = self.ring.push(chunk);
        while !self.ring.has_room(false) && self.may_let_go(now) && self.let_go() {}
        end_ms
    }

    /// No more audio comes.
    pub fn finish(&mut self, now: Instant) {
        self.finishing.get_or_insert(now);
        self.catching_up = None;
    }

    /// The next thing to tell.
    pub fn told(&mut self) -> Option<Upstreamed> {
        let told = self.out.pop_front()?;
        match told {
            Upstreamed::Covered { until_ms, .. } => self.told_ms = self.told_ms.max(until_ms),
            Upstreamed::Gap { to_ms, .. } => self.told_ms = self.told_ms.max(to_ms),
            _ => {}
        }
        Some(told)
    }

    /// The next thing to count or log.
    pub fn notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// F: the end of the last final that was told, in milliseconds of session audio.
    pub const fn covered_ms(&self) -> u64 {
        self.told_ms
    }

    fn index_of(&self, link: Link) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.tie.link() == Some(link))
    }

    /// Whether any connection is open.
    fn is_open(&self) -> bool {
        self.lanes.iter().any(|lane| lane.tie.talk().is_some())
    }

    /// Tells what belongs to a lane, or holds it until the lanes before are done.
    fn tell(&mut self, at: usize, told: Upstreamed) {
        if at == 0 {
            return self.out.push_back(told);
        }
        let held = &mut self.lanes[at].held;
        match (held.back_mut(), &told) {
            (
                Some(Upstreamed::Covered { until_ms, provider }),
                Upstreamed::Covered { until_ms: newer_ms, provider: newer },
            ) if provider == newer => *until_ms = *newer_ms,
            _ => held.push_back(told),
        }
    }

    /// Where a lane ends, as far as there is audio.
    fn end_of(&self, at: usize) -> Option<u64> {
        let end_ms = self.ring.end_ms()?;
        Some(self.lanes[at].until_ms.map_or(end_ms, |until_ms| until_ms.min(end_ms)))
    }

    /// Lets go of audio that no lane needs.
    fn free(&mut self) {
        let need = |lane: &Lane| {
            let fed_ms = lane.tie.talk().and_then(|talk| self.ring.fed_ms(&talk.cursor));
            let from_ms = fed_ms.map_or(lane.covered_ms, |fed_ms| fed_ms.min(lane.covered_ms));
            (from_ms, lane.until_ms.map_or(u64::MAX, |until_ms| until_ms + OVERLAP_MS))
        };
        let needed: Vec<_> = self.lanes.iter().map(need).collect();
        self.ring.keep(&needed);
    }

    /// Lets go of what is done, and goes on with what waited for it.
    fn settle(&mut self) {
        while self.lanes.front().is_some_and(Lane::is_done) {
            self.declare(0);
            let Some(done) = self.lanes.pop_front() else { break };
            self.leaving.extend(done.tie.link());
            if let Some(head) = self.lanes.front_mut() {
                self.out.extend(head.held.drain(..));
            }
            self.free();
        }
        if self.lanes.is_empty() && !self.over {
            self.over = true;
            self.out.push_back(Upstreamed::Finished);
        }
    }

    /// Ends the session with an error.
    fn fail(&mut self, error: ProviderError) {
        if !self.over {
            self.over = true;
            self.leaving.extend(self.lanes.iter().filter_map(|lane| lane.tie.link()));
            self.lanes.clear();
            self.out.push_back(Upstreamed::Failed(error));
        }
    }
}
