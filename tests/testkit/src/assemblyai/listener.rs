//! What a session hears: audio time, words, and the turns that they make.

use std::time::Duration;

use super::config::Config;
use super::door::Admission;
use crate::numbered::Reader;
use crate::recognizer::{Recognizer, Rules, Said};
use crate::script::{Script, Word};

/// What was heard of a turn.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) order: u64,
    pub(crate) words: Vec<Word>,
    pub(crate) ended: bool,
}

/// Listens to one session.
#[derive(Debug)]
pub(crate) struct Listener {
    recognizer: Recognizer,
    reader: Option<Reader>,
    bytes_per_second: u64,
    bytes: u64,
    order: u64,
}

impl Listener {
    pub(crate) fn new(admission: &Admission, script: &Script, config: &Config) -> Self {
        let micros = |duration: Duration| duration.as_micros() as u64;
        let silence = admission.turn_silence.unwrap_or(config.turn_silence);
        let rules = Rules {
            interim_every_us: Some(micros(config.partial_every)),
            endpointing_us: Some(micros(silence)),
            utterance_end_us: None,
            vad_events: false,
            longest_us: micros(config.longest_turn).max(100_000),
        };
        let bytes_per_second = admission.bytes_per_second;
        Self {
            recognizer: Recognizer::new(script.voice(None), rules),
            reader: script.is_numbered_audio().then(|| Reader::new(bytes_per_second)),
            bytes_per_second,
            bytes: 0,
            order: 0,
        }
    }

    /// How long such a message of audio is.
    pub(crate) fn length_of(&self, message: &[u8]) -> Duration {
        self.duration(message.len() as u64)
    }

    pub(crate) fn heard(&self) -> Duration {
        self.duration(self.bytes)
    }

    fn duration(&self, bytes: u64) -> Duration {
        Duration::from_micros(bytes * 1_000_000 / self.bytes_per_second)
    }

    /// Takes in audio; how far it may be told of, which leaves out a frame that is not whole yet.
    pub(crate) fn feed(&mut self, audio: &[u8]) -> Duration {
        self.bytes += audio.len() as u64;
        let Some(reader) = &mut self.reader else { return self.heard() };
        let us = |bytes: u64| bytes * 1_000_000 / self.bytes_per_second;
        for (mark, offset) in reader.read(audio) {
            let mut word = Word::new(&mark.word(), 0.0, 0.0);
            word.start_us = us(offset);
            word.end_us = us(offset + self.bytes_per_second / 50);
            self.recognizer.hear(word);
        }
        Duration::from_micros(us(reader.consumed_bytes()))
    }

    /// What was said up to there.
    pub(crate) fn advance(&mut self, until: Duration) -> Vec<Turn> {
        let said = self.recognizer.advance(until.as_micros() as u64);
        self.turns(said)
    }

    /// Ends the present turn, if there is one.
    pub(crate) fn force(&mut self) -> Vec<Turn> {
        let said = self.recognizer.finalize();
        self.turns(said)
    }

    /// What is left to say.
    pub(crate) fn close(&mut self) -> Vec<Turn> {
        let mut said = self.recognizer.advance(self.heard().as_micros() as u64);
        said.extend(self.recognizer.close());
        self.turns(said)
    }

    /// Silence makes no turn.
    fn turns(&mut self, said: Vec<Said>) -> Vec<Turn> {
        let mut turns = Vec::new();
        for said in said {
            let Said::Segment(segment) = said else { continue };
            if segment.words.is_empty() {
                continue;
            }
            let (order, ended) = (self.order, segment.is_final);
            self.order += u64::from(ended);
            turns.push(Turn { order, words: segment.words, ended });
        }
        turns
    }
}
