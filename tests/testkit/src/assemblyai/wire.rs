//! AssemblyAI's messages, field for field.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use uuid::Uuid;

use super::listener::Turn;
use crate::script::Word;

/// Sessions end after three hours.
const LONGEST_SESSION: Duration = Duration::from_hours(3);

pub(crate) fn begin(id: Uuid) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({ "type": "Begin", "id": id, "expires_at": (now + LONGEST_SESSION).as_secs() })
}

/// A turn as it was heard, or as it is written.
pub(crate) fn turn(turn: &Turn, written: bool) -> Value {
    let last = turn.words.len() - 1;
    let word = |(at, word): (usize, &Word)| {
        json!({
            "text": text(word, written), "start": word.start_us / 1000,
            "end": word.end_us / 1000, "confidence": 0.95,
            // The latest word of a turn that goes on may still change.
            "word_is_final": turn.ended || at < last,
        })
    };
    let words: Vec<_> = turn.words.iter().enumerate().map(word).collect();
    let unchanging = if turn.ended { &turn.words[..] } else { &turn.words[..last] };
    let transcript: Vec<_> = unchanging.iter().map(|word| text(word, written)).collect();
    let transcript = transcript.join(" ");
    json!({
        "type": "Turn", "turn_order": turn.order, "turn_is_formatted": written,
        "end_of_turn": turn.ended, "transcript": transcript,
        "end_of_turn_confidence": if turn.ended { 0.9 } else { 0.01 },
        "words": words, "utterance": if turn.ended { transcript.as_str() } else { "" },
    })
}

fn text(word: &Word, written: bool) -> &str {
    word.punctuated.as_deref().filter(|_| written).unwrap_or(&word.text)
}

pub(crate) fn termination(heard: Duration, open: Duration) -> Value {
    json!({
        "type": "Termination", "audio_duration_seconds": heard.as_secs(),
        "session_duration_seconds": open.as_secs(),
    })
}

pub(crate) fn error(code: u16, reason: &str) -> Value {
    json!({ "type": "Error", "error_code": code, "error": reason })
}
