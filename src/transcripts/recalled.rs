//! What a room has of a session, as its transcript keeps it: an owner that died may have told the
//! room, and not have stored it yet.

use serde::Deserialize;

use super::record::{Final, Gap};
use crate::model::Word;

/// The body of a record in a room (docs/PROTOCOL.md), as far as a transcript keeps it.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Body {
    Transcription(Said),
    Gap(Lost),
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Said {
    n: u64,
    start_ms: u64,
    end_ms: u64,
    transcript: String,
    confidence: f32,
    words: Vec<Word>,
    timing: String,
    channel: Option<u16>,
    provider: String,
}

#[derive(Debug, Deserialize)]
struct Lost {
    n: u64,
    from_ms: u64,
    to_ms: u64,
    reason: String,
}

/// Something that a transcript keeps.
#[derive(Debug, PartialEq)]
pub(super) enum Recalled {
    /// What was said.
    Said(Final),
    /// Audio without a transcript.
    Lost(Gap),
}

/// Reads a body; nothing where it is none that a transcript keeps.
pub(super) fn read(body: &str, language: &str) -> Option<Recalled> {
    match serde_json::from_str(body).ok()? {
        Body::Transcription(said) => Some(Recalled::Said(Final {
            n: said.n,
            start_ms: said.start_ms,
            end_ms: said.end_ms,
            text: said.transcript,
            confidence: said.confidence,
            speaker: said.words.first().and_then(|word| word.speaker),
            words: said.words,
            timing: said.timing,
            channel: said.channel,
            language: language.to_owned(),
            provider: said.provider,
        })),
        Body::Gap(Lost { n, from_ms, to_ms, reason }) => {
            Some(Recalled::Lost(Gap { n, from_ms, to_ms, reason }))
        }
        Body::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_transcript_keeps_is_read() {
        let gap = r#"{"type":"gap","n":7,"from_ms":1,"to_ms":2,"reason":"client_buffer","x":0}"#;
        let lost = Gap { n: 7, from_ms: 1, to_ms: 2, reason: "client_buffer".to_owned() };
        assert_eq!(read(gap, "en"), Some(Recalled::Lost(lost)));
        for other in [r#"{"type":"session_ended","n":8}"#, r#"{"type":"gap","n":7}"#, "?"] {
            assert_eq!(read(other, "en"), None, "{other}");
        }
    }
}
