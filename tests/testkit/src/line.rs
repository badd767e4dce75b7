//! A client's end of `/audio-stream`: reads and writes at once, so that neither waits for the other.

use std::time::Duration;

use anyhow::{bail, ensure};
use bytes::Bytes;
use futures_util::stream::SplitStream;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::raw_ws::RawSocket;
use crate::tasks::Tasks;

/// How long anything may take before an address is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);
/// Messages that may wait for the socket: few, so that back-pressure is felt.
const WAITING: usize = 4;

/// An open socket past its greeting. Dropping it drops the connection without a word.
#[derive(Debug)]
pub(crate) struct Line {
    reader: SplitStream<WebSocketStream<TcpStream>>,
    out: mpsc::Sender<Message>,
    /// When anything came last, pings included.
    pub(crate) heard_at: Instant,
    _tasks: Tasks,
}

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// An event.
    Told(Value),
    /// The end, and how it came.
    Ended(String),
}

impl Line {
    /// Opens a socket at `http://host:port` and waits for the greeting.
    pub(crate) async fn open(address: &str, token: &str) -> anyhow::Result<Self> {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let url = format!("{address}/audio-stream");
        let opening = RawSocket::connect(&url, &headers);
        let (mut writer, reader) = timeout(PATIENCE, opening).await??.into_stream().split();
        let (out, mut messages) = mpsc::channel(WAITING);
        let tasks = Tasks::new();
        tasks.spawner().spawn(async move {
            while let Some(message) = messages.recv().await {
                // Reading tells how the connection ended.
                if writer.send(message).await.is_err() {
                    return;
                }
            }
        });
        let mut line = Self { reader, out, heard_at: Instant::now(), _tasks: tasks };
        match timeout(PATIENCE, line.hear()).await? {
            Heard::Told(told) => ensure!(told["type"] == "connected", "greeted with {told}"),
            Heard::Ended(how) => bail!("{how}"),
        }
        Ok(line)
    }

    /// The next event, or the end; nothing is lost when the wait is given up.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            let next = self.reader.next().await;
            self.heard_at = Instant::now();
            match next {
                Some(Ok(Message::Text(text))) => {
                    let told = serde_json::from_str(text.as_str());
                    return told
                        .map_or_else(|_| Heard::Ended(format!("no JSON: {text}")), Heard::Told);
                }
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map_or(1005, |frame| frame.code.into());
                    return Heard::Ended(format!("closed {code}"));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Heard::Ended(error.to_string()),
                None => return Heard::Ended("end of stream".to_owned()),
            }
        }
    }

    /// The way out, which has room only as fast as the socket takes what is sent.
    pub(crate) fn out(&self) -> mpsc::Sender<Message> {
        self.out.clone()
    }

    /// Asks for a sign of life, if there is room to ask.
    pub(crate) fn ping(&self) {
        // Whoever has no room has something to say already.
        let _ = self.out.try_send(Message::Ping(Bytes::new()));
    }

    /// Sends an event.
    pub(crate) async fn tell(&self, event: &Value) -> anyhow::Result<()> {
        let message = Message::text(event.to_string());
        ensure!(timeout(PATIENCE, self.out.send(message)).await?.is_ok(), "the socket is gone");
        Ok(())
    }
}
