//! Speaker numbers over several connections: a new one counts from nought and knows nobody.

use crate::model::Segment;

/// Keeps numbers apart that different connections gave to maybe different people.
#[derive(Debug, Default)]
pub struct Voices {
    offset: u32,
    next: u32,
    reset: bool,
}

impl Voices {
    /// Another connection begins: its speakers get numbers that nobody has had.
    pub fn renew(&mut self) {
        self.reset = self.next > 0;
        self.offset = self.next;
    }

    /// Renumbers a segment's speakers; true for the first that says anything of them after a reset.
    pub fn place(&mut self, segment: &mut Segment) -> bool {
        let mut heard = false;
        for speaker in segment.words.iter_mut().filter_map(|word| word.speaker.as_mut()) {
            *speaker = speaker.saturating_add(self.offset);
            self.next = self.next.max(speaker.saturating_add(1));
            heard = true;
        }
        heard && std::mem::take(&mut self.reset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Timing, Word};

    fn segment(speakers: &[Option<u32>]) -> Segment {
        let word = |speaker: &Option<u32>| Word {
            word: "word".into(),
            punctuated_word: None,
            start_ms: 0,
            end_ms: 1,
            confidence: 1.0,
            speaker: *speaker,
        };
        Segment {
            start_ms: 0,
            end_ms: 1,
            transcript: "word".into(),
            confidence: 1.0,
            is_final: true,
            speech_final: false,
            from_finalize: false,
            words: speakers.iter().map(word).collect(),
            channel: (0, 1),
            timing: Timing::Measured,
        }
    }

    fn placed(voices: &mut Voices, speakers: &[Option<u32>]) -> (Vec<Option<u32>>, bool) {
        let mut segment = segment(speakers);
        let reset = voices.place(&mut segment);
        (segment.words.iter().map(|word| word.speaker).collect(), reset)
    }

    #[test]
    fn nobody_gets_the_number_of_another() {
        let mut voices = Voices::default();
        assert_eq!(placed(&mut voices, &[Some(0), Some(2)]), (vec![Some(0), Some(2)], false));
        voices.renew();
        assert_eq!(placed(&mut voices, &[None]), (vec![None], false));
        assert_eq!(placed(&mut voices, &[Some(0)]), (vec![Some(3)], true));
        assert_eq!(placed(&mut voices, &[Some(1)]), (vec![Some(4)], false));
        voices.renew();
        assert_eq!(placed(&mut voices, &[Some(0)]), (vec![Some(5)], true));
    }

    #[test]
    fn without_speakers_nothing_is_reset() {
        let mut voices = Voices::default();
        placed(&mut voices, &[None]);
        voices.renew();
        assert_eq!(placed(&mut voices, &[Some(0)]), (vec![Some(0)], false));
    }
}
