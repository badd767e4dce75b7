//! Pieces of a recording put together again: times on its own timeline, text in order.

use crate::providers::recorded::{Stretch, Tokens, Transcription};

/// What came of the pieces, each with where it begins in milliseconds, in order.
///
/// Each piece counts its speakers from 0; nobody knows who is whom between pieces, so those of later
/// pieces are counted on.
pub fn join(pieces: Vec<(u64, Transcription)>) -> Transcription {
    let mut joined = Transcription::default();
    let mut texts = Vec::with_capacity(pieces.len());
    let mut sure = Sureness::default();
    let mut speakers = 0;
    for (start_ms, piece) in pieces {
        sure.add(&piece);
        joined.duration_ms = piece.duration_ms.map(|ms| start_ms + ms).or(joined.duration_ms);
        let known = speakers;
        let mut count = |speaker: Option<u32>| {
            let speaker = speaker?.saturating_add(known);
            speakers = speakers.max(speaker.saturating_add(1));
            Some(speaker)
        };
        for mut word in piece.words {
            word.start_ms += start_ms;
            word.end_ms += start_ms;
            word.speaker = count(word.speaker);
            joined.words.push(word);
        }
        let mut shift = |stretch: Stretch| Stretch {
            start_ms: stretch.start_ms + start_ms,
            end_ms: stretch.end_ms + start_ms,
            speaker: count(stretch.speaker),
            ..stretch
        };
        joined.segments.extend(piece.segments.into_iter().map(&mut shift));
        joined.paragraphs.extend(piece.paragraphs.into_iter().map(&mut shift));
        joined.highlights.extend(piece.highlights);
        joined.tokens = add(joined.tokens, piece.tokens);
        if joined.model.is_empty() {
            joined.model = piece.model;
        }
        joined.language = joined.language.or(piece.language);
        joined.request_id = joined.request_id.or(piece.request_id);
        texts.push(piece.transcript);
    }
    let texts = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    joined.transcript = texts.collect::<Vec<_>>().join(" ");
    joined.confidence = sure.mean();
    joined
}

fn add(one: Option<Tokens>, other: Option<Tokens>) -> Option<Tokens> {
    let (Some(one), Some(other)) = (one, other) else { return one.or(other) };
    Some(Tokens {
        input: one.input + other.input,
        cached: one.cached + other.cached,
        output: one.output + other.output,
    })
}

/// The mean of confidences, each with the weight of its text.
#[derive(Default)]
struct Sureness {
    sum: f64,
    weight: f64,
}

impl Sureness {
    fn add(&mut self, piece: &Transcription) {
        let weight = piece.transcript.len() as f64;
        if let Some(sure) = piece.confidence.filter(|_| weight > 0.0) {
            self.sum += sure * weight;
            self.weight += weight;
        }
    }

    fn mean(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Word;

    fn word(n: usize, start_ms: u64, speaker: Option<u32>) -> Word {
        let (word, end_ms) = (format!("w{n}"), start_ms + 10);
        Word { word, punctuated_word: None, start_ms, end_ms, confidence: 1.0, speaker }
    }

    proptest! {
        #[test]
        fn every_word_stands_where_it_was_spoken(
            pieces in proptest::collection::vec(proptest::collection::vec(0_u64..5_000, 0..20), 1..10),
        ) {
            let (mut parts, mut wanted, mut begins) = (Vec::new(), Vec::new(), 0);
            for mut starts in pieces {
                starts.sort_unstable();
                let words: Vec<Word> = starts.iter().enumerate()
                    .map(|(at, start)| word(wanted.len() + at, *start, None)).collect();
                wanted.extend(words.iter().map(|word| (word.word.clone(), word.start_ms + begins)));
                let text: Vec<_> = words.iter().map(|word| word.word.clone()).collect();
                let transcript = text.join(" ");
                let piece = Transcription { transcript, words, duration_ms: Some(6_000), ..Transcription::default() };
                parts.push((begins, piece));
                begins += 6_000;
            }
            let joined = join(parts);
            let told: Vec<_> = joined.words.iter().map(|word| (word.word.clone(), word.start_ms)).collect();
            prop_assert_eq!(&told, &wanted);
            let text: Vec<_> = wanted.iter().map(|(word, _)| word.clone()).collect();
            prop_assert_eq!(joined.transcript, text.join(" "));
            prop_assert_eq!(joined.duration_ms, Some(begins));
        }
    }

    #[test]
    fn speakers_of_later_pieces_are_counted_on() {
        let piece = |speaker| Transcription {
            transcript: "one".into(),
            confidence: Some(0.5),
            words: vec![word(0, 0, Some(speaker))],
            ..Transcription::default()
        };
        let joined = join(vec![(0, piece(1)), (100, piece(0))]);
        let told: Vec<_> = joined.words.iter().map(|word| word.speaker).collect();
        assert_eq!(told, [Some(1), Some(2)]);
        assert_eq!(joined.confidence, Some(0.5));
    }
}
