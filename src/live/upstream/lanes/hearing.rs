//! What providers say, on the session's timeline and in its order.

use std::time::Instant;

use super::{Lanes, Notice, Outcome, SLACK_MS};
use crate::{
    live::{
        splice,
        upstream::{
            lane::{Lane, Link, Tie},
            told::{Text, Upstreamed},
        },
    },
    model::Segment,
    providers::{CloseReason, Closed, ErrorClass, ProviderError, StreamEvent},
};

impl Lanes {
    /// A provider said something.
    pub fn heard(&mut self, link: Link, event: StreamEvent, now: Instant) {
        let Some(at) = self.index_of(link) else { return };
        match event {
            StreamEvent::Sent { seq, at: sent_at } => {
                let provider = self.lanes[at].tie.talk().map(|talk| talk.provider);
                let sent = provider.map(|provider| Upstreamed::Sent { seq, at: sent_at, provider });
                self.out.extend(sent);
            }
            StreamEvent::Closed(closed) => self.closed(at, closed, now),
            StreamEvent::Transcript(segment) => {
                self.answered(at);
                self.text(at, *segment);
            }
            StreamEvent::Covered { until_ms } => {
                self.answered(at);
                self.cover(at, until_ms);
            }
            StreamEvent::Nothing => self.answered(at),
            StreamEvent::SpeechStarted { at_ms } => {
                self.answered(at);
                let at_ms = self.placed(at, at_ms);
                self.out.extend(at_ms.map(Upstreamed::SpeechStarted));
            }
            StreamEvent::UtteranceEnd { last_word_end_ms } => {
                self.answered(at);
                let end_ms = self.placed(at, last_word_end_ms);
                self.out.extend(end_ms.map(Upstreamed::UtteranceEnd));
            }
        }
    }

    fn answered(&mut self, at: usize) {
        let Some(talk) = self.lanes[at].tie.talk_mut() else { return };
        talk.answered = true;
        talk.ear.answered();
    }

    /// A connection's time in session audio, unless it lies beyond all audio that it was sent:
    /// believing it would discard what was not heard yet.
    fn placed(&self, at: usize, ms: u64) -> Option<u64> {
        let talk = self.lanes[at].tie.talk()?;
        let ms = ms + talk.cursor.origin_ms;
        let fed_ms = self.ring.fed_ms(&talk.cursor).unwrap_or(u64::MAX);
        if ms > fed_ms.saturating_add(SLACK_MS) {
            let provider = talk.provider;
            tracing::warn!(provider, ms, fed_ms, "the provider spoke of audio that it never got");
            return None;
        }
        Some(ms.min(fed_ms))
    }

    /// What of a text belongs to its lane and was not said before, on the session's timeline.
    fn unsaid(&mut self, at: usize, segment: Segment) -> Option<Segment> {
        let end_ms = self.placed(at, segment.end_ms)?;
        let lane = &mut self.lanes[at];
        let mut segment = segment.shifted(lane.tie.talk()?.cursor.origin_ms);
        segment.end_ms = end_ms;
        let until_ms = lane.until_ms.unwrap_or(u64::MAX);
        lane.said.unsaid(splice::before(segment, until_ms)?)
    }

    fn text(&mut self, at: usize, segment: Segment) {
        let Some(mut segment) = self.unsaid(at, segment) else { return };
        let Some(talk) = self.lanes[at].tie.talk_mut() else { return };
        let speakers_reset = self.voices.place(&mut talk.speakers, &mut segment);
        let text = Box::new(Text { segment, speakers_reset, provider: talk.provider, ahead: 0 });
        if at == 0 {
            return self.out.push_back(Upstreamed::Text(text));
        }
        // What has to wait is shown already, as text that may still change.
        if self.options.interim_results {
            let mut shown = text.clone();
            shown.ahead = self.ahead_of(at);
            (shown.segment.is_final, shown.segment.speech_final) = (false, false);
            self.out.push_back(Upstreamed::Text(shown));
        }
        if text.segment.is_final {
            self.tell(at, Upstreamed::Text(text));
        }
    }

    /// How many finals are known to come before a lane's next: one at least of each lane before.
    fn ahead_of(&self, at: usize) -> u64 {
        let numbered =
            |told: &&Upstreamed| matches!(told, Upstreamed::Text(_) | Upstreamed::Gap { .. });
        let held = |lane: &Lane| lane.held.iter().filter(numbered).count();
        let before = self.lanes.range(..=at).map(held).sum::<usize>();
        (before + at) as u64
    }

    fn cover(&mut self, at: usize, until_ms: u64) {
        let Some(until_ms) = self.placed(at, until_ms) else { return };
        let until_ms = self.lanes[at].until_ms.map_or(until_ms, |end_ms| end_ms.min(until_ms));
        self.covered(at, until_ms);
    }

    /// Everything up to there is final on a lane.
    fn covered(&mut self, at: usize, until_ms: u64) {
        let lane = &mut self.lanes[at];
        if !lane.cover(until_ms) {
            return;
        }
        lane.succeeded();
        let Some(talk) = lane.tie.talk_mut() else { return };
        talk.finalize_asked = None;
        let provider = talk.provider;
        let outcome = Outcome::Succeeded;
        let over = talk.instead_of.take().map(|from| Notice::Over { from, to: provider, outcome });
        self.notices.extend(over);
        self.tell(at, Upstreamed::Covered { until_ms, provider });
        let lane = &mut self.lanes[at];
        if lane.is_done() {
            self.leaving.extend(lane.tie.link());
            lane.tie = Tie::Loose;
        }
        self.free();
        self.settle();
    }

    fn closed(&mut self, at: usize, closed: Closed, now: Instant) {
        let unavailable =
            |code: &str, detail: &str| ProviderError::new(ErrorClass::Unavailable, code, detail);
        match closed.reason {
            CloseReason::Finished if self.heard_all(at, closed.audio_ms) => {
                self.finished(at, closed.audio_ms.unwrap_or(0));
            }
            CloseReason::Finished if closed.audio_ms == Some(0) => {
                let detail = "the provider could not decode any of the audio";
                let error = ProviderError::new(ErrorClass::Poison, "undecodable_audio", detail);
                self.broke(at, error, now);
            }
            CloseReason::Finished => {
                self.broke(
                    at,
                    unavailable("ended", "the provider ended the stream by itself"),
                    now,
                );
            }
            CloseReason::Failed(error) => self.broke(at, error, now),
        }
    }

    /// Whether a summary is the one that was asked for, and speaks of all the audio.
    fn heard_all(&self, at: usize, audio_ms: Option<u64>) -> bool {
        let Some(talk) = self.lanes[at].tie.talk().filter(|talk| talk.close_sent) else {
            return false;
        };
        let heard_ms = talk.cursor.origin_ms + audio_ms.unwrap_or(0) + SLACK_MS;
        self.ring.fed_ms(&talk.cursor).is_none_or(|fed_ms| fed_ms <= heard_ms)
    }

    /// A connection has said everything: its lane is done.
    fn finished(&mut self, at: usize, audio_ms: u64) {
        let lane = &self.lanes[at];
        let Some(talk) = lane.tie.talk() else { return };
        let fed_ms = self.ring.fed_ms(&talk.cursor).unwrap_or(u64::MAX);
        let heard_ms = fed_ms.min(talk.cursor.origin_ms + audio_ms).max(lane.covered_ms);
        let link = talk.link;
        let until_ms = *self.lanes[at].until_ms.get_or_insert(heard_ms);
        self.covered(at, until_ms);
        if let Some(at) = self.index_of(link) {
            self.lanes[at].tie = Tie::Loose;
            self.leaving.push(link);
        }
        self.settle();
    }
}
