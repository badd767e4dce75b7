//! One open socket: a writer and a reader side by side in one task.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use futures_util::{
    StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::{
    closing,
    message::{Heard, Parser},
};
use crate::{
    model::AudioChunk,
    providers::{
        CloseReason, Closed, ErrorClass, ProviderError, StreamCommand, StreamEvent, StreamOptions,
        socket::{Socket, send},
    },
    telemetry::log_patterns,
};

/// A silent stream is closed by Deepgram after ten seconds; three to five are advised.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
const PING: Duration = Duration::from_secs(1);
/// A live peer says something between pings; after this many without a word it is gone.
const HALF_OPEN_PINGS: u32 = 4;
/// How long what was received already may be read after a write failed.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long the last results may take after `CloseStream`.
const CLOSING: Duration = Duration::from_secs(5);

/// The state that reader and writer share.
pub(super) struct Connection {
    /// Pings since the peer last said anything. Counted rather than timed: a pause of this
    /// process is no silence of the peer's.
    unanswered: AtomicU32,
    channels: usize,
    report_sent: bool,
    request_id: Option<String>,
}

impl Connection {
    pub(super) fn new(options: &StreamOptions, request_id: Option<String>) -> Self {
        let channels = usize::from(options.billed_channels());
        Self {
            unanswered: AtomicU32::new(0),
            channels,
            report_sent: options.report_sent,
            request_id,
        }
    }

    /// Runs until either side ends; the last event is always `Closed`.
    pub(super) async fn run(
        self,
        socket: Socket,
        commands: mpsc::Receiver<StreamCommand>,
        events: mpsc::Sender<StreamEvent>,
    ) {
        let (sink, stream) = socket.split();
        let writer = self.write(sink, commands, &events);
        let reader = self.read(stream, &events);
        tokio::pin!(writer, reader);
        let mut closed = tokio::select! {
            closed = &mut reader => closed,
            written = &mut writer => match written {
                // Why the peer hung up may be waiting to be read, and finals before it.
                Err(error) if error.class == ErrorClass::Unavailable => {
                    timeout(LAST_WORDS, &mut reader).await.unwrap_or_else(|_| failed(error))
                }
                Err(error) => failed(error),
                Ok(()) => timeout(CLOSING, &mut reader).await.unwrap_or_else(|_| {
                    failed(ProviderError::new(
                        ErrorClass::Timeout, "close_timeout", "no summary after the close",
                    ))
                }),
            },
        };
        if let CloseReason::Failed(error) = &mut closed.reason {
            error.request_id = error.request_id.take().or_else(|| self.request_id.clone());
        }
        // The session may be gone already; then nobody is left to tell.
        let _gone = events.send(StreamEvent::Closed(closed)).await;
    }

    /// Ends with `Ok` once the close was asked for.
    async fn write(
        &self,
        mut sink: SplitSink<Socket, Message>,
        mut commands: mpsc::Receiver<StreamCommand>,
        events: &mpsc::Sender<StreamEvent>,
    ) -> Result<(), ProviderError> {
        let mut tick = interval(PING);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut fed_at = None;
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(StreamCommand::Audio(chunk)) => {
                        self.audio(&mut sink, chunk, events).await?;
                        fed_at = Some(Instant::now());
                    }
                    Some(StreamCommand::Finalize) => text(&mut sink, r#"{"type":"Finalize"}"#).await?,
                    Some(StreamCommand::Close) | None => {
                        return text(&mut sink, r#"{"type":"CloseStream"}"#).await;
                    }
                },
                _ = tick.tick() => self.keep(&mut sink, &mut fed_at).await?,
            }
        }
    }

    async fn audio(
        &self,
        sink: &mut SplitSink<Socket, Message>,
        chunk: AudioChunk,
        events: &mpsc::Sender<StreamEvent>,
    ) -> Result<(), ProviderError> {
        // An empty binary frame would end the stream.
        if chunk.bytes.is_empty() {
            return Ok(());
        }
        send(sink, Message::Binary(chunk.bytes)).await?;
        if self.report_sent {
            let sent = StreamEvent::Sent { seq: chunk.seq, at: Instant::now() };
            events.send(sent).await.map_err(|_| session_gone())?;
        }
        Ok(())
    }

    /// Pings, keeps an idle stream alive, and notices a peer that is gone.
    async fn keep(
        &self,
        sink: &mut SplitSink<Socket, Message>,
        fed_at: &mut Option<Instant>,
    ) -> Result<(), ProviderError> {
        if self.unanswered.fetch_add(1, Ordering::Relaxed) >= HALF_OPEN_PINGS {
            let detail = "no answer to a ping";
            return Err(ProviderError::new(ErrorClass::Timeout, "half_open", detail));
        }
        send(sink, Message::Ping(Bytes::new())).await?;
        // Deepgram wants audio before the first keep-alive, and a text frame: a binary one is audio.
        if fed_at.is_some_and(|at| at.elapsed() >= KEEP_ALIVE) {
            text(sink, r#"{"type":"KeepAlive"}"#).await?;
            *fed_at = Some(Instant::now());
        }
        Ok(())
    }

    async fn read(
        &self,
        mut stream: SplitStream<Socket>,
        events: &mpsc::Sender<StreamEvent>,
    ) -> Closed {
        let mut parser = Parser::new(self.channels);
        let mut audio_ms = None;
        loop {
            let message = stream.next().await;
            self.unanswered.store(0, Ordering::Relaxed);
            match message {
                Some(Ok(Message::Text(body))) => match parser.parse(&body) {
                    Heard::Events(heard) => {
                        for event in heard {
                            if events.send(event).await.is_err() {
                                return failed(session_gone());
                            }
                        }
                    }
                    Heard::Summary { audio_ms: total } => audio_ms = Some(total),
                    Heard::Complaint(what) => {
                        log_patterns::stream_complaint(super::PROVIDER, &what);
                    }
                    Heard::Ignored => {}
                },
                Some(Ok(Message::Close(frame))) => return ended(audio_ms, frame.as_ref()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return lost(audio_ms, &error.to_string()),
                None => return lost(audio_ms, "the connection ended"),
            }
        }
    }
}

/// A summary before the close means that everything was delivered, unless it heard nothing.
fn ended(
    audio_ms: Option<u64>,
    frame: Option<&tokio_tungstenite::tungstenite::protocol::CloseFrame>,
) -> Closed {
    match audio_ms {
        Some(_) => Closed { reason: CloseReason::Finished, audio_ms },
        None => failed(closing::failure(frame)),
    }
}

fn lost(audio_ms: Option<u64>, detail: &str) -> Closed {
    match audio_ms {
        Some(_) => Closed { reason: CloseReason::Finished, audio_ms },
        None => failed(ProviderError::new(ErrorClass::Unavailable, "lost", detail)),
    }
}

fn failed(error: ProviderError) -> Closed {
    Closed { reason: CloseReason::Failed(error), audio_ms: None }
}

fn session_gone() -> ProviderError {
    ProviderError::new(ErrorClass::Unavailable, "session_gone", "the session is gone")
}

async fn text(
    sink: &mut SplitSink<Socket, Message>,
    body: &'static str,
) -> Result<(), ProviderError> {
    send(sink, Message::Text(body.into())).await
}
