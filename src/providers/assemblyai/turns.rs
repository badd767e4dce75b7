//! Turns of one session, as the seam's events: each becomes final once.

use std::time::Duration;

use tokio::time::Instant;

use super::message::{Turn, TurnWord};
use crate::{
    model::{Segment, Timing, Word},
    providers::StreamEvent,
};

/// How long the written form of a turn that has ended may take; past it, it is final as it is.
const WRITING: Duration = Duration::from_secs(1);
/// Longer than any audio; times stop here, so that they can be added without overflow.
const LONGEST_MS: f64 = 1e15;

/// What a session has said.
#[derive(Debug)]
pub(super) struct Turns {
    interim: bool,
    formatted: bool,
    /// Where the session's audio begins in the stream.
    origin_ms: u64,
    /// The first turn that is not final.
    next: u64,
    /// A turn that has ended, while its written form is on its way.
    held: Option<Held>,
    speaking: bool,
    covered_ms: u64,
}

#[derive(Debug)]
struct Held {
    turn: Turn,
    forced: bool,
    until: Instant,
}

impl Turns {
    /// Of a stream's first session; whether to tell of turns that go on, and whether turns come in
    /// a written form too.
    pub(super) fn new(interim: bool, formatted: bool) -> Self {
        Self {
            interim,
            formatted,
            origin_ms: 0,
            next: 0,
            held: None,
            speaking: false,
            covered_ms: 0,
        }
    }

    /// Another session begins, with the audio at `origin_ms` of the stream.
    pub(super) fn renew(&mut self, origin_ms: u64) {
        let covered_ms = self.covered_ms;
        *self = Self { origin_ms, covered_ms, ..Self::new(self.interim, self.formatted) };
    }

    /// Where the session's audio begins in the stream, in milliseconds.
    pub(super) fn origin_ms(&self) -> u64 {
        self.origin_ms
    }

    /// Whether there are words of a turn that has not ended.
    pub(super) fn is_speaking(&self) -> bool {
        self.speaking
    }

    /// When to stop waiting for a written form.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.held.as_ref().map(|held| held.until)
    }

    /// Takes in what was heard of a turn; `forced` where its end was asked for.
    pub(super) fn hear(&mut self, turn: Turn, forced: bool) -> Vec<StreamEvent> {
        if turn.order < self.next {
            return Vec::new();
        }
        let forced = match &self.held {
            Some(held) if held.turn.order == turn.order => held.forced,
            _ => forced,
        };
        let earlier = self.held.as_ref().is_some_and(|held| held.turn.order < turn.order);
        let mut events = if earlier { self.release() } else { Vec::new() };
        if !turn.ended {
            self.speaking = !turn.words.is_empty();
            let text = joined(&turn);
            if self.interim && !text.is_empty() {
                events.push(transcript(self.segment(&turn, text, false)));
            }
        } else if self.formatted && !turn.formatted && !turn.transcript.is_empty() {
            self.speaking = false;
            let until = self.held_until().unwrap_or_else(|| Instant::now() + WRITING);
            self.held = Some(Held { turn, forced, until });
        } else {
            events.extend(self.end(&turn, forced));
        }
        events
    }

    /// Makes final what is held, as it is.
    pub(super) fn release(&mut self) -> Vec<StreamEvent> {
        let held = self.held.take();
        held.map_or_else(Vec::new, |held| self.end(&held.turn, held.forced))
    }

    fn end(&mut self, turn: &Turn, forced: bool) -> Vec<StreamEvent> {
        self.held = None;
        self.speaking = false;
        self.next = turn.order.saturating_add(1);
        let text = if turn.transcript.is_empty() { joined(turn) } else { turn.transcript.clone() };
        if text.is_empty() {
            return Vec::new();
        }
        let mut segment = self.segment(turn, text, true);
        segment.from_finalize = forced;
        segment.speech_final = !forced;
        // The silence after the last word is not spoken of: the next turn may lie in it.
        let until_ms = segment.end_ms;
        self.covered_ms = until_ms;
        vec![transcript(segment), StreamEvent::Covered { until_ms }]
    }

    fn segment(&self, turn: &Turn, transcript: String, is_final: bool) -> Segment {
        let words: Vec<_> = turn.words.iter().map(|word| self.word(word, turn.formatted)).collect();
        let confidences = words.iter().map(|word| word.confidence);
        let confidence = confidences.sum::<f32>() / words.len().max(1) as f32;
        Segment {
            start_ms: words.iter().map(|word| word.start_ms).min().unwrap_or(self.covered_ms),
            end_ms: words.iter().map(|word| word.end_ms).max().unwrap_or(self.covered_ms),
            transcript,
            confidence,
            is_final,
            speech_final: false,
            from_finalize: false,
            words: words.into_iter().filter(|word| !word.word.is_empty()).collect(),
            channel: (0, 1),
            timing: Timing::Measured,
        }
    }

    /// Finals do not overlap, so what is said after one lies after it.
    fn word(&self, heard: &TurnWord, written: bool) -> Word {
        let start_ms = (self.origin_ms + ms(heard.start)).max(self.covered_ms);
        Word {
            word: Word::plain(&heard.text),
            punctuated_word: written.then(|| heard.text.clone()),
            start_ms,
            end_ms: (self.origin_ms + ms(heard.end)).max(start_ms),
            confidence: if heard.confidence.is_nan() {
                0.0
            } else {
                heard.confidence.clamp(0.0, 1.0)
            },
            speaker: None,
        }
    }
}

fn transcript(segment: Segment) -> StreamEvent {
    StreamEvent::Transcript(Box::new(segment))
}

/// Every word, also those that may still change.
fn joined(turn: &Turn) -> String {
    turn.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// Whole milliseconds; what is negative or no number at all counts as zero.
pub(super) fn ms(milliseconds: f64) -> u64 {
    milliseconds.round().clamp(0.0, LONGEST_MS) as u64
}
