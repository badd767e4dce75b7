//! What a session said before, told again as it was: to its own client, or to those who watch.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Weight;

/// Names that stand in a room's history.
const NAMES: [&str; 3] = ["transcription", "gap", "session_ended"];

/// An event out of a room.
#[derive(Clone, Debug, Serialize)]
pub struct Retold {
    #[serde(skip)]
    name: &'static str,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Retold {
    /// Reads what a room keeps: an object with its `type`. Nothing if it is none of ours.
    pub fn read(body: &str) -> Option<Self> {
        let Ok(Value::Object(mut fields)) = serde_json::from_str(body) else { return None };
        let kind = fields.remove("type")?;
        let name = NAMES.into_iter().find(|name| kind == *name)?;
        Some(Self { name, fields })
    }

    /// The same with one field more.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// The event's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What may be lost of it.
    pub fn weight(&self) -> Weight {
        let is_interim = self.fields.get("is_final") == Some(&Value::Bool(false));
        if is_interim { Weight::Interim } else { Weight::Kept }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_rooms_keep_is_told_again() {
        let told = Retold::read(r#"{"type":"gap","n":7}"#).expect("a gap").with("room", "a");
        assert_eq!((told.name(), told.weight()), ("gap", Weight::Kept));
        assert_eq!(
            serde_json::to_value(&told).expect("json"),
            serde_json::json!({"n":7,"room":"a"})
        );
        let interim = r#"{"type":"transcription","is_final":false}"#;
        assert_eq!(Retold::read(interim).expect("text").weight(), Weight::Interim);
        for strange in ["", "[]", "{}", r#"{"type":"error"}"#, r#"{"type":7}"#] {
            assert!(Retold::read(strange).is_none(), "{strange}");
        }
    }
}
