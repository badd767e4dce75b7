//! Arguments of Socket.IO events, read without failing: a bad payload has a documented answer.

use std::{borrow::Cow, convert::Infallible, sync::Arc};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use socketioxide::{
    adapter::{Adapter, LocalAdapter},
    extract::AckSender,
    handler::{FromMessageParts, Value},
    socket::Socket,
};

use super::payload::Payload;

/// The first argument of `audio_chunk` or `audio_data`.
pub struct Audio {
    shape: Shape,
    /// The chunk's number, where the client counts.
    pub seq: Option<u64>,
}

enum Shape {
    Binary(Bytes),
    Object(Option<Bytes>, Option<String>),
    Text(String),
    Missing,
    Other,
}

/// One of the shapes in which a first argument holds audio.
#[derive(Deserialize)]
#[serde(untagged)]
enum Argument<'a> {
    Object(#[serde(borrow)] Fields<'a>),
    Text(#[serde(borrow)] Cow<'a, str>),
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(default, rename = "_placeholder")]
    placeholder: bool,
    #[serde(borrow, default)]
    audio_chunk: Option<Chunk<'a>>,
    #[serde(default)]
    seq: Option<Json>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Chunk<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Placeholder {
        #[serde(rename = "_placeholder")]
        _placeholder: bool,
    },
}

impl Audio {
    /// The audio; a bare string is base64 for `audio_data` and an error for `audio_chunk`.
    pub fn payload(self, bare_base64: bool) -> Payload {
        match self.shape {
            Shape::Binary(bytes) | Shape::Object(Some(bytes), _) => Payload::Binary(bytes),
            Shape::Object(None, Some(text)) => Payload::Base64(text),
            Shape::Text(text) if bare_base64 => Payload::Base64(text),
            Shape::Object(None, None) | Shape::Missing => Payload::Empty,
            Shape::Text(_) | Shape::Other => Payload::Unreadable,
        }
    }
}

impl<A: Adapter> FromMessageParts<A> for Audio {
    type Error = Infallible;

    fn from_message_parts(
        _: &Arc<Socket<A>>,
        value: &mut Value,
        _: &Option<i64>,
    ) -> Result<Self, Infallible> {
        let (text, binary) = match value {
            Value::Str(text, binaries) => {
                (text.as_str(), binaries.as_mut().and_then(std::collections::VecDeque::pop_front))
            }
            Value::Bytes(_) => ("", None),
        };
        let (shape, seq) = shape(text, binary);
        Ok(Self { shape, seq })
    }
}

/// Reads `["event", first, …]`; attachments stand beside it, placeholders where they belong.
fn shape(event: &str, binary: Option<Bytes>) -> (Shape, Option<u64>) {
    let Ok(arguments) = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(event) else {
        return (Shape::Other, None);
    };
    let Some(first) = arguments.get(1) else { return (Shape::Missing, None) };
    // An array would pass for the object whose fields it lists.
    if first.get().starts_with('[') {
        return (Shape::Other, None);
    }
    match serde_json::from_str::<Argument<'_>>(first.get()) {
        Ok(Argument::Object(fields)) => fields.shape(binary),
        Ok(Argument::Text(text)) => (Shape::Text(text.into_owned()), None),
        Err(_) => (Shape::Other, None),
    }
}

impl Fields<'_> {
    fn shape(self, binary: Option<Bytes>) -> (Shape, Option<u64>) {
        let whole = |bytes| Shape::Object(Some(bytes), None);
        let shape = match self.audio_chunk {
            _ if self.placeholder => binary.map_or(Shape::Other, Shape::Binary),
            Some(Chunk::Text(text)) => Shape::Object(None, Some(text.into_owned())),
            Some(Chunk::Placeholder { .. }) => binary.map_or(Shape::Other, whole),
            None => Shape::Object(None, None),
        };
        (shape, self.seq.as_ref().and_then(Json::as_u64))
    }
}

/// The way back to a client that asked for an answer.
pub struct Callback(pub Option<AckSender>);

impl FromMessageParts<LocalAdapter> for Callback {
    type Error = Infallible;

    fn from_message_parts(
        socket: &Arc<Socket<LocalAdapter>>,
        value: &mut Value,
        id: &Option<i64>,
    ) -> Result<Self, Infallible> {
        let sender = AckSender::from_message_parts(socket, value, id)?;
        Ok(Self(id.map(|_| sender)))
    }
}

/// The first argument of an event that takes an object, or nothing.
pub struct Options(pub Option<Map<String, Json>>);

impl<A: Adapter> FromMessageParts<A> for Options {
    type Error = Infallible;

    fn from_message_parts(
        _: &Arc<Socket<A>>,
        value: &mut Value,
        _: &Option<i64>,
    ) -> Result<Self, Infallible> {
        let arguments: Option<Vec<Json>> = match value {
            Value::Str(text, _) => serde_json::from_str(text.as_str()).ok(),
            Value::Bytes(_) => None,
        };
        let first = arguments.and_then(|arguments| arguments.into_iter().nth(1));
        Ok(Self(match first {
            None | Some(Json::Null) => Some(Map::new()),
            Some(Json::Object(given)) => Some(given),
            Some(_) => None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(event: &str, binary: Option<&'static [u8]>, bare: bool) -> Payload {
        let (shape, seq) = shape(event, binary.map(Bytes::from_static));
        Audio { shape, seq }.payload(bare)
    }

    #[test]
    fn reads_every_documented_shape() {
        let base64 = Payload::Base64("AAAA".into());
        let binary = Payload::Binary(Bytes::from_static(b"pcm"));
        let placeholder = r#"{"_placeholder":true,"num":0}"#;
        let object = format!(r#"["e",{{"audio_chunk":{placeholder},"timestamp":"t"}}]"#);
        assert_eq!(payload(r#"["e",{"audio_chunk":"AAAA"}]"#, None, false), base64);
        assert_eq!(payload(&object, Some(b"pcm"), false), binary);
        assert_eq!(payload(&format!(r#"["e",{placeholder}]"#), Some(b"pcm"), false), binary);
        assert_eq!(payload(r#"["e","AAAA"]"#, None, true), base64);
        assert_eq!(payload(r#"["e","AAAA"]"#, None, false), Payload::Unreadable);
        assert_eq!(payload(r#"["e",{}]"#, None, false), Payload::Empty);
        assert_eq!(payload(r#"["e"]"#, None, false), Payload::Empty);
        assert_eq!(payload(r#"["e",7]"#, None, false), Payload::Unreadable);
        assert_eq!(payload(r#"["e",[]]"#, None, false), Payload::Unreadable);
        assert_eq!(payload(r#"["e",{"audio_chunk":7}]"#, None, false), Payload::Unreadable);
        assert_eq!(payload(r#"["e",{"audio_chunk":null}]"#, None, false), Payload::Empty);
        for (seq, read) in [("7", Some(7)), ("\"7\"", None), ("-1", None), ("null", None)] {
            let event = format!(r#"["e",{{"audio_chunk":"AAAA","seq":{seq}}}]"#);
            assert_eq!(shape(&event, None).1, read, "{seq}");
            assert_eq!(payload(&event, None, false), base64);
        }
    }
}
