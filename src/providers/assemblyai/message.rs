//! AssemblyAI's messages, as far as we use them.

use serde::Deserialize;

/// One message.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub(super) enum Message {
    /// The session is open.
    Begin {
        /// The session's id.
        #[serde(default)]
        id: String,
    },
    /// What was heard of a turn so far; all of it once it has ended.
    Turn(Turn),
    /// Speech began, in milliseconds of the session's audio.
    SpeechStarted { timestamp: f64 },
    /// Everything was heard, and told before.
    Termination {
        /// Seconds of audio, rounded.
        audio_duration_seconds: Option<f64>,
    },
    /// The session is about to be closed, with that code.
    Error {
        error_code: Option<u16>,
        #[serde(default)]
        error: String,
    },
    /// Something was not to its liking.
    Warning {
        #[serde(default)]
        warning: String,
    },
    /// Not one of the messages that we use.
    #[serde(other)]
    Other,
}

/// A continuous stretch of speech.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Turn {
    /// Its number in the session, from 0.
    #[serde(rename = "turn_order")]
    pub(super) order: u64,
    /// Whether it has capitals and punctuation.
    #[serde(rename = "turn_is_formatted", default)]
    pub(super) formatted: bool,
    /// Whether it is over.
    #[serde(rename = "end_of_turn", default)]
    pub(super) ended: bool,
    /// Its words that will not change any more.
    #[serde(default)]
    pub(super) transcript: String,
    /// All its words.
    #[serde(default)]
    pub(super) words: Vec<TurnWord>,
}

/// A word, its times in milliseconds of the session's audio.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct TurnWord {
    pub(super) text: String,
    pub(super) start: f64,
    pub(super) end: f64,
    #[serde(default)]
    pub(super) confidence: f32,
}

/// Errors of the front door have no type.
#[derive(Deserialize)]
struct Bare {
    error: String,
    error_code: Option<u16>,
}

/// Reads a text message, or says why it is none.
pub(super) fn parse(text: &str) -> Result<Message, String> {
    serde_json::from_str(text).or_else(|error| match serde_json::from_str(text) {
        Ok(Bare { error, error_code }) => Ok(Message::Error { error_code, error }),
        Err(_) => Err(format!("unreadable message: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let begin = r#"{"type":"Begin","id":"de5d","expires_at":1759796682}"#;
        assert!(matches!(parse(begin), Ok(Message::Begin { id }) if id == "de5d"));
        let end = r#"{"type":"Termination","audio_duration_seconds":45}"#;
        let Ok(Message::Termination { audio_duration_seconds }) = parse(end) else { panic!() };
        assert_eq!(audio_duration_seconds, Some(45.0));
        let silent = r#"{"type":"Termination"}"#;
        assert!(matches!(parse(silent), Ok(Message::Termination { audio_duration_seconds: None })));
        assert!(matches!(parse(r#"{"type":"Heartbeat"}"#), Ok(Message::Other)));
        let bare = r#"{"error":"Not authorized","error_code":4001}"#;
        assert!(matches!(parse(bare), Ok(Message::Error { error_code: Some(4001), .. })));
    }

    #[test]
    fn nonsense_is_survived() {
        let deep = "[".repeat(100_000);
        for text in ["", "<html>", "{}", r#"{"type":7}"#, r#"{"type":"Turn"}"#, &deep] {
            assert!(parse(text).is_err(), "{text:.40}");
        }
    }
}
