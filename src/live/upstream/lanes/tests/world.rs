//! A session that speaks a script to providers that fail by chance, and what it was told.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{
    super::{Lanes, MAX_HELD, MAX_LANES, Opening, Order, Origin, Outgoing, Upstreamed},
    dice::Dice,
    provider::{Recognizer, Script},
};
use crate::{
    live::upstream::lane::Link,
    model::{AudioChunk, AudioFormat, Encoding, Language, RawFormat},
    providers::{Endpointing, ErrorClass, ProviderError, StreamOptions},
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
    /// When nobody can be reached, in milliseconds of the history.
    pub outage: (u64, u64),
    /// Connections that the provider allows.
    pub most: usize,
    /// Where a resumed session begins, and what its client had kept.
    pub resumed: Option<(u64, u64)>,
    /// Whether trouble ends with the audio.
    pub heals: bool,
}

enum Connection {
    Dialing(Instant),
    Open(Recognizer),
}

pub struct World {
    pub plan: Plan,
    pub lanes: Lanes,
    pub script: Script,
    pub told: Vec<Upstreamed>,
    pub over: bool,
    pub links: u64,
    /// Whether audio was refused for good, which may end a session.
    pub poisoned: bool,
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
        Self {
            lanes: Lanes::new(options(), origin, || 0.5),
            told: Vec::new(),
            over: false,
            links: 0,
            poisoned: false,
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

    fn is_out(&self) -> bool {
        let (from, until) = self.plan.outage;
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
                Order::Connect(link, request) => match request.avoided.into_iter().next() {
                    Some((_, error)) => self.lanes.hopeless(link, error),
                    None => {
                        let due = self.now + Duration::from_millis(self.dice.between(0, 600));
                        self.connections.insert(link, Connection::Dialing(due));
                        self.links += 1;
                    }
                },
            }
        }
        assert!(self.connections.len() <= 2, "at most two connections");
        while self.lanes.notice().is_some() {}
        let before = self.lanes.covered_ms();
        while let Some(told) = self.lanes.told() {
            self.over |= matches!(told, Upstreamed::Finished | Upstreamed::Failed(_));
            self.told.push(told);
        }
        assert!(self.lanes.covered_ms() >= before, "F goes back");
        assert!(self.lanes.lanes.len() <= MAX_LANES);
        let held: usize = self.lanes.lanes.iter().map(|lane| lane.held.len()).sum();
        assert!(held <= MAX_HELD, "{held} finals are held");
    }

    fn serve(&mut self, link: Link) {
        let Some(connection) = self.connections.remove(&link) else { return };
        match connection {
            Connection::Dialing(due) if due > self.now => {
                self.connections.insert(link, connection);
            }
            Connection::Dialing(_) => self.answer(link),
            Connection::Open(recognizer) => {
                self.connections.insert(link, Connection::Open(recognizer));
                self.talk(link);
            }
        }
    }

    fn answer(&mut self, link: Link) {
        let open = self.connections.values().filter(|c| matches!(c, Connection::Open(_))).count();
        let class = if open >= self.plan.most {
            Some(ErrorClass::RateLimited)
        } else if self.is_out() || (self.in_trouble() && self.dice.chance(25)) {
            Some(ErrorClass::Unavailable)
        } else if self.in_trouble() && open > 0 && self.dice.chance(2) {
            Some(ErrorClass::Poison)
        } else {
            None
        };
        if let Some(class) = class {
            self.poisoned |= class == ErrorClass::Poison;
            let error = ProviderError::new(class, "refused", "as planned");
            return self.lanes.refused(link, "model", error, self.now);
        }
        let trouble = self.in_trouble();
        let recognizer = Recognizer::new(&mut self.dice, self.now, trouble);
        self.connections.insert(link, Connection::Open(recognizer));
        let opening = Opening { provider: "model", model: String::new(), request_id: None };
        self.lanes.opened(link, opening, self.now);
    }

    fn talk(&mut self, link: Link) {
        let out = self.is_out();
        let Some(Connection::Open(recognizer)) = self.connections.get_mut(&link) else { return };
        if out {
            recognizer.breaks_at = Some(self.now);
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
        if let Some(Connection::Open(recognizer)) = self.connections.get_mut(&link) {
            recognizer.finalize(&self.script, self.now);
            self.lanes.asked(link, self.now);
        }
    }
}
