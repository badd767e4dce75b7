//! What a client asks for that wants to watch a room.

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::{
    live::GREATEST,
    model::{Error, SessionId},
    rooms::{Cursor, Label, Position, RoomName},
};

/// What is asked for.
#[derive(Debug)]
pub struct Wanted {
    /// The room.
    pub room: RoomName,
    /// What lets its holder watch another account's room.
    pub share: Option<SecretString>,
    /// Up to where the client has seen the room, if it has.
    pub resume: Option<Cursor>,
}

impl Wanted {
    /// Reads the payload of `join`.
    pub fn read(payload: &Map<String, Value>) -> Result<Self, Error> {
        let share = match payload.get("share") {
            None | Some(Value::Null) => None,
            Some(Value::String(token)) => Some(token.clone().into()),
            Some(_) => return Err(Error::invalid("share is a token")),
        };
        let resume = match payload.get("resume") {
            None | Some(Value::Null) => None,
            Some(Value::Object(fields)) => Some(cursor(fields)?),
            Some(_) => return Err(Error::invalid("resume is an object")),
        };
        Ok(Self { room: room(payload)?, share, resume })
    }
}

/// The room that a payload names.
pub fn room(payload: &Map<String, Value>) -> Result<RoomName, Error> {
    let name = payload.get("room").and_then(Value::as_str);
    name.ok_or_else(|| Error::invalid("room is missing"))?.parse()
}

fn cursor(fields: &Map<String, Value>) -> Result<Cursor, Error> {
    let number = |name: &str| {
        let number = fields.get(name).and_then(Value::as_u64).filter(|number| *number < GREATEST);
        number.ok_or_else(|| Error::invalid(format!("resume needs a number {name}")))
    };
    let position = Position { epoch: number("epoch")?, offset: number("offset")? };
    let last = match fields.get("session_id") {
        None | Some(Value::Null) => None,
        Some(id) => {
            let id = id.as_str().and_then(|id| id.parse().ok());
            let id = id.ok_or_else(|| Error::invalid("resume.session_id is no session's id"))?;
            let n = number("n")?;
            if n == 0 {
                return Err(Error::invalid("resume.n is the number of a final: 1 or more"));
            }
            Some(Label { session: SessionId(id), n })
        }
    };
    Ok(Cursor { position, last })
}

/// Whether a position, and the number of the final there, can be meant.
pub fn is_plausible(cursor: &Cursor) -> bool {
    let Cursor { position, last } = cursor;
    let n = last.map_or(1, |last| last.n);
    position.epoch < GREATEST && position.offset < GREATEST && (1..GREATEST).contains(&n)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(payload: Value) -> Result<Wanted, Error> {
        Wanted::read(payload.as_object().expect("an object"))
    }

    #[test]
    fn what_is_asked_for_is_read_or_refused() {
        let wanted = read(json!({"room": "a", "share": null})).expect("a room");
        assert!(wanted.room.as_str() == "a" && wanted.share.is_none() && wanted.resume.is_none());
        let id = "01930000-0000-7000-8000-000000000000";
        let resume = json!({"epoch": 5, "offset": 7, "session_id": id, "n": 3});
        let cursor = read(json!({"room": "a", "resume": resume})).expect("a room").resume;
        let cursor = cursor.expect("a cursor");
        assert_eq!(cursor.position, Position { epoch: 5, offset: 7 });
        assert_eq!(cursor.last.expect("a label").n, 3);
        for bad in [
            json!({}),
            json!({"room": 7}),
            json!({"room": "a b"}),
            json!({"room": "a", "share": 7}),
            json!({"room": "a", "resume": []}),
            json!({"room": "a", "resume": {"epoch": 5}}),
            json!({"room": "a", "resume": {"epoch": -5, "offset": 0}}),
            json!({"room": "a", "resume": {"epoch": 5, "offset": 1u64 << 53}}),
            json!({"room": "a", "resume": {"epoch": 5, "offset": 7, "session_id": "x"}}),
            json!({"room": "a", "resume": {"epoch": 5, "offset": 7, "session_id": id}}),
            json!({"room": "a", "resume": {"epoch": 5, "offset": 7, "session_id": id, "n": 0}}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
