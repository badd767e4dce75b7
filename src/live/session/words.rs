//! What a session tells: its client at once, its room beside it.

use super::{Outcome, Session};
use crate::{
    live::{
        bookmark::Bookmark,
        herald::{Kept, Lost, Record},
        migration::Step,
        outbox::Letter,
        splice,
        upstream::{Text, Upstream},
        wire::{Event, Finalized, Gap, Migrate, Transcription},
    },
    model::{Error, ErrorKind, Segment},
    telemetry::metrics::label,
    usage::Meter,
};

/// How near the end of the audio a word may be cut, in milliseconds.
const EDGE_MS: u64 = 300;
/// Less audio than this holds no word, in milliseconds.
pub(super) const NO_WORD_MS: u64 = 100;

impl Session {
    /// Text, interim or final.
    pub(super) fn text(&mut self, text: Text, covered_ms: u64) {
        let unsaid = self.progress.unsaid(text.segment);
        let Some(segment) = unsaid.and_then(|segment| self.leave_edge(segment)) else { return };
        let n = self.progress.last_n + 1 + text.ahead;
        // Silence has no final, unless one has to take back what was shown; what it covers is told
        // by itself.
        if segment.is_final && segment.transcript.is_empty() && n > self.shown_n {
            return;
        }
        self.progress.hear(&segment);
        let from_finalize = segment.is_final && segment.from_finalize;
        let kind = if segment.is_final { "final" } else { "interim" };
        self.service.metrics.transcripts.add(1, &[label("kind", kind)]);
        let mut transcription = self.transcription(segment.clone(), n, text.provider);
        transcription.speakers_reset = text.speakers_reset;
        transcription.from_finalize = from_finalize && self.finalize_wanted_ms.is_some();
        let event = Event::Transcription(Box::new(transcription));
        if !segment.is_final {
            self.shown_n = self.shown_n.max(n);
            self.say(n, &event);
            return self.outbox.push(event);
        }
        let end_ms = segment.end_ms;
        self.measure(end_ms, text.provider);
        let delivery = self.trace.as_mut().and_then(|trace| trace.covered(end_ms, Some(n)));
        // Channels that are transcribed each by itself are done with only together.
        let alone = segment.channel.1 <= 1;
        let covered_ms = if alone { covered_ms.max(end_ms) } else { covered_ms };
        let covered_ms = self.edge.cap(covered_ms);
        self.heard(text.provider, covered_ms);
        self.number(&event, Some(Kept::Said(segment, text.provider)), covered_ms);
        self.outbox.post(Letter { event, delivery });
    }

    /// Its client wants finals of all audio so far.
    pub(super) fn finalize(&mut self, upstream: &mut Upstream) {
        self.finalize_wanted_ms = Some(self.progress.received_ms);
        upstream.finalize_up_to(self.progress.received_ms);
    }

    /// Says that those finals came.
    pub(super) fn tell_finalized(&mut self, covered_ms: u64) {
        let has_come = |wanted_ms: &mut u64| covered_ms + NO_WORD_MS >= *wanted_ms;
        if self.finalize_wanted_ms.take_if(has_come).is_some() {
            let session_id = self.id.to_string();
            self.outbox.push(Event::Finalized(Finalized { session_id, until_ms: covered_ms }));
        }
    }

    /// Up to where this owner is done, of what is covered upstream.
    pub(super) fn done_ms(&self, covered_ms: u64) -> u64 {
        let covered_ms = self.edge.cap(covered_ms);
        if !self.owned.asked().is_cancelled() || self.service.lineup.measures(self.heard.by()) {
            return covered_ms;
        }
        splice::before_onset(covered_ms, self.progress.received_ms).max(self.noted_ms)
    }

    /// The end of audio that goes on elsewhere may lie within a word: the last one is left to the
    /// next owner, which hears all of it.
    fn leave_edge(&mut self, segment: Segment) -> Option<Segment> {
        let is_alone = segment.channel.1 <= 1;
        if !segment.is_final || !is_alone || !self.owned.asked().is_cancelled() {
            return Some(segment);
        }
        self.edge.keep(segment, self.progress.received_ms.saturating_sub(EDGE_MS))
    }

    /// Audio that has no transcript, in its place among the finals.
    pub(super) fn gap(&mut self, from_ms: u64, to_ms: u64, reason: &'static str) {
        // Behind the edge the next owner gets the audio again.
        if self.edge.cap(to_ms) < to_ms {
            return;
        }
        let lost_ms = to_ms.saturating_sub(from_ms);
        self.progress.lose(lost_ms, reason);
        if let Some(meter) = &self.meter {
            meter.skip(from_ms, to_ms);
        }
        self.service.metrics.audio_lost_ms.add(lost_ms, &[label("reason", reason)]);
        let event = Event::Gap(Gap {
            session_id: self.id.to_string(),
            n: self.progress.last_n + 1,
            from_ms,
            to_ms,
            reason,
            timestamp: self.service.clock.timestamp(),
        });
        self.number(&event, Some(Kept::Lost((from_ms, to_ms), reason)), to_ms);
        self.outbox.push(event);
    }

    /// Gives an event the next number and hands it to the room.
    pub(super) fn number(&mut self, event: &Event, kept: Option<Kept>, covered_ms: u64) {
        let stands = self.bookmark(covered_ms);
        self.number_as(event, kept, Bookmark { n: stands.n + 1, ..stands });
    }

    /// The same where the session stands there then.
    pub(super) fn number_as(&mut self, event: &Event, kept: Option<Kept>, stands: Bookmark) {
        self.progress.last_n = stands.n;
        self.noted_ms = self.noted_ms.max(stands.covered_ms);
        let Some(herald) = &self.herald else { return };
        match event.to_json() {
            Ok(body) => herald.tell(Record { n: stands.n, body, kept }, stands),
            Err(error) => tracing::error!(%error, "an event cannot be written"),
        }
    }

    /// Interims go to the room only where somebody listens.
    fn say(&self, n: u64, event: &Event) {
        let Some(herald) = self.herald.as_ref().filter(|herald| herald.is_heard()) else { return };
        if let Ok(body) = event.to_json() {
            herald.say(n, body);
        }
    }

    /// What was found out that ends the session, if it did.
    pub(super) fn lost_outcome(&self) -> Option<Outcome> {
        if self.meter.as_ref().is_some_and(Meter::is_fenced) {
            return Some(Outcome::Replaced);
        }
        let told = self.herald.as_ref()?.told();
        let lost = told.borrow().lost?;
        Some(match lost {
            Lost::Replaced => Outcome::Replaced,
            Lost::Forbidden => {
                let text = "the room belongs to another account";
                Outcome::Failed(Error::new(ErrorKind::Forbidden, text))
            }
        })
    }

    /// One step out of a replica that drains.
    pub(super) fn migrate(&mut self, step: Step) {
        match step {
            Step::Tell { reconnect_after_ms, deadline_ms } => {
                self.service.metrics.migrations.add(1, &[label("step", "told")]);
                self.outbox.push(Event::Migrate(Migrate {
                    session_id: self.id.to_string(),
                    reconnect_after_ms,
                    deadline_ms,
                    timestamp: self.service.clock.timestamp(),
                }));
            }
            Step::Finish => {
                self.service.metrics.migrations.add(1, &[label("step", "stayed")]);
                self.inbox.close(super::Ending::Parked);
            }
        }
    }

    fn measure(&self, end_ms: u64, provider: &'static str) {
        if let Some(age) = self.progress.timeline.age_of(end_ms) {
            let provider = label("provider", provider);
            let age_ms = age.as_secs_f64() * 1000.0;
            self.service.metrics.final_latency_ms.record(age_ms, &[provider]);
        }
    }

    fn transcription(&self, segment: Segment, n: u64, provider: &'static str) -> Transcription {
        Transcription {
            transcript: segment.transcript,
            is_final: segment.is_final,
            confidence: segment.confidence,
            timestamp: self.service.clock.timestamp(),
            speech_final: segment.speech_final,
            session_id: self.id.to_string(),
            n,
            start_ms: segment.start_ms,
            end_ms: segment.end_ms,
            speaker: segment.words.first().and_then(|word| word.speaker),
            words: segment.words,
            speakers_reset: false,
            from_finalize: false,
            channel: (segment.channel.1 > 1).then_some(segment.channel.0),
            timing: segment.timing,
            provider,
        }
    }

    /// Audio that only silence covered has no final to be delivered with.
    pub(super) fn covered(&mut self, until_ms: u64) {
        if let Some(silence) = self.trace.as_mut().and_then(|trace| trace.covered(until_ms, None)) {
            silence.delivered();
        }
    }
}
