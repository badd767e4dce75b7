//! What was recognised, as a segment of the transcript with its words spread over the speech.

use super::{recogniser::Recognition, segmenter::Utterance};
use crate::{
    media::SPEECH_HERTZ,
    model::{Segment, Timing, Word},
};

/// Milliseconds of a position in samples, rounded down.
pub(super) const fn ms_of(samples: u64) -> u64 {
    samples * 1000 / SPEECH_HERTZ as u64
}

/// Where a piece of transcript lies, in samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) speech_start: u64,
    pub(super) speech_end: u64,
    pub(super) paused: bool,
}

impl From<&Utterance> for Span {
    fn from(utterance: &Utterance) -> Self {
        Self {
            start: utterance.start,
            end: utterance.end,
            speech_start: utterance.speech_start,
            speech_end: utterance.speech_end,
            paused: utterance.paused,
        }
    }
}

impl Span {
    /// A stretch without speech.
    pub(super) const fn silence(start: u64, end: u64) -> Self {
        Self { start, end, speech_start: start, speech_end: end, paused: false }
    }

    /// The segment of `recognition` here: as it was recognised, or plain and lower-case.
    pub(super) fn segment(self, recognition: &Recognition, formatted: bool) -> Segment {
        let words = self.words(recognition, formatted);
        let transcript = if formatted {
            recognition.text.clone()
        } else {
            words.iter().map(|word| word.word.as_str()).collect::<Vec<_>>().join(" ")
        };
        Segment {
            start_ms: ms_of(self.start),
            end_ms: ms_of(self.end),
            confidence: if transcript.is_empty() { 0.0 } else { recognition.confidence },
            transcript,
            is_final: true,
            speech_final: self.paused,
            from_finalize: false,
            words,
            channel: (0, 1),
            timing: Timing::Estimated,
        }
    }

    /// Each word takes a share of the speech in proportion to its length.
    fn words(self, recognition: &Recognition, formatted: bool) -> Vec<Word> {
        let written: Vec<(&str, String)> = recognition
            .text
            .split_whitespace()
            .map(|written| (written, Word::plain(written)))
            .filter(|(_, plain)| !plain.is_empty())
            .collect();
        let weight = |word: &str| word.chars().count() as u64 + 1;
        let total: u64 = written.iter().map(|(_, word)| weight(word)).sum();
        let length = self.speech_end.saturating_sub(self.speech_start);
        let mut before = 0;
        let mut words = Vec::with_capacity(written.len());
        for (written, word) in written {
            let start = self.speech_start + length * before / total;
            before += weight(&word);
            words.push(Word {
                punctuated_word: formatted.then(|| written.to_owned()),
                word,
                start_ms: ms_of(start),
                end_ms: ms_of(self.speech_start + length * before / total),
                confidence: recognition.confidence,
                speaker: None,
            });
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(text: &str, formatted: bool) -> Segment {
        let recognition = Recognition { text: text.to_owned(), confidence: 0.9 };
        let span =
            Span { start: 0, end: 32_000, speech_start: 4_800, speech_end: 20_800, paused: true };
        span.segment(&recognition, formatted)
    }

    #[test]
    fn words_share_the_speech_by_length() {
        let segment = segment("Don't — \"stop\" 12%.", true);
        let words: Vec<_> = segment.words.iter().map(|word| word.word.as_str()).collect();
        assert_eq!(words, ["don't", "stop", "12%"]);
        assert_eq!(segment.words[0].punctuated_word.as_deref(), Some("Don't"));
        assert_eq!((segment.words[0].start_ms, segment.words[2].end_ms), (300, 1300));
        assert!(segment.words.is_sorted_by(|a, b| a.end_ms <= b.start_ms));
        assert_eq!((segment.start_ms, segment.end_ms), (0, 2000));
        assert!(segment.is_final && segment.speech_final);
    }

    #[test]
    fn text_is_plain_unless_formatting_is_asked_for() {
        let plain = segment("Fail again. Fail better.", false);
        assert_eq!(plain.transcript, "fail again fail better");
        assert_eq!(plain.words[0].punctuated_word, None);
        assert_eq!(segment("Fail again.", true).transcript, "Fail again.");
    }

    #[test]
    fn nothing_recognised_is_an_empty_segment() {
        let empty = segment("...", false);
        assert_eq!((empty.transcript.as_str(), empty.words.len()), ("", 0));
    }
}
