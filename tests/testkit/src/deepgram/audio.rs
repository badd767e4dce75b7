//! One stream's audio: its clock, its channels' recognisers, and what they say.

use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::clock::AudioClock;
use super::config::Config;
use super::options::Options;
use super::wire::{self, Stamp};
use crate::numbered::Reader;
use crate::recognizer::{Recognizer, Rules, Said, Segment};
use crate::script::{Script, Word};
use crate::speech::hex;

/// A message to the client, and the final it carries, if it carries one.
#[derive(Clone, Debug)]
pub(crate) struct Spoken {
    pub(crate) json: Value,
    pub(crate) segment: Option<(usize, Segment)>,
}

/// Listens to one stream.
#[derive(Debug)]
pub(crate) struct Audio {
    stamp: Stamp,
    script: Script,
    rules: Rules,
    clock: AudioClock,
    reader: Option<Reader>,
    bytes_per_second: u64,
    recognizers: Vec<Recognizer>,
    hash: Sha256,
    heard_us: u64,
    /// Audio that the recognisers know of.
    told_us: u64,
}

impl Audio {
    pub(crate) fn new(stamp: Stamp, script: Script, config: &Config) -> Self {
        let options = &stamp.options;
        let raw = options.bytes_per_second().filter(|_| options.encoding.is_some());
        let clock = match (raw, options.encoding.as_deref()) {
            (Some(rate), _) => AudioClock::raw(rate, options.channels),
            (None, Some("ogg-opus") | None) => AudioClock::container(),
            (None, Some(_)) => AudioClock::wall(),
        };
        let bytes_per_second = raw.unwrap_or(0);
        let reader = (script.is_numbered_audio() && bytes_per_second > 0)
            .then(|| Reader::new(bytes_per_second));
        let mut audio = Self {
            rules: rules(options, config),
            stamp,
            script,
            clock,
            reader,
            bytes_per_second,
            recognizers: Vec::new(),
            hash: Sha256::new(),
            heard_us: 0,
            told_us: 0,
        };
        audio.open_channels();
        audio
    }

    pub(crate) fn heard(&self) -> Duration {
        Duration::from_micros(self.heard_us)
    }

    pub(crate) fn is_undecodable(&self) -> bool {
        self.clock.is_undecodable()
    }

    /// Takes in bytes; how far the recognisers may be told of, in microseconds.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> u64 {
        self.hash.update(bytes);
        self.heard_us = self.heard_us.max(self.clock.feed(bytes));
        if self.told_us == 0 {
            self.open_channels();
        }
        let Some(reader) = &mut self.reader else { return self.heard_us };
        for (mark, offset) in reader.read(bytes) {
            let us = |bytes: u64| bytes * 1_000_000 / self.bytes_per_second;
            let end_us = us(offset + self.bytes_per_second / 50);
            let mut word = Word::new(&mark.word(), 0.0, 0.0);
            (word.start_us, word.end_us) = (us(offset), end_us);
            for recognizer in &mut self.recognizers {
                recognizer.hear(word.clone());
            }
        }
        // A frame that is not whole yet must not pass for silence.
        reader.consumed_bytes() * 1_000_000 / self.bytes_per_second
    }

    /// Lets the recognisers hear up to `until_us`.
    pub(crate) fn tell(&mut self, until_us: u64) -> Vec<Spoken> {
        self.told_us = self.told_us.max(until_us);
        self.each(|recognizer| recognizer.advance(until_us))
    }

    /// Turns everything heard into finals, on one channel or on all.
    pub(crate) fn finalize(&mut self, only: Option<usize>) -> Vec<Spoken> {
        let mut index = 0;
        self.each(|recognizer| {
            index += 1;
            let wanted = only.is_none_or(|only| only == index - 1);
            if wanted { recognizer.finalize() } else { Vec::new() }
        })
    }

    /// What is left to say, then the summary.
    pub(crate) fn close(&mut self) -> Vec<Spoken> {
        let heard_us = self.heard_us;
        let mut spoken = self.tell(heard_us);
        spoken.extend(self.each(Recognizer::close));
        let json = self.stamp.summary(&self.sha256(), heard_us, self.clock.channels());
        spoken.push(Spoken { json, segment: None });
        spoken
    }

    /// SHA-256 of all audio so far, in hex.
    pub(crate) fn sha256(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    fn open_channels(&mut self) {
        let many = self.stamp.options.multichannel;
        let channels = if many { self.clock.channels().max(1) } else { 1 };
        if channels == self.recognizers.len() as u64 {
            return;
        }
        let open = |channel: u64| {
            let voice = self.script.voice(many.then_some(channel as u32));
            Recognizer::new(voice, self.rules.clone())
        };
        self.recognizers = (0..channels).map(open).collect();
    }

    fn each(&mut self, mut ask: impl FnMut(&mut Recognizer) -> Vec<Said>) -> Vec<Spoken> {
        let channels = self.recognizers.len();
        let mut spoken = Vec::new();
        for (channel, recognizer) in self.recognizers.iter_mut().enumerate() {
            let said = ask(recognizer);
            spoken
                .extend(said.into_iter().map(|said| render(&self.stamp, said, channel, channels)));
        }
        spoken
    }
}

fn render(stamp: &Stamp, said: Said, channel: usize, channels: usize) -> Spoken {
    match said {
        Said::SpeechStarted { at_us } => {
            Spoken { json: wire::speech_started(at_us, channel, channels), segment: None }
        }
        Said::UtteranceEnd { last_word_end_us } => {
            Spoken { json: wire::utterance_end(last_word_end_us, channel, channels), segment: None }
        }
        Said::Segment(segment) => Spoken {
            json: stamp.results(&segment, channel, channels),
            segment: segment.is_final.then_some((channel, segment)),
        },
    }
}

fn rules(options: &Options, config: &Config) -> Rules {
    let micros = |duration: Duration| duration.as_micros() as u64;
    let utterance_end_ms = options.utterance_end_ms.filter(|_| options.interim_results);
    Rules {
        interim_every_us: options.interim_results.then(|| micros(config.interim_every)),
        endpointing_us: options.endpointing_ms.map(|ms| ms * 1000),
        utterance_end_us: utterance_end_ms.map(|ms| ms * 1000),
        vad_events: options.vad_events,
        longest_us: micros(config.longest_segment).max(100_000),
    }
}
