//! Joins the texts of connections where their audio meets: each word once.

use crate::model::{Segment, Timing, Word};

/// How long the beginning of a word may be that is taken for silence, in milliseconds.
const ONSET_MS: u64 = 800;

/// The part of a segment that lies after `covered_ms`, if any of it does.
///
/// A word belongs to the side on which its middle lies.
pub fn after(mut segment: Segment, covered_ms: u64) -> Option<Segment> {
    if segment.start_ms >= covered_ms {
        return Some(segment);
    }
    if segment.end_ms <= covered_ms {
        return None;
    }
    segment.words.retain(|word| u64::midpoint(word.start_ms, word.end_ms) >= covered_ms);
    if segment.words.is_empty() {
        return None;
    }
    segment.start_ms = covered_ms;
    segment.transcript = written(&segment.words);
    Some(segment)
}

/// Where an owner stops that lets go of its session: what lies behind is the next owner's.
#[derive(Debug, Default)]
pub struct Edge(Option<u64>);

impl Edge {
    /// The part of a final that this owner tells: nothing from the first word on that ends after
    /// `until_ms`, nor of any final that follows.
    ///
    /// Where times are estimated nobody knows which word that is: such a final is left whole, and
    /// so is one that was forced, since the speaker may not have come to its end.
    pub fn keep(&mut self, mut segment: Segment, until_ms: u64) -> Option<Segment> {
        if self.0.is_some() {
            return None;
        }
        if segment.timing == Timing::Estimated {
            let is_whole = segment.end_ms <= until_ms && !segment.from_finalize;
            self.0 = (!is_whole).then_some(segment.start_ms);
            return is_whole.then_some(segment);
        }
        let Some(at) = segment.words.iter().position(|word| word.end_ms > until_ms) else {
            return Some(segment);
        };
        let end_ms = segment.words[at].start_ms;
        self.0 = Some(end_ms);
        segment.words.truncate(at);
        if segment.words.is_empty() {
            return None;
        }
        segment.end_ms = end_ms;
        segment.transcript = written(&segment.words);
        Some(segment)
    }

    /// Up to where this owner is done, of what is covered.
    pub fn cap(&self, covered_ms: u64) -> u64 {
        self.0.map_or(covered_ms, |left_ms| covered_ms.min(left_ms))
    }
}

/// Up to where silence is believed that nothing of the audio follows: behind it a word may begin of
/// which too little was heard to tell.
pub fn before_onset(covered_ms: u64, received_ms: u64) -> u64 {
    covered_ms.min(received_ms.saturating_sub(ONSET_MS))
}

/// The part of a segment that lies before `until_ms`, if any of it does.
pub fn before(mut segment: Segment, until_ms: u64) -> Option<Segment> {
    if segment.end_ms <= until_ms {
        return Some(segment);
    }
    if segment.start_ms >= until_ms {
        return None;
    }
    segment.words.retain(|word| u64::midpoint(word.start_ms, word.end_ms) < until_ms);
    if segment.words.is_empty() {
        return None;
    }
    segment.end_ms = until_ms;
    segment.transcript = written(&segment.words);
    Some(segment)
}

fn written(words: &[Word]) -> String {
    let written: Vec<_> = words
        .iter()
        .map(|word| word.punctuated_word.as_ref().unwrap_or(&word.word).as_str())
        .collect();
    written.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timing;

    fn segment() -> Segment {
        let word = |word: &str, start_ms, end_ms| Word {
            word: word.into(),
            punctuated_word: None,
            start_ms,
            end_ms,
            confidence: 1.0,
            speaker: None,
        };
        Segment {
            start_ms: 0,
            end_ms: 1000,
            transcript: "one two".into(),
            confidence: 1.0,
            is_final: true,
            speech_final: false,
            from_finalize: false,
            words: vec![word("one", 0, 400), word("two", 500, 900)],
            channel: (0, 1),
            timing: Timing::Measured,
        }
    }

    #[test]
    fn each_word_stands_on_one_side() {
        assert_eq!(after(segment(), 0).map(|s| s.transcript), Some("one two".into()));
        assert_eq!(after(segment(), 450).map(|s| s.transcript), Some("two".into()));
        assert!(after(segment(), 950).is_none());
        assert!(after(segment(), 1000).is_none());
        assert_eq!(before(segment(), 1000).map(|s| s.transcript), Some("one two".into()));
        assert_eq!(
            before(segment(), 450).map(|s| (s.transcript, s.end_ms)),
            Some(("one".into(), 450))
        );
        assert!(before(segment(), 100).is_none());
    }

    #[test]
    fn a_word_at_the_edge_is_left_to_who_hears_the_rest_of_it() {
        let keep = |until_ms| {
            let mut edge = Edge::default();
            let kept = edge.keep(segment(), until_ms).map(|kept| (kept.transcript, kept.end_ms));
            (kept, edge.cap(u64::MAX))
        };
        assert_eq!(keep(900), (Some(("one two".into(), 1000)), u64::MAX));
        assert_eq!(keep(899), (Some(("one".into(), 500)), 500));
        assert_eq!(keep(399), (None, 0));
    }

    #[test]
    fn a_final_whose_times_are_estimated_is_left_whole() {
        let keep = |segment, until_ms| {
            let mut edge = Edge::default();
            let segment = Segment { start_ms: 100, timing: Timing::Estimated, ..segment };
            (edge.keep(segment, until_ms).map(|kept| kept.transcript), edge.cap(u64::MAX))
        };
        assert_eq!(keep(segment(), 1000), (Some("one two".into()), u64::MAX));
        // Also if its words are thought to end before.
        assert_eq!(keep(segment(), 999), (None, 100));
        let forced = Segment { from_finalize: true, ..segment() };
        assert_eq!(keep(forced, 1000), (None, 100));
    }

    #[test]
    fn silence_at_the_end_of_what_was_heard_may_be_a_word() {
        assert_eq!(before_onset(1000, 1000), 200);
        assert_eq!(before_onset(150, 1000), 150);
        assert_eq!(before_onset(500, 500), 0);
    }

    #[test]
    fn nothing_behind_the_edge_moves_it() {
        let mut edge = Edge::default();
        assert!(edge.keep(segment(), 899).is_some());
        let later = Segment { start_ms: 1000, end_ms: 1200, ..segment() };
        assert_eq!(edge.keep(later, 899), None);
        assert_eq!((edge.cap(1200), edge.cap(400)), (500, 400));
    }
}
