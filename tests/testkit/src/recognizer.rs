//! When a recogniser speaks: the timing rules of one channel, driven by audio time alone.

use crate::script::{Voice, Word};

/// The step in which audio time is looked at.
const TICK_US: u64 = 10_000;
/// A silence that ends speech where endpointing is off.
const QUIET_US: u64 = 500_000;

/// What a client asked for that changes timing. All in microseconds of audio.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Between interims; `None` for finals only.
    pub(crate) interim_every_us: Option<u64>,
    /// Silence that ends speech; `None` when switched off.
    pub(crate) endpointing_us: Option<u64>,
    /// Gap between words that ends an utterance.
    pub(crate) utterance_end_us: Option<u64>,
    /// Whether to tell when speech starts.
    pub(crate) vad_events: bool,
    /// A segment is cut when it grows this long.
    pub(crate) longest_us: u64,
}

/// A stretch of audio and what was said in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) start_us: u64,
    pub(crate) end_us: u64,
    pub(crate) words: Vec<Word>,
    pub(crate) is_final: bool,
    pub(crate) speech_final: bool,
    pub(crate) from_finalize: bool,
}

/// What a recogniser says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Segment(Segment),
    SpeechStarted { at_us: u64 },
    UtteranceEnd { last_word_end_us: u64 },
}

/// How a final comes about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The segment grew too long.
    Length,
    /// Speech ended.
    Silence,
    /// The client asked.
    Finalize,
    /// The stream ends.
    Close,
}

/// One channel's recogniser.
#[derive(Debug)]
pub(crate) struct Recognizer {
    voice: Voice,
    rules: Rules,
    /// Audio looked at, a multiple of the tick.
    now_us: u64,
    /// Audio received.
    heard_us: u64,
    segment_start_us: u64,
    words: Vec<Word>,
    next_interim_us: u64,
    speaking: bool,
    utterance_open: bool,
    last_word_end_us: u64,
}

impl Recognizer {
    pub(crate) fn new(voice: Voice, rules: Rules) -> Self {
        Self {
            voice,
            now_us: 0,
            heard_us: 0,
            segment_start_us: 0,
            words: Vec::new(),
            next_interim_us: rules.interim_every_us.unwrap_or(0),
            speaking: false,
            utterance_open: false,
            last_word_end_us: 0,
            rules,
        }
    }

    /// Adds a word that was found in the audio itself.
    pub(crate) fn hear(&mut self, word: Word) {
        self.voice.hear(word);
    }

    /// Takes note that audio up to `heard_us` has arrived.
    pub(crate) fn advance(&mut self, heard_us: u64) -> Vec<Said> {
        let mut said = Vec::new();
        self.heard_us = self.heard_us.max(heard_us);
        while self.now_us + TICK_US <= self.heard_us {
            self.now_us += TICK_US;
            self.tick(&mut said);
        }
        said
    }

    /// Turns everything heard into a final.
    pub(crate) fn finalize(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        self.take_what_was_begun(&mut said);
        self.cut(self.heard_us, Cut::Finalize, &mut said);
        said
    }

    /// Turns what is left into a final; silent when nothing is.
    pub(crate) fn close(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        self.take_what_was_begun(&mut said);
        if self.heard_us > self.segment_start_us {
            self.cut(self.heard_us, Cut::Close, &mut said);
        }
        said
    }

    fn tick(&mut self, said: &mut Vec<Said>) {
        self.take_words(said);
        let in_word = self.begun_word();
        if in_word.is_none() {
            self.notice_silence(said);
        }
        self.notice_length(in_word, said);
        self.notice_interim(said);
    }

    /// The word that is being said now.
    fn begun_word(&self) -> Option<Word> {
        self.voice.peek().filter(|word| word.start_us < self.now_us)
    }

    fn take_words(&mut self, said: &mut Vec<Said>) {
        while let Some(word) = self.begun_word() {
            self.notice_speech(&word, said);
            if word.end_us > self.now_us {
                return;
            }
            self.take(word);
        }
    }

    fn take(&mut self, mut word: Word) {
        self.voice.advance();
        word.start_us = word.start_us.max(self.segment_start_us);
        word.end_us = word.end_us.max(word.start_us);
        self.last_word_end_us = word.end_us;
        self.utterance_open = true;
        self.words.push(word);
    }

    fn notice_speech(&mut self, word: &Word, said: &mut Vec<Said>) {
        if !self.speaking && self.rules.vad_events {
            said.push(Said::SpeechStarted { at_us: word.start_us });
        }
        self.speaking = true;
    }

    fn notice_silence(&mut self, said: &mut Vec<Said>) {
        let silence_us = self.now_us.saturating_sub(self.last_word_end_us);
        if self.speaking && silence_us >= self.rules.endpointing_us.unwrap_or(QUIET_US) {
            self.speaking = false;
            if self.rules.endpointing_us.is_some() {
                self.cut(self.now_us, Cut::Silence, said);
            }
        }
        let utterance_ends = self.rules.utterance_end_us.is_some_and(|gap| silence_us >= gap);
        if self.utterance_open && utterance_ends {
            self.utterance_open = false;
            said.push(Said::UtteranceEnd { last_word_end_us: self.last_word_end_us });
        }
    }

    /// Cuts before a word that is being said, which then opens the next segment.
    fn notice_length(&mut self, in_word: Option<Word>, said: &mut Vec<Said>) {
        if self.now_us < self.segment_start_us + self.rules.longest_us {
            return;
        }
        let end_us = in_word.map_or(self.now_us, |word| word.start_us);
        if end_us > self.segment_start_us {
            self.cut(end_us, Cut::Length, said);
        }
    }

    fn notice_interim(&mut self, said: &mut Vec<Said>) {
        let Some(every_us) = self.rules.interim_every_us.filter(|every_us| *every_us > 0) else {
            return;
        };
        if self.now_us < self.next_interim_us {
            return;
        }
        while self.next_interim_us <= self.now_us {
            self.next_interim_us += every_us;
        }
        said.push(Said::Segment(Segment {
            start_us: self.segment_start_us,
            end_us: self.now_us,
            words: self.words.clone(),
            is_final: false,
            speech_final: false,
            from_finalize: false,
        }));
    }

    /// A word of which at least half was heard is said now, the rest of it never.
    fn take_what_was_begun(&mut self, said: &mut Vec<Said>) {
        self.now_us = self.heard_us / TICK_US * TICK_US;
        while let Some(mut word) = self.voice.peek() {
            let heard_us = self.heard_us.saturating_sub(word.start_us);
            if heard_us == 0 || heard_us * 2 < word.end_us - word.start_us {
                return;
            }
            self.notice_speech(&word, said);
            word.end_us = word.end_us.min(self.heard_us);
            self.take(word);
        }
    }

    fn cut(&mut self, end_us: u64, cut: Cut, said: &mut Vec<Said>) {
        let words = std::mem::take(&mut self.words);
        let speech_final = match cut {
            Cut::Length => false,
            Cut::Silence => true,
            Cut::Finalize | Cut::Close => self.speaking,
        };
        if cut == Cut::Finalize {
            self.speaking = false;
        }
        said.push(Said::Segment(Segment {
            start_us: self.segment_start_us,
            end_us,
            words,
            is_final: true,
            speech_final,
            from_finalize: cut == Cut::Finalize,
        }));
        self.segment_start_us = end_us;
        let every_us = self.rules.interim_every_us.unwrap_or(0);
        self.next_interim_us = end_us + every_us;
    }
}
