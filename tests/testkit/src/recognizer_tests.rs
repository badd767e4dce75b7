//! The timing rules, proved on scripts.

use std::time::Duration;

use proptest::prelude::*;

use crate::recognizer::{Recognizer, Rules, Said, Segment};
use crate::script::{Script, Word};

const SECOND_US: u64 = 1_000_000;

fn rules() -> Rules {
    Rules {
        interim_every_us: Some(SECOND_US),
        endpointing_us: Some(300_000),
        utterance_end_us: Some(SECOND_US),
        vad_events: true,
        longest_us: 4 * SECOND_US,
    }
}

fn recognizer(script: &Script, rules: Rules) -> Recognizer {
    Recognizer::new(script.voice(None), rules)
}

fn segments(said: &[Said]) -> Vec<Segment> {
    let segment = |said: &Said| match said {
        Said::Segment(segment) => Some(segment.clone()),
        _ => None,
    };
    said.iter().filter_map(segment).collect()
}

fn finals(said: &[Said]) -> Vec<Segment> {
    segments(said).into_iter().filter(|segment| segment.is_final).collect()
}

fn texts(segments: &[Segment]) -> Vec<&str> {
    segments.iter().flat_map(|segment| &segment.words).map(|word| word.text.as_str()).collect()
}

#[test]
fn interims_grow_by_a_second_from_the_same_start() {
    let said = recognizer(&Script::counting(), rules()).advance(3 * SECOND_US);
    let spans: Vec<_> =
        segments(&said).iter().map(|seen| (seen.start_us, seen.end_us, seen.words.len())).collect();
    assert_eq!(spans, [(0, 1_000_000, 4), (0, 2_000_000, 8), (0, 3_000_000, 12)]);
}

#[test]
fn long_speech_is_cut_without_speech_final() {
    let said = recognizer(&Script::counting(), rules()).advance(9 * SECOND_US);
    let spans: Vec<_> = finals(&said)
        .iter()
        .map(|seen| (seen.start_us, seen.end_us, seen.speech_final, seen.words.len()))
        .collect();
    assert_eq!(spans, [(0, 4_000_000, false, 16), (4_000_000, 8_000_000, false, 16)]);
}

#[test]
fn a_word_at_the_edge_goes_to_the_next_segment() {
    let script = Script::words(vec![Word::new("a", 1.0, 3.0), Word::new("b", 3.0, 4.5)]);
    let said = recognizer(&script, rules()).advance(8 * SECOND_US);
    let finals = finals(&said);
    assert_eq!((finals[0].end_us, texts(&finals[..1])), (3_000_000, vec!["a"]));
    assert_eq!((finals[1].start_us, texts(&finals[1..2])), (3_000_000, vec!["b"]));
}

#[test]
fn silence_ends_speech_and_later_the_utterance() {
    let script = Script::words(vec![Word::new("hello", 0.5, 0.9)]);
    let rules = Rules { interim_every_us: None, ..rules() };
    let said = recognizer(&script, rules).advance(3 * SECOND_US);
    let expected = [
        Said::SpeechStarted { at_us: 500_000 },
        Said::Segment(Segment {
            start_us: 0,
            end_us: 1_200_000,
            words: vec![Word::new("hello", 0.5, 0.9)],
            is_final: true,
            speech_final: true,
            from_finalize: false,
        }),
        Said::UtteranceEnd { last_word_end_us: 900_000 },
    ];
    assert_eq!(said, expected);
}

#[test]
fn silence_gives_empty_results() {
    let said = recognizer(&Script::silence(), rules()).advance(9 * SECOND_US);
    let finals = finals(&said);
    assert_eq!(finals.len(), 2);
    assert!(finals.iter().all(|seen| seen.words.is_empty() && !seen.speech_final));
    assert_eq!(finals[1].start_us, finals[0].end_us);
}

#[test]
fn without_endpointing_speech_is_only_cut_by_length() {
    let script = Script::counting_with_pauses(4, Duration::from_secs(1));
    let said =
        recognizer(&script, Rules { endpointing_us: None, ..rules() }).advance(30 * SECOND_US);
    assert!(finals(&said).iter().all(|seen| !seen.speech_final));
}

#[test]
fn finalize_covers_all_that_was_heard() {
    let mut recognizer = recognizer(&Script::counting(), rules());
    recognizer.advance(1_400_000);
    let said = finals(&recognizer.finalize());
    assert_eq!((said[0].start_us, said[0].end_us, said[0].from_finalize), (0, 1_400_000, true));
    assert_eq!(texts(&said).len(), 6, "1.25 to 1.4 s is more than half of the sixth word");
    recognizer.advance(1_850_000);
    let said = finals(&recognizer.finalize());
    assert_eq!(texts(&said), ["w0007"]);
    assert_eq!(said[0].words[0].start_us, 1_500_000);
}

#[test]
fn close_says_nothing_twice() {
    let mut recognizer = recognizer(&Script::counting(), rules());
    recognizer.advance(2 * SECOND_US);
    assert_eq!(texts(&finals(&recognizer.close())).len(), 8);
    assert!(recognizer.close().is_empty());
}

proptest! {
    /// However audio arrives, finals tile the time and every word comes once, in order, inside.
    #[test]
    fn finals_tile_the_audio(
        steps in prop::collection::vec(1_000_u64..700_000, 1..80),
        finalize_at in prop::collection::vec(any::<bool>(), 80),
        pause_every in 1_u32..30,
        pause_ms in 0_u64..3_000,
        endpointing_ms in prop::option::of(0_u64..1_000),
    ) {
        let script = Script::counting_with_pauses(pause_every, Duration::from_millis(pause_ms));
        let endpointing_us = endpointing_ms.map(|ms| ms * 1000);
        let mut recognizer = recognizer(&script, Rules { endpointing_us, ..rules() });
        let (mut heard_us, mut said) = (0, Vec::new());
        for (step, finalize) in steps.iter().zip(finalize_at) {
            heard_us += step;
            said.extend(recognizer.advance(heard_us));
            if finalize {
                said.extend(recognizer.finalize());
            }
        }
        said.extend(recognizer.close());
        let finals = finals(&said);
        let mut cursor_us = 0;
        let mut last_word = 0;
        for seen in &finals {
            prop_assert_eq!(seen.start_us, cursor_us);
            prop_assert!(seen.end_us >= seen.start_us);
            for word in &seen.words {
                prop_assert!(word.start_us >= seen.start_us && word.end_us <= seen.end_us);
                let number: u32 = word.text[1..].parse().unwrap();
                prop_assert_eq!(number, last_word + 1);
                last_word = number;
            }
            cursor_us = seen.end_us;
        }
        prop_assert_eq!(cursor_us, heard_us);
    }
}
