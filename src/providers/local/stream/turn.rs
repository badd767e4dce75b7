//! What a stream does between two wake-ups: listen, segment, recognise, tell.

use std::time::Instant;

use super::{Due, LATE_SAMPLES, LISTEN_SAMPLES, Stream};
use crate::{
    model::AudioChunk,
    providers::{
        ProviderError,
        local::{
            jobs::{self, Listened},
            recogniser::Recognition,
            segmenter::{Heard, Utterance},
            vad::FRAME_SAMPLES,
            words::Span,
        },
    },
};

impl Stream {
    /// Starts whatever can be started; says whether everything is done.
    pub(super) fn advance(&mut self) -> Result<bool, ProviderError> {
        if self.listening.is_none() {
            self.listen()?;
        }
        self.recognise()?;
        self.cover();
        Ok(self.flushed && self.due.is_empty() && self.decoding.is_none())
    }

    pub(super) fn hear(&mut self, chunk: AudioChunk) {
        self.intake.push(chunk.bytes, &mut self.fresh);
        self.voice.sent(chunk.seq);
    }

    /// Samples that wait for a worker.
    pub(super) fn waiting_samples(&self) -> usize {
        let due: usize = self.due.iter().map(|due| due.samples.len()).sum();
        self.fresh.len() + self.in_flight + due
    }

    fn listen(&mut self) -> Result<(), ProviderError> {
        let here = self.segmenter.position();
        if let Some(mark) = self.finalize_at.filter(|mark| mark.sample <= here) {
            self.finalize_at = None;
            self.finish(Some(mark.ms))?;
        }
        let ended = self.intake.ended();
        if ended && self.fresh.is_empty() && !self.flushed {
            self.finish(None)?;
            self.flushed = true;
        }
        // A frame is cut short only where everything must become final.
        let mark = self.finalize_at.map(|mark| (mark.sample - here) as usize);
        let edge = mark.or(ended.then_some(self.fresh.len()));
        let most = self.fresh.len().min(LISTEN_SAMPLES);
        let count = match edge {
            Some(edge) if edge <= most => edge,
            _ => most - most % FRAME_SAMPLES,
        };
        if let (1.., Some(memory)) = (count, self.memory.take_if(|_| count > 0)) {
            let samples = self.fresh.drain(..count).collect();
            self.in_flight = count;
            self.busy_since = Instant::now();
            self.listening = Some(jobs::listen(&self.shared.pool, memory, samples)?);
        }
        Ok(())
    }

    /// Ends the open utterance; a finalize request gets its final even where there was none.
    fn finish(&mut self, finalized_ms: Option<u64>) -> Result<(), ProviderError> {
        let (from, waiting) = (self.segmenter.done_until(), self.due.len());
        let mut heard = Vec::new();
        self.segmenter.finish(&mut heard);
        self.note(heard)?;
        if finalized_ms.is_none() {
            return Ok(());
        }
        if self.due.len() == waiting {
            let span = Span::silence(from, self.segmenter.position());
            self.due.push_back(Due { span, samples: Vec::new(), finalized_ms });
        } else if let Some(last) = self.due.back_mut() {
            last.finalized_ms = finalized_ms;
        }
        Ok(())
    }

    pub(super) fn segment(&mut self, listened: Listened) -> Result<(), ProviderError> {
        let mut heard = Vec::new();
        let frames = listened.samples.chunks(FRAME_SAMPLES);
        for (frame, probability) in frames.zip(listened.probabilities) {
            self.segmenter.push(frame, probability, &mut heard);
        }
        self.memory = Some(listened.memory);
        self.in_flight = 0;
        self.note(heard)
    }

    fn note(&mut self, heard: Vec<Heard>) -> Result<(), ProviderError> {
        for heard in heard {
            match heard {
                Heard::Started(sample) => self.voice.started(sample),
                Heard::Partial(utterance) => self.offer(utterance)?,
                Heard::Complete(utterance) => {
                    if self.partials.withdraw() {
                        self.drop_partial();
                    }
                    let span = Span::from(&utterance);
                    let samples = utterance.samples;
                    self.due.push_back(Due { span, samples, finalized_ms: None });
                }
            }
        }
        Ok(())
    }

    /// Asks for text that may still change, unless it would come too late to be of use.
    fn offer(&mut self, utterance: Utterance) -> Result<(), ProviderError> {
        if !self.options.interim_results {
            return Ok(());
        }
        let later = (self.segmenter.position() - utterance.end) as usize + self.fresh.len();
        if later > LATE_SAMPLES || self.decoding.is_some() || !self.due.is_empty() {
            self.drop_partial();
            return Ok(());
        }
        let span = Span::from(&utterance);
        if self.partials.offer(&self.shared.pool, span, utterance.samples)? {
            self.drop_partial();
        }
        Ok(())
    }

    fn drop_partial(&self) {
        self.shared.metrics.partials_dropped.add(1, &[]);
    }

    pub(super) fn show(&mut self, recognition: &Recognition) {
        if let Some((span, _)) = self.partials.awaited.take() {
            self.voice.interim(span, recognition);
        }
    }

    fn recognise(&mut self) -> Result<(), ProviderError> {
        while self.decoding.is_none()
            && let Some(mut due) = self.due.pop_front()
        {
            if due.samples.is_empty() {
                self.voice.complete(due.span, &Recognition::default(), due.finalized_ms);
                continue;
            }
            let samples = std::mem::take(&mut due.samples);
            self.busy_since = Instant::now();
            self.decoding = Some((due, jobs::recognise(&self.shared.pool, samples)?));
        }
        Ok(())
    }

    pub(super) fn deliver(&mut self, recognition: &Recognition) {
        if let Some((due, _)) = self.decoding.take() {
            self.voice.complete(due.span, recognition, due.finalized_ms);
        }
    }

    /// Tells how far everything is done, and when a pause after words was long enough.
    fn cover(&mut self) {
        let next = self.decoding.as_ref().map(|(due, _)| due);
        if let Some(due) = next.or(self.due.front()) {
            return self.voice.covered(due.span.start);
        }
        self.voice.covered(self.segmenter.done_until());
        self.voice.quiet(self.segmenter.speaking_since().unwrap_or(self.segmenter.position()));
    }
}
