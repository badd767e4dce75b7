//! Every word once, at its time, within the bounds, and readable again.

use proptest::prelude::*;

use super::{
    super::record::{Contents, Final, Gap, Kept, Session},
    Format,
    cues::{self, LINE_CHARACTERS, LINES, LONGEST_MS, clock},
    json, tokens,
};
use crate::model::Word;

fn word(text: &str, start_ms: u64, end_ms: u64) -> Word {
    let punctuated_word = Some(text.to_owned());
    let word = text.to_lowercase();
    Word { word, punctuated_word, start_ms, end_ms, confidence: 0.9, speaker: None }
}

fn said(n: u64, words: Vec<Word>) -> Final {
    let text: Vec<&str> = words.iter().filter_map(|word| word.punctuated_word.as_deref()).collect();
    Final {
        n,
        start_ms: words.first().map_or(0, |word| word.start_ms),
        end_ms: words.last().map_or(0, |word| word.end_ms),
        text: text.join(" "),
        confidence: 0.9,
        words,
        timing: "measured".to_owned(),
        speaker: None,
        channel: None,
        language: "en".to_owned(),
        provider: "deepgram".to_owned(),
    }
}

/// A sentence whose words take 300 ms each.
fn sentence(n: u64, start_ms: u64, text: &str, speaker: Option<u32>) -> Final {
    let at = |word: usize| start_ms + 300 * word as u64;
    let words = text.split(' ').enumerate();
    let words = words.map(|(n, text)| Word { speaker, ..word(text, at(n), at(n + 1)) });
    said(n, words.collect())
}

fn session(finals: u64) -> Session {
    let started_at = chrono::DateTime::UNIX_EPOCH.naive_utc();
    let transcript = Some(Kept {
        complete: true,
        outcome: Some("finished".to_owned()),
        finals,
        stored: finals,
        expires_at: None,
        deleted_at: None,
    });
    Session {
        id: uuid::Uuid::nil(),
        provider: "deepgram".to_owned(),
        model: "nova-2".to_owned(),
        language: "en".to_owned(),
        started_at,
        ended_at: Some(started_at),
        audio_ms: 5_000,
        transcript,
    }
}

fn written(format: Format, finals: &[Final]) -> String {
    format.write(&session(finals.len() as u64), &whole(finals)).unwrap()
}

fn whole(finals: &[Final]) -> Contents {
    Contents { finals: finals.to_vec(), gaps: Vec::new() }
}

#[test]
fn subtitles_break_at_sentences_and_pauses() {
    let finals = [
        sentence(1, 0, "The quick brown fox jumps over the lazy dog. Then", None),
        sentence(2, 3_000, "it sleeps.", None),
        sentence(3, 10_000, "Dr. Who & <i> --> wakes", None),
    ];
    let srt = "1\n00:00:00,000 --> 00:00:02,700\nThe quick brown fox jumps over the lazy\ndog.\n\n\
               2\n00:00:02,700 --> 00:00:03,700\nThen it sleeps.\n\n\
               3\n00:00:10,000 --> 00:00:11,800\nDr. Who & <i> -> wakes\n\n";
    assert_eq!(written(Format::Srt, &finals), srt);
    let vtt = "WEBVTT\n\n\
               00:00:00.000 --> 00:00:02.700\nThe quick brown fox jumps over the lazy\ndog.\n\n\
               00:00:02.700 --> 00:00:03.700\nThen it sleeps.\n\n\
               00:00:10.000 --> 00:00:11.800\nDr. Who &amp; &lt;i&gt; --&gt; wakes\n";
    assert_eq!(written(Format::Vtt, &finals), vtt);
}

#[test]
fn speakers_are_told_apart() {
    let mut finals = vec![
        sentence(1, 0, "Good morning.", Some(0)),
        sentence(2, 700, "Hello to you.", Some(1)),
        sentence(3, 1_700, "How are you?", Some(1)),
    ];
    let text = "Speaker 0: Good morning.\n\nSpeaker 1: Hello to you. How are you?\n";
    assert_eq!(written(Format::Text, &finals), text);
    let vtt = written(Format::Vtt, &finals);
    assert!(vtt.contains("\n<v Speaker 0>Good morning.\n"), "{vtt}");
    assert!(vtt.contains("\n<v Speaker 1>Hello to you. How are you?\n"), "{vtt}");
    for (channel, said) in (0..).zip(&mut finals) {
        said.channel = Some(channel);
    }
    let text = written(Format::Text, &finals);
    assert!(text.starts_with("Channel 0, Speaker 0: Good morning.\n\nChannel 1"), "{text}");
}

#[test]
fn a_long_pause_begins_a_paragraph() {
    let finals = [sentence(1, 0, "One two.", None), sentence(2, 2_600, "Three.", None)];
    assert_eq!(written(Format::Text, &finals), "One two.\n\nThree.\n");
}

#[test]
fn what_is_written_without_spaces_stays_so() {
    let mut finals = [sentence(1, 0, "你 好 世 界", None)];
    finals[0].text = "你好世界".to_owned();
    assert_eq!(written(Format::Text, &finals), "你好世界\n");
    assert!(written(Format::Srt, &finals).contains("\n你好世界\n"));
}

#[test]
fn a_final_without_words_is_spread_over_its_time() {
    let mut only = sentence(1, 1_000, "a bb", None);
    only.words.clear();
    let tokens = tokens::of(&[only]);
    let times: Vec<_> = tokens.iter().map(|token| (token.start_ms, token.end_ms)).collect();
    assert_eq!(times, [(1_000, 1_200), (1_200, 1_600)]);
}

#[test]
fn two_who_speak_at_once_share_the_time() {
    let mut finals = [
        sentence(1, 0, "one one one one one one one one one one", None),
        sentence(2, 0, "two two two two two two two two two two", None),
    ];
    finals[0].channel = Some(0);
    finals[1].channel = Some(1);
    let times: Vec<_> =
        cues::of(&whole(&finals)).iter().map(|cue| (cue.start_ms, cue.end_ms)).collect();
    assert_eq!(times, [(0, 1_500), (1_500, 3_000)]);
}

#[test]
fn nothing_said_is_an_empty_file() {
    let [json, text, srt, vtt] = Format::ALL.map(|format| written(format, &[]));
    assert!(json.contains(r#""missing":[],"finals":[]"#), "{json}");
    assert_eq!([text.as_str(), &srt, &vtt], ["", "", "WEBVTT\n"]);
}

#[test]
fn hours_grow_past_two_digits() {
    assert_eq!(clock(3_599_999, ','), "00:59:59,999");
    assert_eq!(clock(360_000_000 + 61_001, '.'), "100:01:01.001");
}

#[test]
fn what_is_missing_is_named() {
    let finals = [2, 3, 6].map(|n| sentence(n, n * 1_000, "word", None)).to_vec();
    let contents = Contents { finals, gaps: Vec::new() };
    let gaps = |said| serde_json::to_string(&json::missing(&contents, said)).unwrap();
    let until_six = r#"{"from_n":1,"to_n":1},{"from_n":4,"to_n":5}"#;
    assert_eq!(gaps(6), format!("[{until_six}]"));
    assert_eq!(gaps(8), format!(r#"[{until_six},{{"from_n":7,"to_n":8}}]"#));
}

#[test]
fn audio_without_a_transcript_is_told_in_its_place_and_is_not_missing() {
    let gap = |n, from_ms, to_ms| Gap { n, from_ms, to_ms, reason: "provider_away".to_owned() };
    let finals = vec![
        sentence(1, 0, "Hello there.", Some(2)),
        sentence(3, 15_000, "And so on.", Some(2)),
        sentence(4, 16_000, "Well.", Some(2)),
    ];
    let contents = Contents { finals, gaps: vec![gap(2, 1_000, 12_001), gap(5, 17_000, 18_000)] };
    let write = |format: Format| format.write(&session(3), &contents).unwrap();
    let expected = "Speaker 2: Hello there.\n\n[… 12 s without transcript]\n\n\
                    Speaker 2: And so on. Well.\n\n[… 1 s without transcript]\n";
    assert_eq!(write(Format::Text), expected);
    let json: serde_json::Value = serde_json::from_str(&write(Format::Json)).unwrap();
    assert_eq!(json["missing"], serde_json::json!([]));
    let told = serde_json::json!(
        { "n": 2, "from_ms": 1_000, "to_ms": 12_001, "reason": "provider_away" }
    );
    assert_eq!((&json["gaps"][0], json["gaps"].as_array().unwrap().len()), (&told, 2));
    let srt = write(Format::Srt);
    assert!(
        srt.contains("\n2\n00:00:01,000 --> 00:00:08,000\n[… 12 s without transcript]\n"),
        "{srt}"
    );
    let vtt = write(Format::Vtt);
    assert!(vtt.contains("00:00:17.000 --> 00:00:18.000\n[… 1 s without transcript]\n"), "{vtt}");
}

#[test]
fn the_json_says_it_all() {
    let finals = [sentence(1, 0, "Hello there.", Some(2))];
    let json: serde_json::Value = serde_json::from_str(&written(Format::Json, &finals)).unwrap();
    assert_eq!(json["finals"][0]["text"], "Hello there.");
    assert_eq!(json["finals"][0]["words"][1]["punctuated_word"], "there.");
    assert_eq!(json["transcript"]["complete"], true);
    assert_eq!(json["started_at"], "1970-01-01T00:00:00.000000Z");
}

/// A cue as a player reads it: when, and which lines.
type Read = (u64, u64, Vec<String>);

fn moment(text: &str) -> u64 {
    let fields: Vec<u64> = text.split([':', ',', '.']).map(|part| part.parse().unwrap()).collect();
    ((fields[0] * 60 + fields[1]) * 60 + fields[2]) * 1_000 + fields[3]
}

fn read_block(lines: &[&str]) -> Read {
    let (from, until) = lines[0].split_once(" --> ").unwrap();
    (moment(from), moment(until), lines[1..].iter().map(|line| (*line).to_owned()).collect())
}

fn read_srt(text: &str) -> Vec<Read> {
    let blocks = text.split("\n\n").filter(|block| !block.is_empty()).enumerate();
    blocks
        .map(|(at, block)| {
            let lines: Vec<&str> = block.lines().collect();
            assert_eq!(lines[0], (at + 1).to_string());
            read_block(&lines[1..])
        })
        .collect()
}

fn read_vtt(text: &str) -> Vec<Read> {
    let mut blocks = text.trim_end_matches('\n').split("\n\n");
    assert_eq!(blocks.next(), Some("WEBVTT"));
    let plain = |line: &str| {
        let spoken = line.strip_prefix("<v ").and_then(|rest| rest.split_once('>'));
        let line = spoken.map_or(line, |(_, line)| line);
        assert!(!line.contains(['<', '>']), "{line}");
        line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    };
    let read = blocks.map(|block| read_block(&block.lines().collect::<Vec<_>>()));
    read.map(|(from, until, lines)| (from, until, lines.iter().map(|line| plain(line)).collect()))
        .collect()
}

/// Finals with words of any length, at any time, in any order, of several speakers and channels.
fn anything() -> impl Strategy<Value = Vec<Final>> {
    let text = prop_oneof![
        8 => "[a-z]{1,12}[.,?]?",
        1 => "[a-zA-Z<>&\\-é世 \u{2028}\t]{1,100}",
        1 => Just("-->".to_owned()),
    ];
    let pause = prop_oneof![4 => Just(0_u64), 2 => 1_u64..900, 1 => 900_u64..400_000_000];
    let one = (text, pause, 0_u64..1_500, 0_u64..300, proptest::option::of(0_u32..3));
    let words = proptest::collection::vec(one, 0..20);
    let finals = proptest::collection::vec((words, proptest::option::of(0_u16..2)), 0..8);
    (finals, any::<bool>()).prop_map(|(finals, overlaps)| {
        let mut at = 0;
        let numbered = (1..).zip(finals);
        numbered
            .map(|(n, (words, channel))| {
                let place = |(text, pause, long, back, speaker): (String, u64, u64, u64, _)| {
                    let start_ms = (at + pause).saturating_sub(if overlaps { back } else { 0 });
                    at = start_ms + long;
                    Word { speaker, ..word(&text, start_ms, at) }
                };
                let words: Vec<Word> = words.into_iter().map(place).collect();
                Final { channel, ..said(n, words) }
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_word_is_in_one_cue_within_the_bounds(finals in anything()) {
        let vtt = read_vtt(&written(Format::Vtt, &finals));
        let mut until = 0;
        for (from, to, lines) in &vtt {
            prop_assert!(*from >= until && to > from, "{from}..{to} after {until}");
            prop_assert!(to - from <= LONGEST_MS, "{from}..{to}");
            prop_assert!((1..=LINES).contains(&lines.len()), "{lines:?}");
            for line in lines {
                prop_assert!((1..=LINE_CHARACTERS).contains(&line.chars().count()), "{line:?}");
                prop_assert_eq!(line.trim(), line.as_str());
            }
            until = *to;
        }
        let whole = |read: &[Read]| -> String { read.iter().flat_map(|cue| cue.2.clone()).collect() };
        let solid = |text: &str| text.replace(' ', "");
        let expected: String = tokens::of(&finals).into_iter().map(|token| token.text).collect();
        prop_assert_eq!(solid(&whole(&vtt)), expected.clone());
        let mut ordered = finals.clone();
        ordered.sort_by_key(|said| (said.start_ms, said.n));
        let spoken = ordered.iter().flat_map(|said| said.text.chars());
        let spoken: String = spoken.filter(|c| !c.is_whitespace() && !c.is_control()).collect();
        prop_assert_eq!(&expected, &spoken);
        let srt = read_srt(&written(Format::Srt, &finals));
        for (one, other) in srt.iter().zip(&vtt) {
            // Readers look for the arrow line by line; two lines may well make one together.
            prop_assert!(one.2.iter().all(|line| !line.contains("-->")), "{:?}", one.2);
            // Of an arrow SRT keeps the head.
            let bare = |lines: &[String]| lines.concat().replace('-', "");
            prop_assert_eq!(bare(&one.2), bare(&other.2));
        }
        let times = |read: &[Read]| read.iter().map(|cue| (cue.0, cue.1)).collect::<Vec<_>>();
        prop_assert_eq!(times(&srt), times(&vtt));
    }

    #[test]
    fn a_word_stands_while_it_is_said(finals in anything()) {
        // Where nobody speaks while another does, a cue covers its words.
        let tokens = tokens::of(&finals);
        let overlap = tokens.windows(2).any(|pair| pair[1].start_ms < pair[0].end_ms);
        prop_assume!(!overlap);
        let cues = cues::of(&whole(&finals));
        for token in tokens {
            let covered = cues.iter().any(|cue| cue.start_ms <= token.start_ms && cue.end_ms >= token.end_ms);
            prop_assert!(covered, "{token:?} in {cues:?}");
        }
    }

    #[test]
    fn the_text_holds_every_word(finals in anything()) {
        let text = written(Format::Text, &finals);
        let solid = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        let mut text = text.as_str().to_owned();
        for label in ["Channel 0, ", "Channel 1, ", "Channel 0: ", "Channel 1: ", "Speaker 0: ", "Speaker 1: ", "Speaker 2: "] {
            text = text.replace(label, "");
        }
        let expected: String = tokens::of(&finals).into_iter().map(|token| token.text).collect();
        prop_assert_eq!(solid(&text), solid(&expected));
    }
}
