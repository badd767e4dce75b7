//! One open stream of the engine: the task between a session's commands and the workers.

mod turn;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::sleep_until,
};

use super::{
    engine::Shared,
    intake::Intake,
    jobs::{Answer, Listened, Partials, answered},
    recogniser::Recognition,
    segmenter::Segmenter,
    vad::{FRAME_SAMPLES, VadMemory},
    voice::Voice,
    words::{Span, ms_of},
};
use crate::{
    media::SPEECH_HERTZ,
    providers::{
        CloseReason, Endpointing, ErrorClass, ProviderError, StreamCommand, StreamEvent,
        StreamOptions,
    },
};

/// Audio that may wait for the workers, in samples; past it commands are not read.
const MAX_WAITING_SAMPLES: usize = 30 * SPEECH_HERTZ as usize;
/// Events that may wait for the session; past it commands are not read.
const MAX_WAITING_EVENTS: usize = 256;
/// Samples that one listening task takes: a second.
const LISTEN_SAMPLES: usize = 32 * FRAME_SAMPLES;
/// A stream that is this far behind shows no text that may still change.
const LATE_SAMPLES: usize = SPEECH_HERTZ as usize / 2;
/// How long a worker may take over one task, queueing included.
const STUCK: Duration = Duration::from_mins(1);
const DEFAULT_PAUSE_MS: u32 = 500;
/// Shorter pauses lie within words.
const MIN_PAUSE_MS: u32 = 100;

pub(super) struct Stream {
    // The first field, so that the place is free before the session can see the stream end.
    slot: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
    options: StreamOptions,
    commands: mpsc::Receiver<StreamCommand>,
    events: mpsc::Sender<StreamEvent>,
    intake: Intake,
    closing: bool,
    // Why no more audio can be taken; told when what was heard has been.
    broken: Option<ProviderError>,
    // Samples that nobody has listened to yet.
    fresh: Vec<f32>,
    listening: Option<Answer<Listened>>,
    // Samples that are being listened to.
    in_flight: usize,
    memory: Option<VadMemory>,
    segmenter: Segmenter,
    finalize_at: Option<Mark>,
    flushed: bool,
    due: VecDeque<Due>,
    decoding: Option<(Due, Answer<Recognition>)>,
    partials: Partials,
    voice: Voice,
    busy_since: Instant,
}

/// Where everything heard must become final.
#[derive(Clone, Copy)]
struct Mark {
    sample: u64,
    ms: u64,
}

/// A final to be made: of samples, or empty.
struct Due {
    span: Span,
    samples: Vec<f32>,
    finalized_ms: Option<u64>,
}

/// What wakes the stream.
enum Wake {
    Command(Option<StreamCommand>),
    Listened(Result<Listened, ProviderError>),
    Final(Result<Recognition, ProviderError>),
    Partial(Result<Recognition, ProviderError>),
    Arrived(Result<(), ProviderError>),
    Delivered,
    Gone,
    Stop(ProviderError),
}

impl Stream {
    pub(super) fn new(
        shared: Arc<Shared>,
        options: StreamOptions,
        intake: Intake,
        (commands, events): (mpsc::Receiver<StreamCommand>, mpsc::Sender<StreamEvent>),
        slot: OwnedSemaphorePermit,
    ) -> Self {
        let pause_ms = match options.endpointing {
            Endpointing::Default => Some(DEFAULT_PAUSE_MS),
            Endpointing::Off => None,
            Endpointing::AfterMs(ms) => Some(ms.max(MIN_PAUSE_MS)),
        };
        Self {
            voice: Voice::new(&options),
            shared,
            options,
            commands,
            events,
            intake,
            closing: false,
            broken: None,
            fresh: Vec::new(),
            listening: None,
            in_flight: 0,
            memory: Some(VadMemory::default()),
            segmenter: Segmenter::new(pause_ms),
            finalize_at: None,
            flushed: false,
            due: VecDeque::new(),
            decoding: None,
            partials: Partials::default(),
            busy_since: Instant::now(),
            slot: Some(slot),
        }
    }

    /// Runs until everything is told, the stream fails, or nobody listens any more.
    pub(super) async fn run(mut self) {
        let mut over = false;
        while !over || !self.voice.outbox.is_empty() {
            over = match self.turn(over).await {
                Ok(Some(over)) => over,
                Ok(None) => return,
                Err(error) => self.fail(error),
            };
        }
    }

    /// One wake-up; says whether the stream is over but for telling so, `None` at once.
    async fn turn(&mut self, over: bool) -> Result<Option<bool>, ProviderError> {
        if !over && self.advance()? {
            if let Some(error) = self.broken.take() {
                return Err(error);
            }
            self.voice.close(CloseReason::Finished, self.heard_ms());
            self.slot = None;
            self.busy_since = Instant::now();
            return Ok(Some(true));
        }
        match self.wake(over).await {
            Wake::Gone => Ok(None),
            Wake::Stop(error) => Err(error),
            wake => self.take(wake).map(|()| Some(over)),
        }
    }

    fn fail(&mut self, error: ProviderError) -> bool {
        self.commands.close();
        self.voice.close(CloseReason::Failed(error), self.heard_ms());
        self.slot = None;
        self.busy_since = Instant::now();
        true
    }

    fn heard_ms(&self) -> u64 {
        let given = ms_of(self.segmenter.position());
        self.intake.taken_ms().unwrap_or(given).max(given)
    }

    async fn wake(&mut self, over: bool) -> Wake {
        let room = self.waiting_samples() < MAX_WAITING_SAMPLES;
        let told = self.voice.outbox.len() < MAX_WAITING_EVENTS;
        let open = !over && !self.closing && room && told && self.intake.ready();
        let busy = !over && (self.listening.is_some() || self.decoding.is_some());
        let stuck = tokio::time::Instant::from_std(self.busy_since + STUCK);
        tokio::select! {
            permit = self.events.reserve(), if !self.voice.outbox.is_empty() => match permit {
                Ok(permit) => {
                    if let Some(event) = self.voice.outbox.pop_front() {
                        permit.send(event);
                    }
                    Wake::Delivered
                }
                Err(_) => Wake::Gone,
            },
            () = self.events.closed() => Wake::Gone,
            () = self.shared.shutdown.hard().cancelled(), if !over => Wake::Stop(stopped()),
            listened = answered(self.listening.as_mut()), if !over => Wake::Listened(listened),
            text = answered(self.decoding.as_mut().map(|(_, answer)| answer)), if !over => {
                Wake::Final(text)
            }
            text = answered(self.partials.awaited.as_mut().map(|(_, answer)| answer)), if !over => {
                Wake::Partial(text)
            }
            arrived = self.intake.arrived(room, &mut self.fresh), if !over => {
                Wake::Arrived(arrived)
            }
            command = self.commands.recv(), if open => Wake::Command(command),
            () = sleep_until(stuck), if over => Wake::Gone,
            () = sleep_until(stuck), if busy => Wake::Stop(too_slow()),
        }
    }

    fn take(&mut self, wake: Wake) -> Result<(), ProviderError> {
        match wake {
            Wake::Command(Some(StreamCommand::Audio(chunk))) => self.hear(chunk),
            Wake::Command(Some(StreamCommand::Finalize)) => {
                let unheard = (self.in_flight + self.fresh.len()) as u64;
                let sample = self.segmenter.position() + unheard;
                let ms = self.intake.taken_ms().unwrap_or(0).max(ms_of(sample));
                self.finalize_at = Some(Mark { sample, ms });
            }
            Wake::Command(Some(StreamCommand::Close) | None) => {
                self.closing = true;
                self.intake.close(&mut self.fresh);
            }
            Wake::Listened(listened) => {
                self.listening = None;
                self.segment(listened?)?;
            }
            Wake::Final(recognition) => self.deliver(&recognition?),
            Wake::Partial(recognition) => self.show(&recognition?),
            Wake::Arrived(Err(error)) => {
                self.broken = Some(error);
                self.intake.give_up();
            }
            Wake::Arrived(Ok(())) | Wake::Delivered | Wake::Gone | Wake::Stop(_) => {}
        }
        Ok(())
    }
}

fn stopped() -> ProviderError {
    ProviderError::new(ErrorClass::Unavailable, "shutting_down", "the replica is stopping")
}

fn too_slow() -> ProviderError {
    ProviderError::new(ErrorClass::Timeout, "decode_timeout", "the speech workers do not answer")
}
