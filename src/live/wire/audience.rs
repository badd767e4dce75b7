//! Payloads about rooms that a socket watches.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::Weight;
use crate::{
    model::SessionId,
    rooms::{Cursor, Label, Position, RoomName, Text},
};

/// Names that stand in a room.
const NAMES: [&str; 3] = ["transcription", "gap", "session_ended"];

/// An event out of a room: what a session said, with the room, and with its place there if it is kept.
#[derive(Clone, Debug)]
pub struct Seen {
    name: &'static str,
    room: RoomName,
    /// From where who has seen it goes on, if it is kept.
    cursor: Option<Cursor>,
    payload: Box<RawValue>,
}

impl Seen {
    /// Reads what travels through a room: an object that begins with its `type`. Nothing if it is none
    /// of ours.
    pub fn read(room: &RoomName, position: Option<Position>, text: &Text) -> Option<Self> {
        let body = &text.body;
        let (kind, fields) = body.strip_prefix(r#"{"type":""#)?.split_once("\",")?;
        let name = NAMES.into_iter().find(|name| *name == kind)?;
        let mut payload = String::with_capacity(body.len() + 100);
        payload.push('{');
        // The end of a session names its room itself.
        if name != "session_ended" {
            payload.push_str(&format!("\"room\":\"{room}\","));
        }
        if let Some(Position { epoch, offset }) = position {
            payload.push_str(&format!("\"epoch\":{epoch},\"offset\":{offset},"));
        }
        payload.push_str(fields);
        let payload = RawValue::from_string(payload).ok()?;
        let cursor = position.map(|position| Cursor { position, last: Some(text.label) });
        Some(Self { name, room: room.clone(), cursor, payload })
    }

    /// The event's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The room.
    pub const fn room(&self) -> &RoomName {
        &self.room
    }

    /// Where it stands and what it is, if it is kept.
    pub const fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// What may be lost of it.
    pub const fn weight(&self) -> Weight {
        if self.cursor.is_some() { Weight::Kept } else { Weight::Interim }
    }

    /// As one message of the raw WebSocket.
    pub fn message(&self) -> String {
        format!("{{\"type\":\"{}\",{}", self.name, &self.payload.get()[1..])
    }

    /// The message as a part of another.
    pub fn into_message(self) -> Option<Box<RawValue>> {
        RawValue::from_string(self.message()).ok()
    }
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.payload.serialize(serializer)
    }
}

/// A socket watches a room from now on.
#[derive(Clone, Debug, Serialize)]
pub struct Joined {
    /// The room.
    pub room: String,
    /// With `offset`, the position from which events follow.
    pub epoch: u64,
    /// See `epoch`.
    pub offset: u64,
    /// Whose final stands at that position, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// Whether nothing is missing after the position that was named: what was missed follows.
    pub recovered: bool,
    /// Why something may be missing after the position that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Where the stored transcript is, where something may be missing and one is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
    /// Without a recovery: the room's last finals as messages, in order, and then the interim, if there
    /// is one.
    pub snapshot: Vec<Box<RawValue>>,
    /// Viewers on all replicas, this one among them.
    pub viewers: u64,
}

impl Joined {
    /// From where its client goes on.
    pub fn cursor(&self) -> Cursor {
        let session = self.session_id.as_ref().and_then(|id| id.parse().ok()).map(SessionId);
        let last = session.zip(self.n).map(|(session, n)| Label { session, n });
        Cursor { position: Position { epoch: self.epoch, offset: self.offset }, last }
    }
}

/// So many watch a room now.
#[derive(Clone, Debug, Serialize)]
pub struct Viewers {
    /// The room.
    pub room: String,
    /// On all replicas.
    pub viewers: u64,
}

/// Whether what is said in a room comes late.
#[derive(Clone, Debug, Serialize)]
pub struct RoomStatus {
    /// The room.
    pub room: String,
    /// True while the room cannot be read; nothing is lost by that.
    pub degraded: bool,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

/// Finals of a room are missing before what follows.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryGap {
    /// The room.
    pub room: String,
    /// `epoch_gone` or `trimmed`.
    pub reason: &'static str,
    /// Where the stored transcript is, if one is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
    /// ISO 8601, UTC.
    pub timestamp: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn text(body: &str) -> Text {
        let session = SessionId(uuid::Uuid::nil());
        Text { label: Label { session, n: 3 }, body: body.to_owned() }
    }

    #[test]
    fn what_was_said_is_passed_on_with_its_room_and_place() {
        let room: RoomName = "a-room".parse().expect("a name");
        let place = Position { epoch: 5, offset: 7 };
        let body = r#"{"type":"transcription","n":3,"words":[{"word":"a"}]}"#;
        let seen = Seen::read(&room, Some(place), &text(body)).expect("a final");
        let payload = json!({"room":"a-room","epoch":5,"offset":7,"n":3,"words":[{"word":"a"}]});
        assert_eq!(serde_json::to_value(&seen).expect("json"), payload);
        let message: Value = serde_json::from_str(&seen.message()).expect("json");
        assert_eq!((&message["type"], &message["n"]), (&json!("transcription"), &json!(3)));
        assert_eq!((seen.name(), seen.weight()), ("transcription", Weight::Kept));
        let interim = Seen::read(&room, None, &text(body)).expect("an interim");
        assert_eq!(interim.weight(), Weight::Interim);
        let ended = r#"{"type":"session_ended","room":"a-room"}"#;
        let ended = Seen::read(&room, Some(place), &text(ended)).expect("an end").message();
        assert_eq!(ended.matches("room").count(), 2, "the field and the name, once: {ended}");
        for strange in ["", "{}", "[]", r#"{"type":"error","n":1}"#, r#"{"type":"gap","n":}"#] {
            assert!(Seen::read(&room, None, &text(strange)).is_none(), "{strange}");
        }
    }
}
