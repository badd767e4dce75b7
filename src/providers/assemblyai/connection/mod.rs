//! One stream: sessions with AssemblyAI one after the other, told as one.
//!
//! AssemblyAI says nothing of silence, and only the end of a session proves that all of its audio
//! was heard. So a session that has nothing to say when finals are asked for is ended, which covers
//! its audio, and the next audio opens another.

mod reading;
mod writing;

use std::{collections::VecDeque, time::Duration};

use futures_util::StreamExt;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};

use super::{handshake::Dialer, packer::Packer, turns::Turns};
use crate::{
    model::{AudioChunk, RawFormat},
    providers::{
        CloseReason, Closed, ErrorClass, ProviderError, StreamCommand, StreamEvent, socket::Socket,
    },
};

const PING: Duration = Duration::from_secs(1);
/// How long what was received already may be read after a write failed.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long the close frame that ends a session in order may take.
const GOODBYE: Duration = Duration::from_millis(200);
/// How long after `ForceEndpoint` its turn may come, while audio goes on.
const ANSWER: Duration = Duration::from_secs(2);
/// The same while no audio follows: a speaker who only paused keeps the session.
const QUIET: Duration = Duration::from_secs(6);
/// Audio that follows `ForceEndpoint` later than this comes after a pause on the wire.
const RESUMED: Duration = Duration::from_secs(1);
/// Silence that a session may leave unproved over a pause, in milliseconds; the audio after it waits
/// in the session's ring, which has an end.
const UNPROVED_MS: u64 = 10_000;

/// What is asked of a stream, beside its address.
pub(super) struct Wanted {
    /// The audio.
    pub(super) raw: RawFormat,
    /// Whether to tell when speech starts.
    pub(super) vad_events: bool,
    /// Whether to report each chunk's send time.
    pub(super) report_sent: bool,
}

/// The state of a stream.
pub(super) struct Connection {
    dialer: Dialer,
    wanted: Wanted,
    packer: Packer,
    turns: Turns,
    commands: mpsc::Receiver<StreamCommand>,
    events: mpsc::Sender<StreamEvent>,
    /// The present session's id.
    session_id: String,
    /// Bytes of audio that were written.
    written: u64,
    /// How many of them before the present session.
    began: u64,
    /// Chunks whose writing is to be told, each with where it ends.
    unreported: VecDeque<(u64, u64)>,
    covered_ms: u64,
    forced: Option<Forced>,
    /// Pings since the peer last said anything. Counted rather than timed: a pause of this process
    /// is no silence of the peer's.
    unanswered: u32,
}

/// A `ForceEndpoint` that was sent.
struct Forced {
    at: Instant,
    /// Whether audio went on after it.
    flowing: bool,
    /// Whether a turn ended after it.
    answered: bool,
}

impl Forced {
    /// When a session that stays silent is taken to have nothing to say.
    fn due(&self) -> Instant {
        self.at + if self.flowing { ANSWER } else { QUIET }
    }

    /// Whether audio that comes now went on, rather than coming after a pause.
    fn is_followed(&self) -> bool {
        self.flowing || self.at.elapsed() < RESUMED
    }
}

/// Why a session is to be ended.
enum Ending {
    /// No more audio comes.
    Close,
    /// It has nothing to say; the audio that another one begins with, if it is there already.
    Silence(Option<AudioChunk>),
}

impl Connection {
    pub(super) fn new(
        (dialer, session_id): (Dialer, String),
        wanted: Wanted,
        turns: Turns,
        (commands, events): (mpsc::Receiver<StreamCommand>, mpsc::Sender<StreamEvent>),
    ) -> Self {
        Self {
            packer: Packer::new(wanted.raw),
            dialer,
            wanted,
            turns,
            commands,
            events,
            session_id,
            written: 0,
            began: 0,
            unreported: VecDeque::new(),
            covered_ms: 0,
            forced: None,
            unanswered: 0,
        }
    }

    /// Runs until either side ends; the last event is always `Closed`.
    pub(super) async fn run(mut self, socket: Socket) {
        let closed = match self.sessions(socket).await {
            Ok(()) => Closed { reason: CloseReason::Finished, audio_ms: Some(self.taken_ms()) },
            Err(error) => {
                let mut error = self.dialer.redacted(error);
                error.request_id.get_or_insert_with(|| self.session_id.clone());
                Closed { reason: CloseReason::Failed(error), audio_ms: None }
            }
        };
        // The session may be gone already; then nobody is left to tell.
        let _gone = self.events.send(StreamEvent::Closed(closed)).await;
    }

    async fn sessions(&mut self, mut socket: Socket) -> Result<(), ProviderError> {
        let mut first = None;
        loop {
            let served = match self.session(&mut socket, first).await {
                Ok(ending) => self.terminate(&mut socket).await.map(|()| ending),
                Err(error) => Err(error),
            };
            let ending = match served {
                Ok(ending) => ending,
                Err(error) => return Err(self.part(&mut socket, error).await),
            };
            // All was told, and the peer may have hung up first.
            let _gone = timeout(GOODBYE, socket.close(None)).await;
            drop(socket);
            first = match ending {
                Ending::Close => None,
                Ending::Silence(Some(chunk)) => Some(chunk),
                Ending::Silence(None) => self.next_audio().await,
            };
            if first.is_none() {
                return Ok(());
            }
            socket = self.reopen().await?;
        }
    }

    /// Serves one session until it is to be ended.
    async fn session(
        &mut self,
        socket: &mut Socket,
        first: Option<AudioChunk>,
    ) -> Result<Ending, ProviderError> {
        if let Some(chunk) = first {
            self.audio(socket, chunk).await?;
        }
        let mut tick = interval(PING);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.due();
            tokio::select! {
                frame = socket.next() => if self.hear(frame).await?.is_some() {
                    let detail = "the provider ended the session by itself";
                    return Err(ProviderError::new(ErrorClass::Unavailable, "ended", detail));
                },
                command = self.commands.recv() => match command {
                    Some(StreamCommand::Audio(chunk)) if self.is_overdue() => {
                        return Ok(Ending::Silence(Some(chunk)));
                    }
                    Some(StreamCommand::Audio(chunk)) => self.audio(socket, chunk).await?,
                    Some(StreamCommand::Finalize) => self.force(socket).await?,
                    Some(StreamCommand::Close) | None => return Ok(Ending::Close),
                },
                _ = tick.tick() => self.ping(socket).await?,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if self.attend().await? {
                        return Ok(Ending::Silence(None));
                    }
                }
            }
        }
    }

    /// Waits for audio that is worth another session.
    async fn next_audio(&mut self) -> Option<AudioChunk> {
        loop {
            match self.commands.recv().await? {
                StreamCommand::Audio(chunk) => return Some(chunk),
                // Everything is final already.
                StreamCommand::Finalize => {}
                StreamCommand::Close => return None,
            }
        }
    }

    async fn reopen(&mut self) -> Result<Socket, ProviderError> {
        let (socket, id) = self.dialer.dial().await?;
        tracing::debug!(provider = super::PROVIDER, request_id = id, "another session opened");
        self.session_id = id;
        self.began = self.written;
        self.turns.renew(self.wanted.raw.bytes_to_ms(self.written).unwrap_or(0));
        self.forced = None;
        self.unanswered = 0;
        Ok(socket)
    }

    /// Where the audio so far ends, in milliseconds, rounded up.
    fn taken_ms(&self) -> u64 {
        let taken = self.written + self.packer.waiting_bytes();
        let rate = self.wanted.raw.bytes_per_second().unwrap_or(1).max(1);
        (taken * 1000).div_ceil(rate)
    }

    /// Whether more than so much audio seems to be silence, which only the end of the session
    /// proves. Words that are being said would be torn apart by it: a turn that never ends is for
    /// whoever asked for its end to judge.
    fn is_unproved(&self, ms: u64) -> bool {
        !self.turns.is_speaking() && self.covered_ms + ms < self.taken_ms()
    }

    /// Whether audio that comes now, after a pause, is to find the silence before it proved.
    fn is_overdue(&self) -> bool {
        let pause = self.forced.as_ref().is_some_and(|forced| !forced.is_followed());
        pause && self.is_unproved(UNPROVED_MS)
    }

    /// When something is to be looked at next.
    fn due(&self) -> Option<Instant> {
        let forced = self.forced.as_ref().map(Forced::due);
        [self.turns.held_until(), forced].into_iter().flatten().min()
    }
}
