//! JSON messages of the raw WebSocket: an event's payload plus `type`.

use serde_json::{Map, Value};

use crate::model::Error;

/// What a client asks for in text.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// `start_streaming`, with its options.
    Start(Map<String, Value>),
    /// `stop_streaming`.
    Stop,
    /// `finalize`.
    Finalize,
    /// `resume`, with what it names.
    Resume(Map<String, Value>),
    /// `join`, with what it names.
    Join(Map<String, Value>),
    /// `leave`, with the room.
    Leave(Map<String, Value>),
    /// `authenticate`, with its token if there is one.
    Authenticate(Option<String>),
}

impl Command {
    /// Reads one text message.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let Ok(Value::Object(mut message)) = serde_json::from_str(text) else {
            return Err(Error::invalid("a message is a JSON object with a type"));
        };
        match message.remove("type") {
            Some(Value::String(name)) if name == "start_streaming" => Ok(Self::Start(message)),
            Some(Value::String(name)) if name == "stop_streaming" => Ok(Self::Stop),
            Some(Value::String(name)) if name == "finalize" => Ok(Self::Finalize),
            Some(Value::String(name)) if name == "resume" => Ok(Self::Resume(message)),
            Some(Value::String(name)) if name == "join" => Ok(Self::Join(message)),
            Some(Value::String(name)) if name == "leave" => Ok(Self::Leave(message)),
            Some(Value::String(name)) if name == "authenticate" => {
                Ok(Self::Authenticate(token(message)))
            }
            Some(Value::String(name)) => {
                let shown: String = name.chars().take(40).collect();
                Err(Error::invalid(format!("unknown message type {shown}")))
            }
            _ => Err(Error::invalid("a message is a JSON object with a type")),
        }
    }
}

/// The token in the payload of `authenticate`.
pub fn token(mut payload: Map<String, Value>) -> Option<String> {
    match payload.remove("token") {
        Some(Value::String(token)) => Some(token),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_known_types_only() {
        assert_eq!(Command::parse(r#"{"type":"stop_streaming"}"#).expect("stop"), Command::Stop);
        let start = Command::parse(r#"{"type":"start_streaming","lang":"it"}"#).expect("start");
        assert!(matches!(start, Command::Start(options) if options["lang"] == "it"));
        let resume = Command::parse(r#"{"type":"resume","last_n":7}"#).expect("resume");
        assert!(matches!(resume, Command::Resume(payload) if payload["last_n"] == 7));
        let authenticate = Command::parse(r#"{"type":"authenticate","token":"t"}"#).expect("token");
        assert_eq!(authenticate, Command::Authenticate(Some("t".to_owned())));
        let without = Command::parse(r#"{"type":"authenticate","token":7}"#).expect("no token");
        assert_eq!(without, Command::Authenticate(None));
        for bad in ["", "[]", "{}", r#"{"type":1}"#, r#"{"type":"reboot"}"#, "\u{0}"] {
            assert!(Command::parse(bad).is_err(), "{bad}");
        }
    }
}
