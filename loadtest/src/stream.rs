//! One stream: opens, sends its chunks when they are due, measures what comes back, stops.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::audio::Audio;
use crate::door::{Arrival, Door};
use crate::measure::{Measures, Time};
use crate::scenario::Scenario;

/// Small buffers: thousands of streams share this process.
const BUFFER_BYTES: usize = 4 * 1024;
/// Replies that may wait while a chunk is being written.
const REPLY_QUEUE: usize = 16;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// All that one stream needs.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) audio: Arc<Audio>,
    pub(crate) measures: Arc<Measures>,
}

impl Stream {
    /// Runs to the end; an error is the reason the stream failed.
    pub(crate) async fn run(self) -> Result<()> {
        let door = Door::new(self.scenario.door, self.token.clone());
        let deadline = Duration::from_millis(self.scenario.connect_deadline_ms);
        let (sink, source) = timeout(deadline, self.open(&door))
            .await
            .context("not greeted before the deadline")??;
        let start = Instant::now();
        let (replies, waiting) = mpsc::channel(REPLY_QUEUE);
        // Receiving ends the stream: on the confirmed stop, a close or the deadline.
        tokio::select! {
            outcome = self.receive_all(&door, source, replies, start) => outcome,
            outcome = self.send_all(&door, sink, waiting, start) =>
                outcome.and_then(|()| bail!("the connection ended early")),
        }
    }

    /// Connects and waits for `connected`.
    async fn open(&self, door: &Door) -> Result<(SplitSink<Socket, Message>, SplitStream<Socket>)> {
        let began = Instant::now();
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(1024 * 1024);
        let request = door.request(&self.url, &self.scenario.language)?;
        let (socket, _) =
            connect_async_with_config(request, Some(config), true).await.map_err(refusal)?;
        let (mut sink, mut source) = socket.split();
        loop {
            let message = source.next().await.context("closed before the greeting")??;
            match door.read(&message) {
                Arrival::Reply(text) => sink.send(Message::text(text)).await?,
                Arrival::Event { name, .. } if name == "connected" => break,
                Arrival::Event { name, payload } => self.count_error(&name, &payload),
                Arrival::Rejected(reason) | Arrival::Closed(reason) => bail!(reason),
                Arrival::Accepted { .. } | Arrival::Nothing => {}
            }
        }
        self.measures.record(Time::Connect, began.elapsed());
        if let Some(options) = &self.scenario.options {
            sink.send(door.event("start_streaming", Some(options))).await?;
        }
        Ok((sink, source))
    }

    /// Sends every chunk when it is due, then the stop; replies go in between.
    async fn send_all(
        &self,
        door: &Door,
        mut sink: SplitSink<Socket, Message>,
        mut replies: mpsc::Receiver<String>,
        start: Instant,
    ) -> Result<()> {
        let count = self.scenario.chunk_count();
        let mut next = 0;
        loop {
            tokio::select! {
                () = sleep_until(start + self.scenario.due(next)), if next <= count => {
                    if next == count {
                        sink.send(door.event("stop_streaming", None)).await?;
                    } else {
                        self.send_chunk(door, &mut sink, next, start).await?;
                    }
                    next += 1;
                }
                reply = replies.recv() => match reply {
                    Some(text) => sink.send(Message::text(text)).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    async fn send_chunk(
        &self,
        door: &Door,
        sink: &mut SplitSink<Socket, Message>,
        index: u64,
        start: Instant,
    ) -> Result<()> {
        let due = start + self.scenario.due(index);
        self.measures.record(Time::Lateness, due.elapsed());
        for message in door.chunk(index, self.audio.chunk(index)) {
            sink.feed(message).await?;
        }
        sink.flush().await?;
        self.measures.counts().chunks += 1;
        Ok(())
    }

    /// Measures arrivals until the service confirms the stop.
    async fn receive_all(
        &self,
        door: &Door,
        mut source: SplitStream<Socket>,
        replies: mpsc::Sender<String>,
        start: Instant,
    ) -> Result<()> {
        let stop = start + self.scenario.due(self.scenario.chunk_count());
        let deadline = stop + Duration::from_millis(self.scenario.stop_deadline_ms);
        let mut finals = 0;
        loop {
            let message = timeout_at(deadline, source.next())
                .await
                .context("the stop was not confirmed before the deadline")?
                .context("the connection ended early")??;
            match door.read(&message) {
                Arrival::Reply(text) => replies.try_send(text).context("replies pile up")?,
                Arrival::Accepted { index } => {
                    let due = start + self.scenario.due(index);
                    self.measures.record(Time::Accepted, due.elapsed());
                }
                Arrival::Event { name, payload } => match name.as_str() {
                    "transcription" => self.take_transcript(&payload, start, &mut finals),
                    "streaming_stopped" => break,
                    _ => self.count_error(&name, &payload),
                },
                Arrival::Rejected(reason) | Arrival::Closed(reason) => bail!(reason),
                Arrival::Nothing => {}
            }
        }
        self.measures.record(Time::Stop, stop.elapsed());
        ensure!(finals >= self.scenario.min_finals, "too few finals");
        Ok(())
    }

    fn take_transcript(&self, payload: &Value, start: Instant, finals: &mut u64) {
        let is_final = payload["is_final"].as_bool().unwrap_or(false);
        let time = if is_final { Time::Final } else { Time::Interim };
        if let Some(end_ms) = payload["end_ms"].as_u64() {
            let due = start + self.scenario.due(self.scenario.chunk_ending_at(end_ms));
            self.measures.record(time, due.elapsed());
        } else {
            self.measures.counts().without_end_ms += 1;
        }
        let mut counts = self.measures.counts();
        if is_final {
            *finals += 1;
            counts.finals += 1;
            counts.finals_out_of_order +=
                u64::from(payload["n"].as_u64().is_some_and(|n| n != *finals));
        } else {
            counts.interims += 1;
        }
    }

    fn count_error(&self, name: &str, payload: &Value) {
        if name == "error" || name == "closing" {
            let text = payload["message"].as_str().or(payload["code"].as_str()).unwrap_or(name);
            *self.measures.counts().errors.entry(text.to_owned()).or_default() += 1;
        }
    }
}

/// A refused handshake, told by its status.
fn refusal(error: tungstenite::Error) -> anyhow::Error {
    match error {
        tungstenite::Error::Http(response) => {
            anyhow::anyhow!("the handshake was answered with {}", response.status())
        }
        // Its text already tells the cause.
        other => anyhow::anyhow!("{other}"),
    }
}

#[cfg(test)]
mod tests;
