//! One live stream: reads audio and commands, says results, and does wrong what it is asked to.

mod reading;
mod writing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::audio::{Audio, Spoken};
use super::fault::{Action, At, Fault};
use super::record::End;
use super::shared::Shared;
use writing::gone;

const NO_AUDIO: &str = "Deepgram did not receive audio data or a text message within the timeout \
                        window. See https://dpgr.am/net0001";
/// How long a closing handshake, or one write, may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Messages that may wait to be sent.
const OUTBOX_LIMIT: usize = 100_000;

/// What is to be written, in order.
enum Outgoing {
    Spoken(Box<Spoken>),
    Message(Message),
    Close(u16, String),
}

/// What goes on wrong until it is healed.
#[derive(Default)]
struct Misdeeds {
    mute: bool,
    deaf: bool,
    bytes_per_second: Option<u32>,
    delay: Duration,
    ignore_close_stream: bool,
    ignore_finalize: bool,
    double_finals: bool,
}

enum Step {
    Act(Action),
    Flush,
    Idle,
    Rested,
    Read(Option<Result<Message, Error>>),
}

/// One open stream.
pub(crate) struct Connection {
    pub(crate) ws: WebSocketStream<TcpStream>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) index: usize,
    pub(crate) audio: Audio,
    pub(crate) faults: Vec<Fault>,
    pub(crate) injected: mpsc::Receiver<Action>,
    pub(crate) keyterms: bool,
    state: State,
}

struct State {
    outbox: VecDeque<(Instant, Outgoing)>,
    misdeeds: Misdeeds,
    idle_at: Instant,
    rest_until: Option<Instant>,
    audio_seen: bool,
    /// `CloseStream` was obeyed: nothing more is heard.
    closing: bool,
}

impl Connection {
    pub(crate) fn new(
        ws: WebSocketStream<TcpStream>,
        shared: Arc<Shared>,
        index: usize,
        audio: Audio,
        faults: Vec<Fault>,
        injected: mpsc::Receiver<Action>,
        keyterms: bool,
    ) -> Self {
        let state = State {
            outbox: VecDeque::new(),
            misdeeds: Misdeeds { delay: shared.config.latency, ..Misdeeds::default() },
            idle_at: Instant::now() + shared.config.idle_timeout,
            rest_until: None,
            audio_seen: false,
            closing: false,
        };
        Self { ws, shared, index, audio, faults, injected, keyterms, state }
    }

    /// Serves the stream to its end, which it also records.
    pub(crate) async fn run(mut self) {
        let end = self.serve().await.unwrap_or_else(|end| end);
        let sha256 = self.audio.sha256();
        self.shared.change(self.index, |record| {
            record.audio_sha256 = Some(sha256);
            record.end = Some(end);
        });
    }

    async fn serve(&mut self) -> Result<End, End> {
        self.strike(|at| at == At::Open).await?;
        loop {
            let step = self.next_step().await;
            match step {
                Step::Act(action) => self.act(action).await?,
                Step::Flush => self.flush().await?,
                Step::Idle => self.push(Outgoing::Close(1011, NO_AUDIO.to_owned()))?,
                Step::Rested => self.state.rest_until = None,
                Step::Read(message) => self.read(message).await?,
            }
        }
    }

    async fn next_step(&mut self) -> Step {
        let state = &self.state;
        let due = state.outbox.front().map(|(due, _)| *due).filter(|_| !state.misdeeds.mute);
        let rest = state.rest_until;
        let reads = !state.misdeeds.deaf && rest.is_none();
        let idles = !state.closing && !state.misdeeds.mute && !state.misdeeds.deaf;
        let idle_at = state.idle_at;
        tokio::select! {
            biased;
            Some(action) = self.injected.recv() => Step::Act(action),
            () = until(due) => Step::Flush,
            () = until(rest) => Step::Rested,
            message = self.ws.next(), if reads => Step::Read(message),
            () = sleep_until(idle_at), if idles => Step::Idle,
        }
    }

    async fn strike(&mut self, now: impl Fn(At) -> bool) -> Result<(), End> {
        let (struck, later): (Vec<_>, Vec<_>) =
            self.faults.drain(..).partition(|fault| now(fault.at));
        self.faults = later;
        for fault in struck {
            self.act(fault.action).await?;
        }
        Ok(())
    }

    async fn act(&mut self, action: Action) -> Result<(), End> {
        let misdeeds = &mut self.state.misdeeds;
        match action {
            Action::StopAnswering => misdeeds.mute = true,
            Action::StopReading => misdeeds.deaf = true,
            Action::ReadSlowly(rate) => misdeeds.bytes_per_second = Some(rate),
            Action::Delay(delay) => misdeeds.delay = delay,
            Action::IgnoreCloseStream => misdeeds.ignore_close_stream = true,
            Action::IgnoreFinalize => misdeeds.ignore_finalize = true,
            Action::DuplicateFinals => misdeeds.double_finals = true,
            Action::Heal => {
                let delay = self.shared.config.latency;
                self.state.misdeeds = Misdeeds { delay, ..Misdeeds::default() };
                self.state.idle_at = Instant::now() + self.shared.config.idle_timeout;
            }
            Action::SendText(text) => self.push(Outgoing::Message(Message::text(text)))?,
            Action::SendHugeText(bytes) => {
                self.push(Outgoing::Message(Message::text("x".repeat(bytes))))?;
            }
            Action::SendBinary(bytes) => self.push(Outgoing::Message(Message::binary(bytes)))?,
            Action::SendRaw(bytes) => {
                self.flush().await?;
                self.ws.get_mut().write_all(&bytes).await.map_err(|error| gone(&error.into()))?;
            }
            Action::Close(code, reason) => {
                self.flush().await?;
                return Err(self.close(code, reason).await);
            }
            Action::Drop | Action::Reset => {
                self.flush().await?;
                if action == Action::Reset {
                    self.ws.get_ref().set_zero_linger().map_err(|error| gone(&error.into()))?;
                }
                return Err(End::Cut);
            }
        }
        Ok(())
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
