//! Speaker numbers over several connections: each counts from nought and knows nobody.

use std::collections::BTreeSet;

use crate::model::Segment;

/// Numbers that are remembered as given; nobody speaks in a crowd like that.
const BOUND: usize = 1024;

/// Which numbers speakers were given so far, whichever connection heard them.
#[derive(Debug, Default)]
pub struct Voices {
    given: BTreeSet<u32>,
    next: u32,
}

/// The speakers of one connection.
#[derive(Debug, Default)]
pub struct Speakers {
    offset: u32,
    known: Vec<(u32, u32)>,
    reset: bool,
}

impl Voices {
    /// Goes on after that many numbers.
    pub fn after(next: u32) -> Self {
        Self { given: BTreeSet::new(), next }
    }

    /// Another connection begins: its speakers get numbers that nobody has had.
    pub const fn renew(&self) -> Speakers {
        Speakers { offset: self.next, known: Vec::new(), reset: self.next > 0 }
    }

    /// Renumbers a segment's speakers; true for the first that says anything of them where there
    /// were others before.
    pub fn place(&mut self, speakers: &mut Speakers, segment: &mut Segment) -> bool {
        let mut heard = false;
        for speaker in segment.words.iter_mut().filter_map(|word| word.speaker.as_mut()) {
            *speaker = self.number(speakers, *speaker);
            heard = true;
        }
        heard && std::mem::take(&mut speakers.reset)
    }

    /// The number of that connection's speaker: as it counts, unless somebody else has it by now.
    fn number(&mut self, speakers: &mut Speakers, heard: u32) -> u32 {
        if let Some((_, number)) = speakers.known.iter().find(|(known, _)| *known == heard) {
            return *number;
        }
        let counted = speakers.offset.saturating_add(heard);
        let number = if self.given.contains(&counted) { self.next } else { counted };
        self.next = self.next.max(number.saturating_add(1));
        if self.given.len() < BOUND {
            self.given.insert(number);
            speakers.known.push((heard, number));
        }
        number
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

    fn placed(
        voices: &mut Voices,
        speakers: &mut Speakers,
        heard: &[Option<u32>],
    ) -> (Vec<Option<u32>>, bool) {
        let mut segment = segment(heard);
        let reset = voices.place(speakers, &mut segment);
        (segment.words.iter().map(|word| word.speaker).collect(), reset)
    }

    #[test]
    fn nobody_gets_the_number_of_another() {
        let mut voices = Voices::default();
        let mut first = voices.renew();
        let both = [Some(0), Some(2)];
        assert_eq!(placed(&mut voices, &mut first, &both), (both.to_vec(), false));
        let mut second = voices.renew();
        assert_eq!(placed(&mut voices, &mut second, &[None]), (vec![None], false));
        assert_eq!(placed(&mut voices, &mut second, &[Some(0)]), (vec![Some(3)], true));
        assert_eq!(placed(&mut voices, &mut second, &[Some(1)]), (vec![Some(4)], false));
        let mut third = voices.renew();
        assert_eq!(placed(&mut voices, &mut third, &[Some(0)]), (vec![Some(5)], true));
    }

    #[test]
    fn connections_side_by_side_share_no_number() {
        let mut voices = Voices::default();
        let mut old = voices.renew();
        placed(&mut voices, &mut old, &[Some(0)]);
        let mut new = voices.renew();
        assert_eq!(placed(&mut voices, &mut new, &[Some(0)]), (vec![Some(1)], true));
        assert_eq!(placed(&mut voices, &mut old, &[Some(1)]), (vec![Some(2)], false));
        assert_eq!(placed(&mut voices, &mut new, &[Some(0)]), (vec![Some(1)], false));
        assert_eq!(placed(&mut voices, &mut new, &[Some(1)]), (vec![Some(3)], false));
    }

    #[test]
    fn without_speakers_nothing_is_reset() {
        let mut voices = Voices::default();
        let mut first = voices.renew();
        placed(&mut voices, &mut first, &[None]);
        let mut second = voices.renew();
        assert_eq!(placed(&mut voices, &mut second, &[Some(0)]), (vec![Some(0)], false));
    }

    #[test]
    fn a_resumed_session_counts_on() {
        let mut voices = Voices::after(2);
        let mut speakers = voices.renew();
        assert_eq!(placed(&mut voices, &mut speakers, &[Some(0)]), (vec![Some(2)], true));
    }
}
