//! A model of a provider: it reads the time off the audio itself, and says a script's words.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::dice::Dice;
use crate::{
    model::{Segment, Timing, Word},
    providers::{CloseReason, Closed, ErrorClass, ProviderError, StreamEvent},
};

/// Words of the session, each with its beginning and end in milliseconds.
pub type Script = Vec<(u64, u64)>;

/// One connection at the provider's end.
#[derive(Debug)]
pub struct Recognizer {
    /// Session time of the first sample, and of the one to come.
    heard: Option<(u64, u64)>,
    segment_ms: u64,
    longest_ms: u64,
    next_interim_ms: u64,
    latency: Duration,
    outbox: VecDeque<(Instant, StreamEvent)>,
    /// Hears everything and says nothing.
    pub mute: bool,
    pub breaks_at: Option<Instant>,
    pub closed: bool,
}

impl Recognizer {
    pub fn new(dice: &mut Dice, now: Instant, trouble: bool) -> Self {
        let breaks = trouble && dice.chance(60);
        Self {
            heard: None,
            segment_ms: 0,
            longest_ms: dice.between(800, 5_000),
            next_interim_ms: 0,
            latency: Duration::from_millis(dice.between(0, 900)),
            outbox: VecDeque::new(),
            mute: trouble && dice.chance(5),
            breaks_at: breaks.then(|| now + Duration::from_millis(dice.between(0, 20_000))),
            closed: false,
        }
    }

    /// Takes audio whose samples are milliseconds of the session, each the successor of the last.
    pub fn hear(&mut self, bytes: &[u8], script: &Script, now: Instant) {
        assert!(!self.closed, "audio after the close");
        for sample in bytes.chunks_exact(2) {
            let low = u64::from(u16::from_le_bytes([sample[0], sample[1]]));
            let (_, next) = self.heard.get_or_insert_with(|| {
                (self.segment_ms, self.next_interim_ms) = (low, low + 500);
                (low, low)
            });
            assert_eq!(*next, low, "audio has a hole, or comes twice");
            *next += 1;
            let heard_ms = *next;
            if heard_ms >= self.segment_ms + self.longest_ms {
                let inside = script.iter().find(|word| word.0 < heard_ms && heard_ms < word.1);
                let cut = inside.map_or(heard_ms, |word| word.0);
                if cut > self.segment_ms {
                    self.finalize_at(cut, script, now);
                }
            } else if heard_ms >= self.next_interim_ms {
                self.next_interim_ms = heard_ms + 500;
                self.say(heard_ms, false, script, now);
            }
        }
    }

    pub fn has_heard(&self) -> bool {
        self.heard.is_some()
    }

    pub fn finalize(&mut self, script: &Script, now: Instant) {
        if let Some((_, next)) = self.heard {
            self.finalize_at(next, script, now);
        }
    }

    pub fn close(&mut self, script: &Script, now: Instant) {
        self.finalize(script, now);
        self.closed = true;
        let heard_ms = self.heard.map_or(0, |(first, next)| next - first);
        let closed = Closed { reason: CloseReason::Finished, audio_ms: Some(heard_ms) };
        self.later(StreamEvent::Closed(closed), now);
    }

    /// What has come through by now.
    pub fn events(&mut self, now: Instant) -> Vec<StreamEvent> {
        let mut events = Vec::new();
        while self.outbox.front().is_some_and(|(due, _)| *due <= now && !self.mute) {
            events.extend(self.outbox.pop_front().map(|(_, event)| event));
        }
        if self.breaks_at.is_some_and(|at| at <= now) {
            let error = ProviderError::new(ErrorClass::Unavailable, "broke", "as planned");
            let closed = Closed { reason: CloseReason::Failed(error), audio_ms: None };
            events.push(StreamEvent::Closed(closed));
        }
        events
    }

    fn finalize_at(&mut self, cut: u64, script: &Script, now: Instant) {
        self.say(cut, true, script, now);
        let until_ms = cut - self.origin();
        self.later(StreamEvent::Covered { until_ms }, now);
        (self.segment_ms, self.next_interim_ms) = (cut, cut + 500);
    }

    fn origin(&self) -> u64 {
        self.heard.map_or(0, |(first, _)| first)
    }

    /// Says the words whose middle lies in the segment, as far as they were heard.
    fn say(&mut self, until: u64, is_final: bool, script: &Script, now: Instant) {
        let (origin, from) = (self.origin(), self.segment_ms);
        let middle = |word: &&(usize, &(u64, u64))| {
            let middle = u64::midpoint(word.1.0, word.1.1);
            from <= middle && middle < until
        };
        let word = |(index, times): (usize, &(u64, u64))| Word {
            word: format!("w{index}"),
            punctuated_word: None,
            start_ms: times.0.max(from) - origin,
            end_ms: times.1.min(until) - origin,
            confidence: 1.0,
            speaker: None,
        };
        let words: Vec<_> =
            script.iter().enumerate().filter(|word| middle(&word)).map(word).collect();
        if words.is_empty() {
            return self.later(StreamEvent::Nothing, now);
        }
        let spoken: Vec<_> = words.iter().map(|word| word.word.as_str()).collect();
        let segment = Segment {
            start_ms: from - origin,
            end_ms: until - origin,
            transcript: spoken.join(" "),
            confidence: 1.0,
            is_final,
            speech_final: false,
            from_finalize: false,
            channel: (0, 1),
            timing: Timing::Measured,
            words,
        };
        self.later(StreamEvent::Transcript(Box::new(segment)), now);
    }

    fn later(&mut self, event: StreamEvent, now: Instant) {
        self.outbox.push_back((now + self.latency, event));
    }
}
