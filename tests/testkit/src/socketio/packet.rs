//! Engine.IO 4 and Socket.IO 5 packets as text.

use anyhow::{Context, bail};
use serde_json::Value;

/// One Socket.IO packet; binary attachments follow in messages of their own.
#[derive(Clone, Debug, PartialEq)]
pub enum Packet {
    /// Into a namespace, with an auth payload; the answer carries the socket's id.
    Connect(String, Value),
    /// Out of a namespace.
    Disconnect(String),
    /// An event: namespace, ack id, arguments (the first is its name), attachments to come.
    Event(String, Option<u64>, Value, usize),
    /// An acknowledgement: namespace, id, arguments, attachments to come.
    Ack(String, u64, Value, usize),
    /// A refused connection.
    ConnectError(String, Value),
}

impl Packet {
    /// As an Engine.IO message.
    pub fn encode(&self) -> String {
        match self {
            Self::Connect(namespace, Value::Null) => format!("40{}", prefix(namespace)),
            Self::Connect(namespace, auth) => format!("40{}{auth}", prefix(namespace)),
            Self::Disconnect(namespace) => format!("41{}", prefix(namespace)),
            Self::ConnectError(namespace, error) => format!("44{}{error}", prefix(namespace)),
            Self::Event(namespace, id, arguments, attachments) => {
                let kind = kind(2, 5, *attachments);
                let id = id.map(|id| id.to_string()).unwrap_or_default();
                format!("4{kind}{}{id}{arguments}", prefix(namespace))
            }
            Self::Ack(namespace, id, arguments, attachments) => {
                format!("4{}{}{id}{arguments}", kind(3, 6, *attachments), prefix(namespace))
            }
        }
    }

    /// Reads an Engine.IO message (the text after the `4`).
    pub fn decode(text: &str) -> anyhow::Result<Self> {
        let kind = text.chars().next().context("empty packet")?;
        let rest = &text[kind.len_utf8()..];
        let (attachments, rest) = match kind {
            '5' | '6' => {
                let (count, rest) = rest.split_once('-').context("no attachment count")?;
                (count.parse()?, rest)
            }
            _ => (0, rest),
        };
        let (namespace, rest) = match rest.strip_prefix('/') {
            Some(named) => {
                let (name, rest) = named.split_once(',').unwrap_or((named, ""));
                (format!("/{name}"), rest)
            }
            None => ("/".to_owned(), rest),
        };
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (id, body) = rest.split_at(digits);
        let id: Option<u64> = if id.is_empty() { None } else { Some(id.parse()?) };
        let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body)? };
        Ok(match kind {
            '0' => Self::Connect(namespace, body),
            '1' => Self::Disconnect(namespace),
            '2' | '5' => Self::Event(namespace, id, body, attachments),
            '3' | '6' => Self::Ack(namespace, id.context("no ack id")?, body, attachments),
            '4' => Self::ConnectError(namespace, body),
            other => bail!("unknown packet {other}"),
        })
    }

    /// How many binary messages follow.
    pub const fn attachments(&self) -> usize {
        match self {
            Self::Event(_, _, _, attachments) | Self::Ack(_, _, _, attachments) => *attachments,
            _ => 0,
        }
    }
}

fn prefix(namespace: &str) -> String {
    if namespace == "/" { String::new() } else { format!("{namespace},") }
}

fn kind(plain: u8, binary: u8, attachments: usize) -> String {
    if attachments == 0 { plain.to_string() } else { format!("{binary}{attachments}-") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn packets_survive_a_round_trip() {
        let stream = || "/audio-stream".to_owned();
        let packets = [
            (Packet::Connect(stream(), json!({"token": "t"})), r#"40/audio-stream,{"token":"t"}"#),
            (Packet::Connect("/".to_owned(), Value::Null), "40"),
            (Packet::Event("/".to_owned(), Some(7), json!(["a", 1]), 0), r#"427["a",1]"#),
            (
                Packet::Event(stream(), None, json!(["a", {"_placeholder": true, "num": 0}]), 1),
                r#"451-/audio-stream,["a",{"_placeholder":true,"num":0}]"#,
            ),
            (Packet::Ack(stream(), 3, json!([]), 0), "43/audio-stream,3[]"),
            (Packet::Disconnect(stream()), "41/audio-stream,"),
        ];
        for (packet, text) in packets {
            assert_eq!(packet.encode(), text);
            assert_eq!(Packet::decode(&text[1..]).unwrap(), packet);
        }
        assert!(Packet::decode("").is_err() && Packet::decode("5x").is_err());
    }
}
