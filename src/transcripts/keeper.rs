//! A session's hand on its transcript: what it says is handed over, and nothing waits.

use std::sync::Arc;

use super::{
    queue::{Letter, News, Queue, Start},
    recalled::{self, Recalled},
    record::{Final, Gap},
};
use crate::model::{Clock, Segment, Word};

/// Keeps what one session says.
#[derive(Debug)]
pub struct Keeper {
    start: Arc<Start>,
    queue: Queue,
    clock: Clock,
}

impl Keeper {
    pub(super) fn new(start: Start, queue: Queue, clock: Clock) -> Self {
        queue.open().send_modify(|open| *open += 1);
        let keeper = Self { start: Arc::new(start), queue, clock };
        keeper.send(News::Began);
        keeper
    }

    /// Keeps the final of that number, which that provider has heard.
    pub fn keep(&self, n: u64, segment: &Segment, provider: &'static str) {
        self.said(Final {
            n,
            start_ms: segment.start_ms,
            end_ms: segment.end_ms,
            text: segment.transcript.clone(),
            confidence: segment.confidence,
            speaker: segment.words.first().and_then(|word| word.speaker),
            words: segment.words.clone(),
            timing: segment.timing.as_str().to_owned(),
            channel: (segment.channel.1 > 1).then_some(segment.channel.0),
            language: self.start.language.clone(),
            provider: provider.to_owned(),
        });
    }

    /// Keeps that audio has no transcript, under that number.
    pub fn gap(&self, n: u64, (from_ms, to_ms): (u64, u64), reason: &'static str) {
        self.send(News::Lost(Gap { n, from_ms, to_ms, reason: reason.to_owned() }));
    }

    /// Keeps what an owner before told the room, by its bodies there: what it has stored already
    /// stays as it is.
    pub fn recall<'a>(&self, bodies: impl IntoIterator<Item = &'a str>) {
        for body in bodies {
            match recalled::read(body, &self.start.language) {
                Some(Recalled::Said(said)) => self.said(said),
                Some(Recalled::Lost(gap)) => self.send(News::Lost(gap)),
                None => {}
            }
        }
    }

    /// Says how the session ended, after how many numbers, and how much of its audio is done with.
    pub fn finish(self, outcome: &'static str, finals: u64, audio_ms: u64) {
        self.send(News::Ended { outcome, finals, audio_ms });
    }

    fn said(&self, said: Final) {
        let words = said.words.iter().map(storable).collect();
        self.send(News::Said(Box::new(Final { text: without_nul(&said.text), words, ..said })));
    }

    fn send(&self, news: News) {
        let (start, at) = (Arc::clone(&self.start), self.clock.now().naive_utc());
        self.queue.push(Letter { start, at, news });
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.queue.open().send_modify(|open| *open = open.saturating_sub(1));
    }
}

/// A word without what Postgres refuses.
fn storable(word: &Word) -> Word {
    Word {
        word: without_nul(&word.word),
        punctuated_word: word.punctuated_word.as_deref().map(without_nul),
        ..word.clone()
    }
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}
