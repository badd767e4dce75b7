//! Seeded histories of one session, its client, its owners and what is stored, without any I/O:
//! whatever dies or freezes when, every moment of audio is said once and in order, or is a gap.

use std::{collections::BTreeMap, time::Instant};

use proptest::{collection::vec, prelude::*};
use uuid::Uuid;

use super::{bookmark::Bookmark, progress::Progress, resumption::Wanted, wire::Report};
use crate::model::{AudioChunk, AudioFormat, RawFormat, SessionId};

const RAW: RawFormat = RawFormat::DEFAULT;
/// Bytes of a millisecond.
const MILLISECOND: usize = 32;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Act {
    /// The client records so many bytes, and sends them where it has a socket.
    Speak(usize),
    /// The provider of some owner says a final that long, or as long as there is audio.
    Say(usize, u64),
    /// It hears silence for that long.
    Hush(usize, u64),
    /// So much of what some owner said is stored.
    Tell(usize, usize),
    /// The owner that the client talks to acknowledges what is stored.
    Acknowledge,
    /// The client has said everything, and stops where it has a socket.
    Stop,
    /// The owner that some stop reached says the rest, and ends the session.
    Finish(usize),
    /// The client's network breaks; its owner does not notice.
    Cut,
    /// The replica of some owner dies.
    Kill(usize),
    /// The client's buffer overflows by so many chunks.
    Overflow(usize),
    /// The client goes on elsewhere.
    Resume,
}

/// Acts with chunks of whole units of so many bytes.
fn act(unit: usize) -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (1..8_000 / unit).prop_map(move |units| Act::Speak(units * unit)),
        4 => (any::<usize>(), 1_u64..3_000).prop_map(|(who, ms)| Act::Say(who, ms)),
        2 => (any::<usize>(), 1_u64..3_000).prop_map(|(who, ms)| Act::Hush(who, ms)),
        4 => (any::<usize>(), 1_usize..4).prop_map(|(who, count)| Act::Tell(who, count)),
        3 => Just(Act::Acknowledge),
        1 => Just(Act::Stop),
        2 => any::<usize>().prop_map(Act::Finish),
        1 => Just(Act::Cut),
        1 => any::<usize>().prop_map(Act::Kill),
        1 => (1_usize..4).prop_map(Act::Overflow),
        2 => Just(Act::Resume),
    ]
}

/// What stands under a number: words or a gap, from when to when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    from_ms: u64,
    to_ms: u64,
    is_gap: bool,
}

struct Owner {
    fence: u64,
    progress: Progress,
    covered_ms: u64,
    told_ms: u64,
    next_seq: u64,
    /// Whether the client's stop reached it, and whether it has ended the session.
    is_stopped: bool,
    has_ended: bool,
    /// What is not stored yet: a record if there is one, and where the session stands after it.
    untold: Vec<(Option<(u64, Item)>, Bookmark)>,
}

impl Owner {
    fn take(&mut self, seq: u64, bytes: usize) {
        let mut chunk =
            AudioChunk { seq, bytes: vec![0; bytes].into(), received_at: Instant::now() };
        self.next_seq = seq + 1;
        self.progress.trim(&mut chunk);
        self.progress.take(&chunk, None);
    }

    /// The end has a number too, which only those hear who watch.
    fn end(&mut self) {
        self.has_ended = true;
        let stands = self.progress.bookmark(Uuid::nil(), self.covered_ms);
        let over = Bookmark { n: stands.n + 1, ..stands };
        self.untold.push((None, over.finished(self.progress.received_ms, self.next_seq)));
    }

    fn number(&mut self, item: Item) -> (u64, Item) {
        self.progress.last_n += 1;
        self.covered_ms = item.to_ms;
        let stands = self.progress.bookmark(Uuid::nil(), item.to_ms);
        self.untold.push((Some((self.progress.last_n, item)), stands));
        (self.progress.last_n, item)
    }

    fn hush(&mut self, to_ms: u64) {
        self.covered_ms = to_ms;
        self.untold.push((None, self.progress.bookmark(Uuid::nil(), to_ms)));
    }
}

/// Everything in the world.
struct World {
    /// Bytes of each chunk that the client recorded, and the first that it still has.
    chunks: Vec<usize>,
    kept_from: usize,
    /// What the client holds for said.
    said: BTreeMap<u64, Item>,
    owners: Vec<Owner>,
    /// Which of them the client talks to.
    socket: Option<u64>,
    fence: u64,
    stands: Bookmark,
    stored: BTreeMap<u64, Item>,
    /// Where audio ended that the client let go of before it was acknowledged.
    dropped_ms: u64,
    /// Whether the client says no more, and whether it has heard that the session is over.
    stops: bool,
    is_over: bool,
}

impl World {
    fn new() -> Self {
        let stands = Bookmark { format: Some(RAW), ..Bookmark::default() };
        let mut world = Self {
            chunks: Vec::new(),
            kept_from: 0,
            said: BTreeMap::new(),
            owners: Vec::new(),
            socket: None,
            fence: 0,
            stands,
            stored: BTreeMap::new(),
            dropped_ms: 0,
            stops: false,
            is_over: false,
        };
        world.resume();
        world
    }

    fn start_ms(&self, chunk: usize) -> u64 {
        let bytes: usize = self.chunks[..chunk].iter().sum();
        RAW.bytes_to_ms(bytes as u64).unwrap()
    }

    fn some(&mut self, who: usize) -> Option<&mut Owner> {
        let at = who.checked_rem(self.owners.len())?;
        self.owners.get_mut(at)
    }

    fn talks_to(&mut self) -> Option<&mut Owner> {
        let fence = self.socket?;
        self.owners.iter_mut().find(|owner| owner.fence == fence)
    }

    fn run(&mut self, act: &Act) {
        match *act {
            Act::Speak(_) if self.stops => {}
            Act::Speak(bytes) => {
                let seq = self.chunks.len() as u64;
                self.chunks.push(bytes);
                if let Some(owner) = self.talks_to() {
                    owner.take(seq, bytes);
                }
            }
            Act::Say(who, ms) => self.say(who, ms),
            Act::Hush(who, ms) => {
                let Some(owner) = self.some(who).filter(|owner| !owner.has_ended) else { return };
                let to_ms = (owner.covered_ms + ms).min(owner.progress.received_ms);
                owner.hush(to_ms);
            }
            Act::Stop => {
                self.stops = true;
                if let Some(owner) = self.talks_to() {
                    owner.is_stopped = true;
                }
            }
            Act::Finish(who) => {
                if self.some(who).is_some_and(|owner| owner.is_stopped && !owner.has_ended) {
                    self.say(who, u64::MAX / 2);
                    self.some(who).expect("it was there").end();
                }
            }
            Act::Tell(who, count) => self.tell(who, count),
            Act::Acknowledge => self.acknowledge(),
            Act::Cut => self.socket = None,
            Act::Kill(who) => {
                if let Some(at) = who.checked_rem(self.owners.len()) {
                    let dead = self.owners.remove(at);
                    self.socket = self.socket.filter(|fence| *fence != dead.fence);
                }
            }
            Act::Overflow(count) => {
                let until = (self.kept_from + count).min(self.chunks.len());
                // A chunk that a socket carries is not lost by being let go of.
                if self.socket.is_none() && until > self.kept_from {
                    self.kept_from = until;
                    self.dropped_ms = self.start_ms(until);
                }
            }
            Act::Resume => self.resume(),
        }
    }

    fn say(&mut self, who: usize, ms: u64) {
        let socket = self.socket;
        let Some(owner) = self.some(who).filter(|owner| !owner.has_ended) else { return };
        let to_ms = (owner.covered_ms + ms).min(owner.progress.received_ms);
        if to_ms == owner.covered_ms {
            return;
        }
        let from_ms = owner.covered_ms;
        let (n, item) = owner.number(Item { from_ms, to_ms, is_gap: false });
        if socket == Some(owner.fence) {
            self.said.insert(n, item);
        }
    }

    /// What Redis does: nothing for an owner of the past.
    fn tell(&mut self, who: usize, count: usize) {
        let Some(at) = who.checked_rem(self.owners.len()) else { return };
        if self.owners[at].fence < self.fence {
            let zombie = self.owners.remove(at);
            self.socket = self.socket.filter(|fence| *fence != zombie.fence);
            return;
        }
        let owner = &mut self.owners[at];
        let count = count.min(owner.untold.len());
        for (record, stands) in owner.untold.drain(..count) {
            owner.told_ms = stands.covered_ms;
            self.stored.extend(record);
            self.stands = stands;
        }
    }

    fn acknowledge(&mut self) {
        let covered_ms = self.stands.covered_ms;
        let Some(owner) = self.talks_to() else { return };
        let acked_ms = owner.told_ms;
        let acked = owner.progress.timeline.acknowledge(acked_ms);
        assert!(acked_ms <= covered_ms, "only what the next owner finds is acknowledged");
        self.kept_from = self.kept_from.max(acked.map_or(0, |seq| seq as usize + 1));
    }

    /// A second socket wins; its owner finds what is stored.
    fn resume(&mut self) {
        if let Some(report) = self.stands.report() {
            return self.hear_end(&report);
        }
        self.fence += 1;
        let wanted = Wanted {
            session: SessionId(Uuid::nil()),
            token: String::new(),
            next_seq: self.chunks.len() as u64,
            last_n: self.said.last_key_value().map_or(0, |(n, _)| *n),
            oldest: Some((self.kept_from as u64, self.start_ms(self.kept_from))),
        };
        let mut stands = self.stands.clone();
        self.said.retain(|n, _| *n <= stands.n);
        let missed = self.stored.range(wanted.last_n + 1..).map(|(n, item)| (*n, *item));
        self.said.extend(missed.collect::<Vec<_>>());
        let gap = wanted.move_on(&mut stands).expect("the client has what it said it has");
        let mut owner = Owner {
            fence: self.fence,
            progress: Progress::from(&stands, AudioFormat::Raw(RAW), 1),
            covered_ms: stands.covered_ms,
            told_ms: self.stands.covered_ms,
            next_seq: stands.next_seq,
            is_stopped: self.stops,
            has_ended: false,
            untold: Vec::new(),
        };
        if let Some((from_ms, to_ms)) = gap {
            assert!(to_ms <= self.dropped_ms + 1, "no more is lost than the client let go of");
            owner.progress.lose(to_ms - from_ms, "client_buffer");
            let (n, item) = owner.number(Item { from_ms, to_ms, is_gap: true });
            self.said.insert(n, item);
        }
        for seq in stands.next_seq..self.chunks.len() as u64 {
            owner.take(seq, self.chunks[seq as usize]);
        }
        self.owners.push(owner);
        self.socket = Some(self.fence);
    }

    /// The session was stopped and is over: what was missed is told again, and no audio is wanted.
    fn hear_end(&mut self, report: &Report) {
        let last_n = self.stands.n - 1;
        self.said.retain(|n, _| *n <= last_n);
        let last_seen = self.said.last_key_value().map_or(0, |(n, _)| *n);
        let missed = self.stored.range(last_seen + 1..).map(|(n, item)| (*n, *item));
        self.said.extend(missed.collect::<Vec<_>>());
        assert_eq!(self.stands.next_seq, self.chunks.len() as u64, "all of it came in");
        assert_eq!(report.transcribed_ms + report.lost_ms, self.stands.covered_ms);
        (self.is_over, self.socket) = (true, None);
    }

    /// Whatever is left is said and stored.
    fn finish(&mut self) {
        self.resume();
        if self.is_over {
            return;
        }
        let at = self.owners.len() - 1;
        self.say(at, u64::MAX / 2);
        self.tell(at, usize::MAX);
    }

    /// Positions are whole milliseconds: where chunks are not, each resumption may round down once.
    fn check(&self, slack_ms: u64) {
        assert_eq!(self.said, self.stored, "who speaks and who watches have the same");
        let mut until_ms = 0;
        for (at, (n, item)) in self.said.iter().enumerate() {
            assert_eq!(*n, at as u64 + 1, "numbers follow each other");
            assert!(item.from_ms >= until_ms, "{item:?} after {until_ms}");
            until_ms = item.to_ms;
        }
        let lost: u64 = self.stands.lost.iter().map(|(_, ms)| ms).sum();
        let gaps = self.said.values().filter(|item| item.is_gap);
        assert_eq!(lost, gaps.map(|gap| gap.to_ms - gap.from_ms).sum::<u64>());
        let all_ms = self.start_ms(self.chunks.len());
        let missing_ms = all_ms.checked_sub(self.stands.covered_ms);
        assert!(missing_ms.is_some_and(|ms| ms <= slack_ms), "{missing_ms:?} of {all_ms} ms");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_moment_is_said_once_or_is_a_gap(acts in vec(act(MILLISECOND), 1..80)) {
        live_through(&acts).check(0);
    }

    #[test]
    fn chunks_of_any_size_drift_by_a_millisecond_at_most(acts in vec(act(2), 1..80)) {
        let world = live_through(&acts);
        world.check(world.fence);
    }
}

fn live_through(acts: &[Act]) -> World {
    let mut world = World::new();
    for act in acts {
        world.run(act);
    }
    world.finish();
    world
}
