//! The session's way to its provider: one connection at a time, reconnected with the audio that no
//! final covers yet.

use std::time::{Duration, Instant};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::{Sleep, sleep};

use super::{pace::Pace, recovery::Recovery, ring::Ring, said::Said, voices::Voices};
use crate::{
    model::{AudioChunk, Segment, SessionId},
    providers::{
        CloseReason, Closed, ErrorClass, Live, LiveStream, ProviderError, StreamCommand,
        StreamEvent, StreamOptions,
    },
    telemetry::{Metrics, log_patterns, log_patterns::ProviderFault, metrics::label},
};

/// How far a provider's times may lie beyond the audio that it was sent.
const SLACK_MS: u64 = 1_000;
/// How long a provider may leave `Finalize` without a final before it counts as mute.
const MUTE: Duration = Duration::from_secs(10);

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
    Text {
        /// What was heard.
        segment: Box<Segment>,
        /// Whether speakers before this one have other numbers now, whoever they are.
        speakers_reset: bool,
    },
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
    session: SessionId,
    live: Live,
    options: StreamOptions,
    metrics: Metrics,
    ring: Ring,
    state: State,
    recovery: Recovery,
    /// F: the end of the last final, in session audio.
    covered_ms: u64,
    said: Said,
    voices: Voices,
    finalize_asked: Option<Instant>,
    finishing: bool,
    was_late: bool,
}

enum State {
    Connecting(BoxFuture<'static, Result<LiveStream, ProviderError>>),
    Waiting(std::pin::Pin<Box<Sleep>>),
    /// Broken with everything covered: a connection without audio would only idle out.
    Idle,
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
    /// Connects as soon as there is audio, which begins at `origin_ms` of the session's.
    #[rustfmt::skip]
    pub fn open(session: SessionId, live: Live, options: StreamOptions, metrics: Metrics, origin_ms: u64) -> Self {
        let mut said = Said::new(options.billed_channels());
        said.cover(origin_ms);
        Self {
            session,
            ring: Ring::new(options.format, origin_ms),
            state: State::Idle,
            recovery: Recovery::default(),
            said,
            voices: Voices::default(),
            live,
            options,
            metrics,
            covered_ms: origin_ms,
            finalize_asked: None,
            finishing: false,
            was_late: false,
        }
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

    /// Asks for finals of what is left when no audio comes; false while that has to wait.
    ///
    /// A provider may have nothing to say to it, which does not make it mute.
    pub fn wind_up(&mut self) -> bool {
        let State::Open(open) = &self.state else { return false };
        self.ring.all_sent() && open.stream.commands.try_send(StreamCommand::Finalize).is_ok()
    }

    /// Lets an idle connection go once everything is covered; the next audio opens another. Whether
    /// none is left.
    pub fn rest(&mut self) -> bool {
        let covered = self.ring.end_ms().is_some_and(|end_ms| end_ms <= self.covered_ms);
        if covered && self.ring.all_sent() && matches!(self.state, State::Open(_)) {
            self.state = State::Idle;
        }
        matches!(self.state, State::Idle)
    }

    /// Asks for finals of everything heard so far; false while that has to wait.
    pub fn finalize(&mut self) -> bool {
        let State::Open(open) = &self.state else { return false };
        // What is not sent yet would not be finalised; a full queue means the same.
        let asked =
            self.ring.all_sent() && open.stream.commands.try_send(StreamCommand::Finalize).is_ok();
        if asked {
            self.finalize_asked.get_or_insert_with(Instant::now);
        }
        asked
    }

    /// Leaves a provider that answers pings and nothing else; what that ends in, if in anything.
    pub fn leave_if_mute(&mut self) -> Option<Upstreamed> {
        let mute = self.finalize_asked.is_some_and(|asked| asked.elapsed() >= MUTE);
        if !mute || !matches!(self.state, State::Open(_)) {
            return None;
        }
        self.broke(ProviderError::new(ErrorClass::Timeout, "mute", "no final came after finalize"))
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
                    self.resume();
                    None
                }
                State::Idle if self.ring.unsent().is_some() => {
                    self.connect();
                    None
                }
                State::Idle if self.finishing => {
                    self.state = State::Over;
                    Some(Upstreamed::Finished)
                }
                State::Open(open) => {
                    let event = open.turn(&mut self.ring, self.finishing).await;
                    event.and_then(|event| self.heard(event))
                }
                State::Idle | State::Over => std::future::pending().await,
            };
            if let Some(learned) = learned {
                return learned;
            }
        }
    }

    /// Connects again, unless a connection would have nothing to send.
    fn resume(&mut self) {
        if self.ring.is_covered(self.covered_ms) {
            self.recovery.succeeded();
            self.state = State::Idle;
        } else {
            self.connect();
        }
    }

    fn connect(&mut self) {
        self.state = State::Connecting(connect(self.live.clone(), self.options.clone()));
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
        self.finalize_asked = None;
        self.voices.renew();
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
                let segment = segment.shifted(origin_ms);
                self.plausible(segment.end_ms)?;
                let mut segment = self.said.unsaid(segment)?;
                let speakers_reset = self.voices.place(&mut segment);
                Some(Upstreamed::Text { segment: Box::new(segment), speakers_reset })
            }
            StreamEvent::Covered { until_ms } => {
                self.plausible(origin_ms + until_ms).and_then(|until_ms| self.cover(until_ms))
            }
            StreamEvent::SpeechStarted { at_ms } => {
                self.plausible(origin_ms + at_ms).map(Upstreamed::SpeechStarted)
            }
            StreamEvent::UtteranceEnd { last_word_end_ms } => {
                self.plausible(origin_ms + last_word_end_ms).map(Upstreamed::UtteranceEnd)
            }
            StreamEvent::Closed(closed) => self.closed(closed, origin_ms),
        }
    }

    /// A time, unless it lies beyond all audio: believing it would discard what was not heard yet.
    fn plausible(&self, ms: u64) -> Option<u64> {
        let end_ms = self.ring.end_ms().unwrap_or(u64::MAX);
        if ms > end_ms.saturating_add(SLACK_MS) {
            let provider = self.live.name();
            tracing::warn!(provider, ms, end_ms, "the provider spoke of audio that it never got");
            return None;
        }
        Some(ms.min(end_ms))
    }

    fn cover(&mut self, until_ms: u64) -> Option<Upstreamed> {
        if until_ms <= self.covered_ms {
            return None;
        }
        self.recovery.succeeded();
        self.finalize_asked = None;
        self.covered_ms = until_ms;
        self.said.cover(until_ms);
        self.ring.cover(until_ms);
        Some(Upstreamed::Covered(until_ms))
    }

    fn closed(&mut self, closed: Closed, origin_ms: u64) -> Option<Upstreamed> {
        match closed.reason {
            CloseReason::Finished if self.heard_all(origin_ms, closed.audio_ms) => {
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

    /// Whether a summary is the one that was asked for, and speaks of all the audio.
    fn heard_all(&self, origin_ms: u64, audio_ms: Option<u64>) -> bool {
        let asked = matches!(&self.state, State::Open(open) if open.close_sent);
        let heard_ms = origin_ms + audio_ms.unwrap_or(0) + SLACK_MS;
        asked && self.ring.end_ms().is_none_or(|end_ms| end_ms <= heard_ms)
    }

    /// F: the end of the last final, in milliseconds of session audio.
    pub fn covered_ms(&self) -> u64 {
        self.covered_ms
    }

    fn broke(&mut self, error: ProviderError) -> Option<Upstreamed> {
        let labels = [label("provider", self.live.name()), label("class", error.class.as_str())];
        self.metrics.upstream_failures.add(1, &labels);
        // A client waits for the end: who was late with it twice would be again.
        let late = self.finishing && error.class == ErrorClass::Timeout;
        if late && std::mem::replace(&mut self.was_late, true) {
            return Some(self.over(error));
        }
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
        let delay_ms = delay.as_millis() as u64;
        let fault = ProviderFault {
            code: &error.code,
            request_id: error.request_id.as_deref(),
            detail: &error.detail,
        };
        log_patterns::stream_broke(self.session, self.live.name(), &fault, delay_ms);
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
