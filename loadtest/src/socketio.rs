//! The Socket.IO frames of one namespace over a WebSocket, written and read by hand.

use serde_json::{Value, json};

const NAMESPACE: &str = "/audio-stream";

/// What a text frame from the service says.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    /// The Engine.IO session is open: the namespace may be joined.
    Open,
    /// Wants [`PONG`] back.
    Ping,
    /// An event of the namespace.
    Event { name: String, payload: Value },
    /// The answer to a packet with an id.
    Ack { id: u64 },
    /// The namespace was refused.
    Rejected(String),
    /// The service left the namespace or the connection.
    Closed,
    /// Nothing a stream needs.
    Other,
}

/// The answer to a ping.
pub(crate) const PONG: &str = "3";

/// Joins the namespace.
pub(crate) fn connect(token: &str) -> String {
    format!("40{NAMESPACE},{}", json!({ "token": token }))
}

/// An event without an acknowledgement.
pub(crate) fn event(name: &str, payload: Option<&Value>) -> String {
    let arguments = match payload {
        Some(payload) => json!([name, payload]),
        None => json!([name]),
    };
    format!("42{NAMESPACE},{arguments}")
}

/// The text frame that announces a chunk; the audio follows as one binary frame.
pub(crate) fn chunk(id: u64) -> String {
    format!(
        r#"451-{NAMESPACE},{id}["audio_chunk",{{"audio_chunk":{{"_placeholder":true,"num":0}}}}]"#
    )
}

/// Reads a text frame.
pub(crate) fn read(text: &str) -> Frame {
    match text.as_bytes().first() {
        Some(b'0') => Frame::Open,
        Some(b'1') => Frame::Closed,
        Some(b'2') => Frame::Ping,
        Some(b'4') => read_packet(&text[1..]),
        _ => Frame::Other,
    }
}

fn read_packet(packet: &str) -> Frame {
    let Some(rest) = packet.get(1..).and_then(|rest| rest.strip_prefix(NAMESPACE)) else {
        return Frame::Other;
    };
    let rest = rest.strip_prefix(',').unwrap_or(rest);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (id, body) = rest.split_at(digits);
    match packet.as_bytes()[0] {
        b'1' => Frame::Closed,
        b'2' => read_event(body).unwrap_or(Frame::Other),
        b'3' => id.parse().map_or(Frame::Other, |id| Frame::Ack { id }),
        b'4' => Frame::Rejected(rejection(body)),
        _ => Frame::Other,
    }
}

fn read_event(body: &str) -> Option<Frame> {
    let mut arguments: Vec<Value> = serde_json::from_str(body).ok()?;
    let payload = if arguments.len() > 1 { arguments.swap_remove(1) } else { Value::Null };
    let name = arguments.first()?.as_str()?.to_owned();
    Some(Frame::Event { name, payload })
}

fn rejection(body: &str) -> String {
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    value["message"].as_str().unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_written_as_the_protocol_has_them() {
        assert_eq!(connect("t\"k"), r#"40/audio-stream,{"token":"t\"k"}"#);
        assert_eq!(event("stop_streaming", None), r#"42/audio-stream,["stop_streaming"]"#);
        assert_eq!(
            chunk(7),
            r#"451-/audio-stream,7["audio_chunk",{"audio_chunk":{"_placeholder":true,"num":0}}]"#
        );
    }

    #[test]
    fn frames_are_read_as_the_protocol_has_them() {
        assert_eq!(read(r#"0{"sid":"x"}"#), Frame::Open);
        assert_eq!(read("2"), Frame::Ping);
        assert_eq!(read("43/audio-stream,12[]"), Frame::Ack { id: 12 });
        assert_eq!(read("41/audio-stream,"), Frame::Closed);
        assert_eq!(read(r#"40/audio-stream,{"sid":"y"}"#), Frame::Other);
        assert_eq!(
            read(r#"44/audio-stream,{"message":"Connection rejected by server"}"#),
            Frame::Rejected("Connection rejected by server".to_owned())
        );
        let expected = Frame::Event { name: "transcription".to_owned(), payload: json!({"n": 1}) };
        assert_eq!(read(r#"42/audio-stream,["transcription",{"n":1}]"#), expected);
    }

    #[test]
    fn odd_frames_are_no_more_than_odd() {
        for text in ["", "4", "42", "42/audio-stream,", "42/audio-stream,{}", "42[]", "49/é"] {
            assert_eq!(read(text), Frame::Other, "{text}");
        }
    }
}
