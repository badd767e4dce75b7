//! Deepgram's messages, parsed once into the seam's events.

use serde::Deserialize;

use crate::{
    model::{Segment, Timing, Word},
    providers::StreamEvent,
};

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Message {
    Results(Results),
    Metadata(Metadata),
    SpeechStarted {
        timestamp: f64,
    },
    UtteranceEnd {
        last_word_end: f64,
    },
    Error(ClientError),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    channel_index: Vec<u16>,
    start: f64,
    duration: f64,
    #[serde(default)]
    is_final: bool,
    #[serde(default)]
    speech_final: bool,
    #[serde(default)]
    from_finalize: bool,
    channel: Channel,
}

#[derive(Deserialize)]
struct Channel {
    #[serde(default)]
    alternatives: Vec<Alternative>,
}

#[derive(Default, Deserialize)]
struct Alternative {
    #[serde(default)]
    transcript: String,
    #[serde(default)]
    confidence: f32,
    #[serde(default)]
    words: Vec<HeardWord>,
}

#[derive(Deserialize)]
struct HeardWord {
    word: String,
    start: f64,
    end: f64,
    #[serde(default)]
    confidence: f32,
    punctuated_word: Option<String>,
    speaker: Option<u32>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    duration: f64,
}

#[derive(Deserialize)]
struct ClientError {
    #[serde(default)]
    description: String,
}

/// What a message means.
pub(super) enum Heard {
    /// Events for the session, in order.
    Events(Vec<StreamEvent>),
    /// The closing summary: milliseconds of audio that were processed.
    Summary { audio_ms: u64 },
    /// Deepgram did not understand something we sent; the stream lives on.
    Complaint(String),
    /// Not one of the messages that we use.
    Ignored,
}

/// Parses messages and keeps how far each channel is covered by finals.
#[derive(Debug)]
pub(super) struct Parser {
    covered_ms: Vec<u64>,
}

impl Parser {
    /// For a stream whose channels are transcribed each by itself, or as one.
    pub(super) fn new(channels: usize) -> Self {
        Self { covered_ms: vec![0; channels.max(1)] }
    }

    /// Reads one text message; text that is not JSON of a known shape is a complaint of ours.
    pub(super) fn parse(&mut self, text: &str) -> Heard {
        match serde_json::from_str(text) {
            Ok(Message::Results(results)) => Heard::Events(self.results(results)),
            Ok(Message::Metadata(metadata)) => Heard::Summary { audio_ms: ms(metadata.duration) },
            Ok(Message::SpeechStarted { timestamp }) => {
                Heard::Events(vec![StreamEvent::SpeechStarted { at_ms: ms(timestamp) }])
            }
            Ok(Message::UtteranceEnd { last_word_end }) => {
                Heard::Events(vec![StreamEvent::UtteranceEnd {
                    last_word_end_ms: ms(last_word_end),
                }])
            }
            Ok(Message::Error(error)) => Heard::Complaint(error.description),
            Ok(Message::Other) => Heard::Ignored,
            Err(error) => Heard::Complaint(format!("unreadable message: {error}")),
        }
    }

    fn results(&mut self, results: Results) -> Vec<StreamEvent> {
        let end_ms = ms(results.start + results.duration);
        let (is_final, channel) = (results.is_final, results.channel_index.first().copied());
        let mut events = Vec::with_capacity(2);
        if let Some(segment) = segment(results, end_ms) {
            events.push(StreamEvent::Transcript(Box::new(segment)));
        }
        if is_final {
            let until_ms = self.cover(usize::from(channel.unwrap_or(0)), end_ms);
            events.push(StreamEvent::Covered { until_ms });
        }
        if events.is_empty() {
            events.push(StreamEvent::Nothing);
        }
        events
    }

    /// Moves a channel's cursor; the stream is covered as far as its slowest channel.
    fn cover(&mut self, channel: usize, end_ms: u64) -> u64 {
        if let Some(covered) = self.covered_ms.get_mut(channel) {
            *covered = (*covered).max(end_ms);
        }
        self.covered_ms.iter().copied().min().unwrap_or(end_ms)
    }
}

fn segment(results: Results, end_ms: u64) -> Option<Segment> {
    let heard = results.channel.alternatives.into_iter().next().unwrap_or_default();
    if heard.transcript.is_empty() {
        return None;
    }
    let channel = match results.channel_index[..] {
        [index, of, ..] => (index, of),
        _ => (0, 1),
    };
    Some(Segment {
        start_ms: ms(results.start),
        end_ms,
        transcript: heard.transcript,
        confidence: heard.confidence,
        is_final: results.is_final,
        speech_final: results.speech_final,
        from_finalize: results.from_finalize,
        words: heard.words.into_iter().map(word).collect(),
        channel,
        timing: Timing::Measured,
    })
}

fn word(heard: HeardWord) -> Word {
    Word {
        word: heard.word,
        punctuated_word: heard.punctuated_word,
        start_ms: ms(heard.start),
        end_ms: ms(heard.end),
        confidence: heard.confidence,
        speaker: heard.speaker,
    }
}

/// Longer than any audio; times stop here, so that they can be added without overflow.
const LONGEST_MS: f64 = 1e15;

/// Seconds as whole milliseconds; what is negative or no number at all counts as zero.
fn ms(seconds: f64) -> u64 {
    (seconds * 1000.0).round().clamp(0.0, LONGEST_MS) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINAL: &str = r#"{"type":"Results","channel_index":[0,1],"start":1.5,"duration":1.25,
        "is_final":true,"speech_final":true,"channel":{"alternatives":[{"transcript":"Hello.",
        "confidence":0.98,"words":[{"word":"hello","start":1.6,"end":2.0,"confidence":0.9,
        "punctuated_word":"Hello.","speaker":1}]}]},"metadata":{"request_id":"x"}}"#;

    fn events(heard: Heard) -> Vec<StreamEvent> {
        match heard {
            Heard::Events(events) => events,
            _ => panic!("not events"),
        }
    }

    #[test]
    fn a_final_is_text_and_coverage() {
        let events = events(Parser::new(1).parse(FINAL));
        let [StreamEvent::Transcript(segment), StreamEvent::Covered { until_ms: 2750 }] =
            &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!((segment.start_ms, segment.end_ms), (1500, 2750));
        assert!(segment.is_final && segment.speech_final);
        assert_eq!(segment.words[0].speaker, Some(1));
    }

    #[test]
    fn coverage_is_that_of_the_slowest_channel() {
        let mut parser = Parser::new(2);
        let second = FINAL.replace("[0,1]", "[1,2]").replace("\"start\":1.5", "\"start\":0.5");
        let first = events(parser.parse(&FINAL.replace("[0,1]", "[0,2]")));
        assert!(matches!(first[1], StreamEvent::Covered { until_ms: 0 }));
        let both = events(parser.parse(&second));
        assert!(matches!(both[1], StreamEvent::Covered { until_ms: 1750 }));
    }

    #[test]
    fn nonsense_is_survived() {
        let mut parser = Parser::new(1);
        assert!(matches!(parser.parse("<html>"), Heard::Complaint(_)));
        assert!(matches!(parser.parse(r#"{"type":"New"}"#), Heard::Ignored));
        let deep = "[".repeat(100_000);
        assert!(matches!(parser.parse(&deep), Heard::Complaint(_)));
        let negative = FINAL.replace("1.5", "-7.0");
        let events = events(parser.parse(&negative));
        assert!(matches!(events[1], StreamEvent::Covered { until_ms: 0 }));
    }
}
