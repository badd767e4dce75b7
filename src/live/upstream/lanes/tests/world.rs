//! A session that speaks a script to providers that fail by chance, and what it was told.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{
    super::{
        Lanes, MAX_HELD, MAX_LANES, Notice, Opening, Order, Origin, Outgoing, Request, Upstreamed,
    },
    dice::Dice,
    provider::{Recognizer, Script},
};
use crate::{
    live::upstream::lane::Link,
    model::{AudioChunk, AudioFormat, Encoding, Language, RawFormat},
    providers::{
        CloseReason, Closed, Endpointing, ErrorClass, ProviderError, StreamEvent, StreamOptions,
    },
};

/// A sample a millisecond, which says which millisecond it is.
const FORMAT: RawFormat =
    RawFormat { encoding: Encoding::Linear16, sample_rate: 1000, channels: 1 };
pub const STEP: Duration = Duration::from_millis(50);

/// What a history is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Milliseconds of audio.
    pub length_ms: u64,
    /// Whether connections fail at all.
    pub trouble: bool,
    /// When each provider cannot be reached, in milliseconds of the history; the second is only there
    /// if it is given.
    pub outage: (u64, u64),
    pub second: Option<(u64, u64)>,
    /// Connections that the provider allows.
    pub most: usize,
    /// Where a resumed session begins, and what its client had kept.
    pub resumed: Option<(u64, u64)>,
    /// Whether trouble ends with the audio.
    pub heals: bool,
    /// Whether the times of the first provider are estimated.
    pub estimates: bool,
}

const NAMES: [&str; 2] = ["first", "second"];

enum Connection {
    Dialing(Instant, usize),
    Open(Recognizer, usize),
}

pub struct World {
    pub plan: Plan,
    pub lanes: Lanes,
    pub script: Script,
    pub told: Vec<Upstreamed>,
    pub over: bool,
    pub links: u64,
    /// By whom audio was refused for good: if by all, that may end a session.
    pub poisoned: [bool; 2],
    /// The most lanes there were.
    pub widest: usize,
    /// Connections that each provider has opened.
    pub opened: [u64; 2],
    pub notices: Vec<Notice>,
    dice: Dice,
    now: Instant,
    begun: Instant,
    connections: HashMap<Link, Connection>,
    pub spoken_ms: u64,
    seq: u64,
    paused: bool,
    finished: bool,
    looked: Instant,
}

fn options() -> StreamOptions {
    StreamOptions {
        language: Language::ENGLISH,
        model: None,
        format: AudioFormat::Raw(FORMAT),
        interim_results: true,
        punctuate: false,
        smart_format: false,
        diarize: false,
        multichannel: false,
        numerals: false,
        profanity_filter: false,
        vad_events: false,
        keyterms: Vec::new(),
        endpointing: Endpointing::Default,
        utterance_end_ms: None,
        report_sent: false,
    }
}

impl Plan {
    fn providers(&self) -> usize {
        1 + usize::from(self.second.is_some())
    }
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let mut dice = Dice::new(plan.seed);
        let origin_ms = plan.resumed.map_or(0, |(origin_ms, _)| origin_ms);
        let mut script = Vec::new();
        let mut at = origin_ms + dice.between(0, 1000);
        while at < origin_ms + plan.length_ms {
            let end = at + dice.between(60, 700);
            script.push((at, end));
            at = end + if dice.chance(15) { dice.between(0, 3000) } else { dice.between(0, 80) };
        }
        script.retain(|word: &(u64, u64)| word.1 <= origin_ms + plan.length_ms);
        let origin = plan.resumed.map(|(ms, _)| Origin { ms, speakers: 0 });
        let now = Instant::now();
        let estimating = NAMES[..usize::from(plan.estimates)].to_vec();
        let lanes = Lanes::new(options(), NAMES[..plan.providers()].to_vec(), origin, || 0.5);
        Self {
            lanes: lanes.with_estimates_of(estimating),
            told: Vec::new(),
            over: false,
            links: 0,
            poisoned: [false, plan.second.is_none()],
            widest: 1,
            opened: [0, 0],
            notices: Vec::new(),
            dice,
            now,
            begun: now,
            connections: HashMap::new(),
            spoken_ms: origin_ms,
            seq: 0,
            paused: false,
            finished: false,
            looked: now,
            script,
            plan,
        }
    }

    pub fn end_ms(&self) -> u64 {
        self.plan.resumed.map_or(0, |(origin_ms, _)| origin_ms) + self.plan.length_ms
    }

    /// Lives to the end, or for as long as a session may at most.
    pub fn live(&mut self) {
        if let Some((_, backlog_ms)) = self.plan.resumed {
            self.speak(backlog_ms.min(self.plan.length_ms));
            if self.dice.chance(50) {
                self.work();
            }
            self.lanes.live_from_here(self.now);
        }
        let most = self.plan.length_ms * 2 + 200_000;
        while !self.over && self.elapsed_ms() < most {
            self.step();
        }
    }

    fn elapsed_ms(&self) -> u64 {
        (self.now - self.begun).as_millis() as u64
    }

    fn is_out(&self, provider: usize) -> bool {
        let outages = [Some(self.plan.outage), self.plan.second];
        let (from, until) = outages[provider].unwrap_or_default();
        let healed = self.plan.heals && self.finished;
        !healed && (from..until).contains(&self.elapsed_ms())
    }

    fn in_trouble(&self) -> bool {
        self.plan.trouble && !(self.plan.heals && self.finished)
    }

    fn step(&mut self) {
        self.now += STEP;
        if self.dice.chance(1) {
            self.paused = !self.paused && self.dice.chance(50);
        }
        if !self.paused && self.lanes.has_room(self.now) {
            let burst = if self.dice.chance(2) { 20 } else { 1 };
            self.speak(burst * STEP.as_millis() as u64);
        }
        if self.spoken_ms >= self.end_ms() && !self.finished {
            self.finished = true;
            self.lanes.finish(self.now);
        }
        self.work();
        if self.now - self.looked >= Duration::from_secs(1) {
            self.looked = self.now;
            self.hurry();
        }
    }

    fn speak(&mut self, ms: u64) {
        let until = (self.spoken_ms + ms).min(self.end_ms());
        while self.spoken_ms < until {
            let end = (self.spoken_ms + self.dice.between(10, 200)).min(until);
            let bytes: Vec<u8> =
                (self.spoken_ms..end).flat_map(|ms| (ms as u16).to_le_bytes()).collect();
            let chunk = AudioChunk { seq: self.seq, bytes: bytes.into(), received_at: self.now };
            assert_eq!(self.lanes.push(chunk, self.now), Some(end));
            (self.spoken_ms, self.seq) = (end, self.seq + 1);
        }
    }

    fn work(&mut self) {
        self.obey();
        let mut links: Vec<_> = self.connections.keys().copied().collect();
        links.sort_by_key(|link| link.0);
        for link in links {
            self.serve(link);
            self.obey();
        }
    }

    fn obey(&mut self) {
        self.lanes.tick(self.now);
        while let Some(order) = self.lanes.order(self.now) {
            match order {
                Order::Leave(link) => drop(self.connections.remove(&link)),
                Order::Connect(link, request) => self.dial(link, &request),
            }
        }
        assert!(self.connections.len() <= 2, "at most two connections");
        while let Some(notice) = self.lanes.notice() {
            self.notices.push(notice);
        }
        let before = self.lanes.covered_ms();
        while let Some(told) = self.lanes.told() {
            self.over |= matches!(told, Upstreamed::Finished | Upstreamed::Failed(_));
            self.told.push(told);
        }
        assert!(self.lanes.covered_ms() >= before, "F goes back");
        assert!(self.lanes.lanes.len() <= MAX_LANES);
        self.widest = self.widest.max(self.lanes.lanes.len());
        let held: usize = self.lanes.lanes.iter().map(|lane| lane.held.len()).sum();
        assert!(held <= MAX_HELD, "{held} finals are held");
    }

    /// Asks who is to be asked; now and then nobody may be.
    fn dial(&mut self, link: Link, request: &Request) {
        let Some(name) = request.order.first() else {
            let error = request.error.clone().expect("a reason");
            return self.lanes.hopeless(link, error);
        };
        if self.in_trouble() && self.dice.chance(10) {
            let wait = Duration::from_millis(self.dice.between(0, 3_000));
            return self.lanes.held(link, wait, self.now);
        }
        let provider = NAMES.iter().position(|known| known == name).expect("one of them");
        let due = self.now + Duration::from_millis(self.dice.between(0, 600));
        self.connections.insert(link, Connection::Dialing(due, provider));
        self.links += 1;
    }

    fn serve(&mut self, link: Link) {
        let Some(connection) = self.connections.remove(&link) else { return };
        match connection {
            Connection::Dialing(due, _) if due > self.now => {
                self.connections.insert(link, connection);
            }
            Connection::Dialing(_, provider) => self.answer(link, provider),
            Connection::Open(recognizer, provider) => {
                self.connections.insert(link, Connection::Open(recognizer, provider));
                self.talk(link);
            }
        }
    }

    fn answer(&mut self, link: Link, provider: usize) {
        let of = |c: &&Connection| matches!(c, Connection::Open(_, of) if *of == provider);
        let open = self.connections.values().filter(of).count();
        let any = self.connections.values().any(|c| matches!(c, Connection::Open(..)));
        let class = if open >= self.plan.most {
            Some(ErrorClass::RateLimited)
        } else if self.is_out(provider) || (self.in_trouble() && self.dice.chance(25)) {
            Some(ErrorClass::Unavailable)
        } else if self.in_trouble() && any && self.dice.chance(2) {
            Some(ErrorClass::Poison)
        } else {
            None
        };
        if let Some(class) = class {
            self.poisoned[provider] |= class == ErrorClass::Poison;
            let error = ProviderError::new(class, "refused", "as planned");
            return self.lanes.refused(link, NAMES[provider], error, self.now);
        }
        let trouble = self.in_trouble();
        self.opened[provider] += 1;
        let recognizer = Recognizer::new(&mut self.dice, self.now, trouble);
        self.connections.insert(link, Connection::Open(recognizer, provider));
        let (provider, model) = (NAMES[provider], String::new());
        self.lanes.opened(link, Opening { provider, model, request_id: None }, self.now);
    }

    fn talk(&mut self, link: Link) {
        let Some(Connection::Open(_, provider)) = self.connections.get(&link) else { return };
        let (provider, out) = (*provider, self.is_out(*provider));
        let poisons = self.plan.second.is_some()
            && self.in_trouble()
            && self.dice.chance(1)
            && self.dice.chance(20);
        let Some(Connection::Open(recognizer, _)) = self.connections.get_mut(&link) else { return };
        if out {
            recognizer.breaks_at = Some(self.now);
        }
        if poisons && recognizer.has_heard() {
            self.poisoned[provider] = true;
            let error = ProviderError::new(ErrorClass::Poison, "poison", "as planned");
            let closed = Closed { reason: CloseReason::Failed(error), audio_ms: None };
            return self.lanes.heard(link, StreamEvent::Closed(closed), self.now);
        }
        for event in recognizer.events(self.now) {
            self.lanes.heard(link, event, self.now);
        }
        loop {
            match self.lanes.outgoing(link, self.now) {
                Outgoing::Audio(chunk) => {
                    recognizer.hear(&chunk.bytes, &self.script, self.now);
                    self.lanes.sent(link, &chunk, self.now);
                }
                Outgoing::Close => {
                    recognizer.close(&self.script, self.now);
                    self.lanes.closing(link);
                }
                Outgoing::Nothing | Outgoing::Later(_) => break,
            }
        }
    }

    /// As a session does every second.
    fn hurry(&mut self) {
        let waiting = self.spoken_ms.saturating_sub(self.lanes.covered_ms());
        if waiting < 20_000 || self.lanes.is_short() {
            return;
        }
        let Some(link) = self.lanes.live_link() else { return };
        if let Some(Connection::Open(recognizer, _)) = self.connections.get_mut(&link) {
            recognizer.finalize(&self.script, self.now);
            self.lanes.asked(link, self.now);
        }
    }
}
