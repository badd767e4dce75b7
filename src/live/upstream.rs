//! The session's way to its provider: one connection at a time, reconnected with the audio that no
//! final covers yet.

use std::time::{Duration, Instant};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::{Sleep, sleep};

use super::{pace::Pace, recovery::Recovery, ring::Ring, splice};
use crate::{
    model::{AudioChunk, Segment},
    providers::{
        CloseReason, Closed, ErrorClass, Live, LiveStream, ProviderError, StreamCommand,
        StreamEvent, StreamOptions,
    },
    telemetry::{Metrics, metrics::label},
};

/// What the session learns, in milliseconds of session audio.
#[derive(Debug)]
pub enum Upstreamed {
    /// A connection is open.
    Opened {
        /// The model in use.
        model: String,
        /// The provider's id of the connection.
        request_id: Option<String>,
    },
    /// A chunk was written; only where that is traced.
    Sent(u64, Instant),
    /// Text, interim or final.
    Text(Box<Segment>),
    /// Everything up to here is final.
    Covered(u64),
    /// Speech began.
    SpeechStarted(u64),
    /// The last word of an utterance ended.
    UtteranceEnd(u64),
    /// Everything was delivered after [`Upstream::finish`].
    Finished,
    /// It cannot go on.
    Failed(ProviderError),
}

/// Owns the connection and the ring.
pub struct Upstream {
    live: Live,
    options: StreamOptions,
    metrics: Metrics,
    ring: Ring,
    state: State,
    recovery: Recovery,
    /// F: the end of the last final, in session audio.
    covered_ms: u64,
    finishing: bool,
}

enum State {
    Connecting(BoxFuture<'static, Result<LiveStream, ProviderError>>),
    Waiting(std::pin::Pin<Box<Sleep>>),
    Open(Open),
    Over,
}

struct Open {
    stream: LiveStream,
    /// Where this connection's audio begins in the session.
    origin_ms: u64,
    pace: Option<Pace>,
    close_sent: bool,
}

impl Upstream {
    /// Starts to connect at once.
    pub fn open(live: Live, options: StreamOptions, metrics: Metrics) -> Self {
        let ring = Ring::new(options.format);
        let state = State::Connecting(connect(live.clone(), options.clone()));
        let recovery = Recovery::default();
        Self { live, options, metrics, ring, state, recovery, covered_ms: 0, finishing: false }
    }

    /// Whether it can take more audio now.
    pub fn has_room(&self) -> bool {
        self.ring.has_room()
    }

    /// Takes audio; returns where it ends in session audio, for raw audio.
    pub fn push(&mut self, chunk: AudioChunk) -> Option<u64> {
        self.ring.push(chunk)
    }

    /// No more audio comes: what is left is sent, then the connection is closed in order.
    pub fn finish(&mut self) {
        self.finishing = true;
    }

    /// Asks for finals of everything heard so far.
    pub fn finalize(&self) {
        if let State::Open(open) = &self.state {
            // A full queue means that audio is still on its way: the next tick asks again.
            let _later = open.stream.commands.try_send(StreamCommand::Finalize);
        }
    }

    /// The next thing to know. Safe to drop and call again.
    pub async fn next(&mut self) -> Upstreamed {
        loop {
            let learned = match &mut self.state {
                State::Connecting(connecting) => {
                    let opened = connecting.await;
                    self.opened(opened)
                }
                State::Waiting(sleep) => {
                    sleep.await;
                    let again = connect(self.live.clone(), self.options.clone());
                    self.state = State::Connecting(again);
                    None
                }
                State::Open(open) => {
                    let event = open.turn(&mut self.ring, self.finishing).await;
                    event.and_then(|event| self.heard(event))
                }
                State::Over => std::future::pending().await,
            };
            if let Some(learned) = learned {
                return learned;
            }
        }
    }

    fn opened(&mut self, opened: Result<LiveStream, ProviderError>) -> Option<Upstreamed> {
        let provider = label("provider", self.live.name());
        let outcome = opened.as_ref().map_or_else(|error| error.class.as_str(), |_| "opened");
        self.metrics.upstream_connects.add(1, &[provider, label("outcome", outcome)]);
        let stream = match opened {
            Ok(stream) => stream,
            Err(error) => return self.failed(error),
        };
        let Some(origin_ms) = self.ring.rewind(self.covered_ms) else {
            let detail = "the audio that a new connection needs is gone";
            let error = ProviderError::new(ErrorClass::Unavailable, "no_replay", detail);
            return Some(self.over(error));
        };
        let rate = self.ring.bytes_per_second().filter(|_| self.recovery.is_recovering());
        let pace = rate.map(Pace::start);
        let (model, request_id) = (stream.model.clone(), stream.request_id.clone());
        self.state = State::Open(Open { stream, origin_ms, pace, close_sent: false });
        Some(Upstreamed::Opened { model, request_id })
    }

    fn heard(&mut self, event: StreamEvent) -> Option<Upstreamed> {
        let origin_ms = match &self.state {
            State::Open(open) => open.origin_ms,
            _ => 0,
        };
        match event {
            StreamEvent::Sent { seq, at } => Some(Upstreamed::Sent(seq, at)),
            StreamEvent::Transcript(segment) => {
                let segment = splice::after(segment.shifted(origin_ms), self.covered_ms)?;
                Some(Upstreamed::Text(Box::new(segment)))
            }
            StreamEvent::Covered { until_ms } => self.cover(origin_ms + until_ms),
            StreamEvent::SpeechStarted { at_ms } => {
                Some(Upstreamed::SpeechStarted(origin_ms + at_ms))
            }
            StreamEvent::UtteranceEnd { last_word_end_ms } => {
                Some(Upstreamed::UtteranceEnd(origin_ms + last_word_end_ms))
            }
            StreamEvent::Closed(closed) => self.closed(closed, origin_ms),
        }
    }

    fn cover(&mut self, until_ms: u64) -> Option<Upstreamed> {
        if until_ms <= self.covered_ms {
            return None;
        }
        self.recovery.succeeded();
        self.covered_ms = until_ms;
        self.ring.cover(until_ms);
        Some(Upstreamed::Covered(until_ms))
    }

    fn closed(&mut self, closed: Closed, origin_ms: u64) -> Option<Upstreamed> {
        match closed.reason {
            CloseReason::Finished if self.finishing && self.ring.all_sent() => {
                let end_ms = origin_ms + closed.audio_ms.unwrap_or(0);
                self.state = State::Over;
                self.covered_ms = self.covered_ms.max(end_ms);
                Some(Upstreamed::Finished)
            }
            CloseReason::Finished if closed.audio_ms == Some(0) => {
                let detail = "the provider could not decode any of the audio";
                let error = ProviderError::new(ErrorClass::Poison, "undecodable_audio", detail);
                Some(self.over(error))
            }
            CloseReason::Finished => {
                let detail = "the provider ended the stream by itself";
                self.broke(ProviderError::new(ErrorClass::Unavailable, "ended", detail))
            }
            CloseReason::Failed(error) => self.broke(error),
        }
    }

    /// F: the end of the last final, in milliseconds of session audio.
    pub fn covered_ms(&self) -> u64 {
        self.covered_ms
    }

    fn broke(&mut self, error: ProviderError) -> Option<Upstreamed> {
        let labels = [label("provider", self.live.name()), label("class", error.class.as_str())];
        self.metrics.upstream_failures.add(1, &labels);
        self.failed(error)
    }

    /// Waits and connects again, or gives up.
    fn failed(&mut self, error: ProviderError) -> Option<Upstreamed> {
        if !error.class.retryable() {
            return Some(self.over(error));
        }
        let Some(delay) = self.recovery.next_delay(error.retry_after) else {
            return Some(self.over(error));
        };
        tracing::warn!(
            provider = self.live.name(),
            code = error.code,
            request_id = error.request_id,
            delay_ms = delay.as_millis() as u64,
            "Deepgram error: {}; connecting again",
            error.detail
        );
        self.state = State::Waiting(Box::pin(sleep(delay)));
        None
    }

    fn over(&mut self, error: ProviderError) -> Upstreamed {
        self.state = State::Over;
        Upstreamed::Failed(error)
    }
}

impl Open {
    /// Sends the next audio or hears the next event, whichever comes first.
    async fn turn(&mut self, ring: &mut Ring, finishing: bool) -> Option<StreamEvent> {
        let wait = self.pace.as_mut().and_then(Pace::wait);
        let sends = wait.is_none() && ring.unsent().is_some();
        let closes = finishing && ring.all_sent() && !self.close_sent;
        tokio::select! {
            event = self.stream.events.recv() => Some(event.unwrap_or_else(vanished)),
            permit = self.stream.commands.reserve(), if sends || closes => {
                if let Ok(permit) = permit {
                    if sends {
                        if let Some(chunk) = ring.unsent() {
                            if let Some(pace) = &mut self.pace {
                                pace.sent(chunk.bytes.len());
                            }
                            permit.send(StreamCommand::Audio(chunk.clone()));
                        }
                        ring.mark_sent();
                        if ring.all_sent() {
                            self.pace = None;
                        }
                    } else {
                        permit.send(StreamCommand::Close);
                        self.close_sent = true;
                    }
                } else {
                    // The connection is gone; its last event says why.
                    let last = self.stream.events.recv().await;
                    return Some(last.unwrap_or_else(vanished));
                }
                None
            }
            () = sleep(wait.unwrap_or(Duration::MAX)), if wait.is_some() => None,
        }
    }
}

fn vanished() -> StreamEvent {
    let error = ProviderError::new(ErrorClass::Unavailable, "vanished", "the stream just ended");
    StreamEvent::Closed(Closed { reason: CloseReason::Failed(error), audio_ms: None })
}

fn connect(
    live: Live,
    options: StreamOptions,
) -> BoxFuture<'static, Result<LiveStream, ProviderError>> {
    async move { live.open(&options).await }.boxed()
}
