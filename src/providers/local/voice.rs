//! What a stream tells its session: which events, in which order, and how far all is done.

use std::{collections::VecDeque, time::Instant};

use super::{
    recogniser::Recognition,
    words::{Span, ms_of},
};
use crate::{
    model::Segment,
    providers::{CloseReason, Closed, StreamEvent, StreamOptions},
};

/// Silence is told in steps of this many milliseconds.
const COVERED_STEP_MS: u64 = 200;

pub(super) struct Voice {
    /// Events that wait for the session.
    pub(super) outbox: VecDeque<StreamEvent>,
    formatted: bool,
    vad_events: bool,
    report_sent: bool,
    utterance_gap_ms: Option<u64>,
    covered_ms: u64,
    final_end_ms: u64,
    // Whether text was shown that the next final replaces.
    shown: bool,
    last_word_end_ms: Option<u64>,
}

impl Voice {
    pub(super) fn new(options: &StreamOptions) -> Self {
        Self {
            outbox: VecDeque::new(),
            formatted: options.punctuate || options.smart_format,
            vad_events: options.vad_events,
            report_sent: options.report_sent,
            utterance_gap_ms: options.utterance_end_ms.map(u64::from),
            covered_ms: 0,
            final_end_ms: 0,
            shown: false,
            last_word_end_ms: None,
        }
    }

    pub(super) fn sent(&mut self, seq: u64) {
        if self.report_sent {
            self.outbox.push_back(StreamEvent::Sent { seq, at: Instant::now() });
        }
    }

    pub(super) fn started(&mut self, sample: u64) {
        if self.vad_events {
            self.outbox.push_back(StreamEvent::SpeechStarted { at_ms: ms_of(sample) });
        }
    }

    pub(super) fn interim(&mut self, span: Span, recognition: &Recognition) {
        let mut segment = span.segment(recognition, self.formatted);
        if segment.transcript.is_empty() {
            return;
        }
        segment.is_final = false;
        self.keep_behind_finals(&mut segment);
        self.shown = true;
        self.tell(segment);
    }

    /// A final; without words it is told only where something waits for it.
    pub(super) fn complete(
        &mut self,
        span: Span,
        recognition: &Recognition,
        finalized_ms: Option<u64>,
    ) {
        let mut segment = span.segment(recognition, self.formatted);
        segment.from_finalize = finalized_ms.is_some();
        segment.end_ms = segment.end_ms.max(finalized_ms.unwrap_or(0));
        self.keep_behind_finals(&mut segment);
        self.last_word_end_ms =
            segment.words.last().map(|word| word.end_ms).or(self.last_word_end_ms);
        self.final_end_ms = segment.end_ms;
        let end_ms = segment.end_ms;
        if !segment.transcript.is_empty() || segment.from_finalize || self.shown {
            self.tell(segment);
        }
        self.shown = false;
        self.cover(end_ms);
    }

    /// Everything before `sample` is done with.
    pub(super) fn covered(&mut self, sample: u64) {
        if ms_of(sample) >= self.covered_ms + COVERED_STEP_MS {
            self.cover(ms_of(sample));
        }
    }

    fn cover(&mut self, until_ms: u64) {
        if until_ms > self.covered_ms {
            self.covered_ms = until_ms;
            self.outbox.push_back(StreamEvent::Covered { until_ms });
        }
    }

    /// Nobody has spoken since the last final, up to `sample`.
    pub(super) fn quiet(&mut self, sample: u64) {
        let (Some(gap_ms), Some(end_ms)) = (self.utterance_gap_ms, self.last_word_end_ms) else {
            return;
        };
        if ms_of(sample) >= end_ms + gap_ms {
            self.last_word_end_ms = None;
            self.outbox.push_back(StreamEvent::UtteranceEnd { last_word_end_ms: end_ms });
        }
    }

    pub(super) fn close(&mut self, reason: CloseReason, audio_ms: u64) {
        if matches!(reason, CloseReason::Finished) {
            self.cover(audio_ms);
        }
        self.outbox.push_back(StreamEvent::Closed(Closed { reason, audio_ms: Some(audio_ms) }));
    }

    /// A finalize request may have ended a final some milliseconds past the last sample heard.
    fn keep_behind_finals(&self, segment: &mut Segment) {
        segment.start_ms = segment.start_ms.max(self.final_end_ms);
        for word in &mut segment.words {
            word.start_ms = word.start_ms.max(self.final_end_ms);
            word.end_ms = word.end_ms.max(word.start_ms);
        }
    }

    fn tell(&mut self, segment: Segment) {
        self.outbox.push_back(StreamEvent::Transcript(Box::new(segment)));
    }
}
