//! One numbered piece of a session: a final, a gap, or its end.

use std::fmt;

use serde_json::Value;

/// A word as a client was told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word.
    pub text: String,
    /// Where it begins, in milliseconds of the session's audio.
    pub start_ms: u64,
    /// Where it ends.
    pub end_ms: u64,
}

/// What a piece is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A final and its words.
    Final(Vec<Word>),
    /// Audio without a transcript, and why.
    Gap(String),
    /// The end of the session, and how it ended.
    Ended(String),
}

/// Whatever uses up a number of its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its number in the session, from 1.
    pub n: u64,
    /// Where it begins, in milliseconds of the session's audio.
    pub from_ms: u64,
    /// Where it ends.
    pub to_ms: u64,
    /// What it is.
    pub kind: Kind,
}

impl Piece {
    /// The piece in a message of the service and the session that it belongs to, if it is one.
    pub fn read(message: &Value) -> Option<(String, Self)> {
        let number = |field: &str| message[field].as_u64();
        let (from_ms, to_ms, kind) = match message["type"].as_str()? {
            "transcription" if message["is_final"] == true => {
                let words = message["words"].as_array().map(|words| words.iter().map(word));
                let words = words.into_iter().flatten().collect();
                (number("start_ms")?, number("end_ms")?, Kind::Final(words))
            }
            "gap" => {
                let reason = message["reason"].as_str().unwrap_or_default().to_owned();
                (number("from_ms")?, number("to_ms")?, Kind::Gap(reason))
            }
            "session_ended" => {
                (0, 0, Kind::Ended(message["outcome"].as_str().unwrap_or_default().to_owned()))
            }
            _ => return None,
        };
        let session = message["session_id"].as_str()?.to_owned();
        Some((session, Self { n: number("n")?, from_ms, to_ms, kind }))
    }

    /// Its words; none unless it is a final.
    pub fn words(&self) -> &[Word] {
        match &self.kind {
            Kind::Final(words) => words,
            _ => &[],
        }
    }

    /// Whether it says that audio was lost.
    pub const fn is_gap(&self) -> bool {
        matches!(self.kind, Kind::Gap(_))
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n {} {}..{} ms ", self.n, self.from_ms, self.to_ms)?;
        match &self.kind {
            Kind::Final(words) => {
                let text =
                    |word: Option<&Word>| word.map_or("nothing", |word| &word.text).to_owned();
                write!(f, "{} to {}", text(words.first()), text(words.last()))
            }
            Kind::Gap(why) => write!(f, "gap: {why}"),
            Kind::Ended(how) => write!(f, "ended: {how}"),
        }
    }
}

fn word(word: &Value) -> Word {
    Word {
        text: word["word"].as_str().unwrap_or_default().to_owned(),
        start_ms: word["start_ms"].as_u64().unwrap_or(u64::MAX),
        end_ms: word["end_ms"].as_u64().unwrap_or(u64::MAX),
    }
}
