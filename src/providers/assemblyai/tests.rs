//! What AssemblyAI is asked, and turns as it sends them, and as it never should.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    message::{self, Message, Turn},
    model, query,
    turns::Turns,
};
use crate::{
    model::{AudioFormat, Encoding, Language, RawFormat, Segment},
    providers::{Endpointing, ErrorClass, StreamEvent, StreamOptions},
};

fn options() -> StreamOptions {
    StreamOptions {
        language: Language::ENGLISH,
        model: None,
        format: AudioFormat::Raw(RawFormat::DEFAULT),
        interim_results: true,
        punctuate: true,
        smart_format: true,
        diarize: false,
        multichannel: false,
        numerals: false,
        profanity_filter: false,
        vad_events: false,
        keyterms: Vec::new(),
        endpointing: Endpointing::Default,
        utterance_end_ms: None,
        report_sent: false,
    }
}

fn pairs(options: &StreamOptions) -> Vec<(String, String)> {
    let raw = model::check(options).expect("a stream that it takes");
    let url = query::url("http://127.0.0.1:1/gate/", options, raw).expect("an address");
    assert!(url.as_str().starts_with("ws://127.0.0.1:1/gate/v3/ws?"), "{url}");
    url.query_pairs().into_owned().collect()
}

#[test]
fn options_become_parameters_and_what_it_does_not_know_is_left_out() {
    let expect = |options: &StreamOptions, expected: &[(&str, &str)]| {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(pairs(options), expected);
    };
    expect(
        &options(),
        &[
            ("speech_model", "universal-streaming-english"),
            ("encoding", "pcm_s16le"),
            ("sample_rate", "16000"),
            ("format_turns", "true"),
        ],
    );
    let raw = RawFormat { encoding: Encoding::Mulaw, sample_rate: 8_000, channels: 1 };
    let chosen = StreamOptions {
        language: Language::parse("it").expect("a code of the contract"),
        model: Some("nova-3".into()),
        format: AudioFormat::Raw(raw),
        punctuate: false,
        smart_format: false,
        diarize: true,
        numerals: true,
        profanity_filter: true,
        keyterms: vec!["Zürich & so".into(), "x".repeat(51)],
        endpointing: Endpointing::AfterMs(900),
        utterance_end_ms: Some(1_000),
        ..options()
    };
    expect(
        &chosen,
        &[
            ("speech_model", "universal-streaming-multilingual"),
            ("encoding", "pcm_mulaw"),
            ("sample_rate", "8000"),
            ("format_turns", "false"),
            ("filter_profanity", "true"),
            ("min_turn_silence", "400"),
            ("max_turn_silence", "900"),
            ("keyterms_prompt", r#"["Zürich & so"]"#),
        ],
    );
}

#[test]
fn a_stream_that_it_cannot_hear_is_refused_before_it_is_opened() {
    let greek = Language::parse("el").expect("a code of the contract");
    let refused = |options: StreamOptions| model::check(&options).expect_err("refused").class;
    assert_eq!(refused(StreamOptions { language: greek, ..options() }), ErrorClass::Language);
    let stereo = AudioFormat::Raw(RawFormat { channels: 2, ..RawFormat::DEFAULT });
    assert_eq!(refused(StreamOptions { format: stereo, ..options() }), ErrorClass::Format);
}

fn turn(json: &Value) -> Turn {
    match message::parse(&json.to_string()) {
        Ok(Message::Turn(turn)) => turn,
        other => panic!("{other:?}"),
    }
}

/// Words of half a second each.
fn said(order: u64, words: &[&str], from_ms: u64, (ended, written): (bool, bool)) -> Turn {
    let spoken = words.iter().zip(0_u64..).map(|(word, at)| {
        let start = from_ms + at * 500;
        json!({ "text": word, "start": start, "end": start + 400, "confidence": 0.5,
            "word_is_final": ended })
    });
    turn(&json!({
        "type": "Turn", "turn_order": order, "turn_is_formatted": written, "end_of_turn": ended,
        "transcript": if ended { words.join(" ") } else { String::new() },
        "end_of_turn_confidence": 0.9, "words": spoken.collect::<Vec<_>>(), "utterance": "",
    }))
}

fn texts<'a>(events: &'a [StreamEvent]) -> Vec<&'a Segment> {
    let text = |event: &'a StreamEvent| match event {
        StreamEvent::Transcript(segment) => Some(&**segment),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

fn covered(events: &[StreamEvent]) -> Option<u64> {
    events.iter().rev().find_map(|event| match event {
        StreamEvent::Covered { until_ms } => Some(*until_ms),
        _ => None,
    })
}

#[test]
fn a_turn_that_goes_on_is_interim() {
    let mut turns = Turns::new(true, true);
    let events = turns.hear(said(0, &["hi", "my"], 1920, (false, false)), false);
    let [text] = texts(&events)[..] else { panic!("{events:?}") };
    assert_eq!((text.transcript.as_str(), text.is_final), ("hi my", false));
    assert_eq!((text.start_ms, text.end_ms), (1920, 2820));
    assert_eq!(covered(&events), None);
    assert!(turns.is_speaking());
    let quiet = Turns::new(false, true).hear(said(0, &["hi"], 0, (false, false)), false);
    assert!(quiet.is_empty(), "interims were not asked for");
}

#[test]
fn a_turn_that_ended_is_final_once_in_its_written_form() {
    let mut turns = Turns::new(true, true);
    let unwritten = turns.hear(said(0, &["hi", "sonny"], 0, (true, false)), false);
    assert!(unwritten.is_empty() && turns.held_until().is_some(), "{unwritten:?}");
    let written = turns.hear(said(0, &["Hi,", "Sonny."], 0, (true, true)), false);
    let [text] = texts(&written)[..] else { panic!("{written:?}") };
    assert_eq!((text.transcript.as_str(), text.is_final), ("Hi, Sonny.", true));
    assert!(text.speech_final && !text.from_finalize);
    assert_eq!(text.words[1].word, "sonny");
    assert_eq!(text.words[1].punctuated_word.as_deref(), Some("Sonny."));
    assert_eq!((text.words[1].start_ms, text.words[1].end_ms), (500, 900));
    assert!((text.confidence - 0.5).abs() < f32::EPSILON);
    assert_eq!(covered(&written), Some(900));
    assert!(turns.held_until().is_none());
    let again = turns.hear(said(0, &["Hi,", "Sonny."], 0, (true, true)), false);
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn a_written_form_that_does_not_come_is_done_without() {
    let mut turns = Turns::new(false, true);
    turns.hear(said(0, &["hi"], 0, (true, false)), true);
    let next = turns.hear(said(1, &["I"], 1000, (false, false)), false);
    let [text] = texts(&next)[..] else { panic!("{next:?}") };
    assert_eq!((text.transcript.as_str(), text.from_finalize), ("hi", true));
    turns.hear(said(1, &["I", "am"], 1000, (true, false)), false);
    let rest = turns.release();
    assert_eq!(texts(&rest)[0].transcript, "I am");
    let late = turns.hear(said(1, &["I", "am."], 1000, (true, true)), false);
    assert!(late.is_empty() && turns.release().is_empty(), "{late:?}");
}

#[test]
fn an_end_that_was_asked_for_says_nothing_of_the_speaker() {
    let mut turns = Turns::new(true, false);
    let events = turns.hear(said(0, &["hi"], 0, (true, false)), true);
    let text = texts(&events)[0];
    assert!(text.is_final && text.from_finalize && !text.speech_final);
    assert_eq!(text.words[0].punctuated_word, None);
}

#[test]
fn an_empty_turn_says_nothing() {
    let mut turns = Turns::new(true, true);
    assert!(turns.hear(said(0, &[], 0, (true, false)), true).is_empty());
    assert!(turns.hear(said(1, &[], 0, (false, false)), true).is_empty());
    assert!(turns.held_until().is_none() && !turns.is_speaking());
}

#[test]
fn another_session_counts_from_where_its_audio_begins() {
    let mut turns = Turns::new(true, false);
    turns.hear(said(3, &["one"], 0, (true, false)), false);
    turns.renew(10_000);
    let events = turns.hear(said(0, &["two"], 100, (true, false)), false);
    assert_eq!((texts(&events)[0].start_ms, covered(&events)), (10_100, Some(10_500)));
}

proptest! {
    /// Whatever comes, finals neither overlap nor go back, and each ends what it covers.
    #[test]
    fn finals_never_overlap(
        turns_said in proptest::collection::vec(
            (0_u64..6, any::<bool>(), any::<bool>(), proptest::collection::vec(
                ("[a-z,. ]{0,4}", any::<f64>(), any::<f64>(), any::<f32>()), 0..4)),
            0..30),
        interim: bool,
        formatted: bool,
    ) {
        let mut turns = Turns::new(interim, formatted);
        let mut until = 0;
        let mut check = |events: Vec<StreamEvent>| {
            for text in texts(&events).into_iter().filter(|text| text.is_final) {
                prop_assert!(text.start_ms >= until && text.end_ms >= text.start_ms);
                prop_assert!((0.0..=1.0).contains(&text.confidence));
                until = text.end_ms;
            }
            prop_assert!(covered(&events).is_none_or(|ms| ms == until));
            Ok(())
        };
        for (order, ended, written, words) in turns_said {
            let words = words.into_iter().map(|(text, start, end, confidence)| message::TurnWord {
                text, start, end, confidence,
            });
            let turn = Turn {
                order,
                formatted: written,
                ended,
                transcript: String::new(),
                words: words.collect(),
            };
            check(turns.hear(turn, false))?;
        }
        check(turns.release())?;
    }

    #[test]
    fn any_text_is_read_without_a_panic(
        text in ".{0,200}",
        kind in "Begin|Turn|Termination|Error|Warning|SpeechStarted",
        number: f64,
    ) {
        drop(message::parse(&text));
        let odd = json!({ "type": kind, "id": text, "turn_order": number, "words": [
            { "text": text, "start": number, "end": number, "confidence": number } ],
            "end_of_turn": true, "timestamp": number, "audio_duration_seconds": number,
            "error_code": number, "error": text, "warning": text });
        if let Ok(Message::Turn(turn)) = message::parse(&odd.to_string()) {
            Turns::new(true, true).hear(turn, true);
        }
    }
}
