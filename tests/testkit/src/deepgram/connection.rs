//! One live stream: reads audio and commands, says results, and does wrong what it is asked to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::audio::{Audio, Spoken};
use super::fault::{Action, At, Fault};
use super::record::{End, SentFinal};
use super::shared::Shared;
use super::wire;

const NO_AUDIO: &str = "Deepgram did not receive audio data or a text message within the timeout \
                        window. See https://dpgr.am/net0001";
const NOT_AUDIO: &str = "Deepgram could not decode the audio data that it received. \
                         See https://dpgr.am/data0000";
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

    async fn read(&mut self, message: Option<Result<Message, Error>>) -> Result<(), End> {
        let message = match message {
            None => return Err(End::Vanished("end of stream".to_owned())),
            Some(Err(error)) => return Err(End::Vanished(error.to_string())),
            Some(Ok(message)) => message,
        };
        if let Some(rate) = self.state.misdeeds.bytes_per_second {
            let rest = Duration::from_secs_f64(message.len() as f64 / f64::from(rate.max(1)));
            self.state.rest_until = Some(Instant::now() + rest);
        }
        match message {
            Message::Binary(bytes) => self.read_audio(&bytes).await,
            Message::Text(text) => self.read_text(text.as_str()).await,
            Message::Close(frame) => Err(self.client_closed(frame).await),
            Message::Ping(_) => {
                self.shared.change(self.index, |record| record.pings += 1);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn read_audio(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.note_audio(bytes);
        if self.state.closing {
            return Ok(());
        }
        if bytes.is_empty() {
            // The old way of saying CloseStream.
            return self.close_stream().await;
        }
        self.state.audio_seen = true;
        self.state.idle_at = Instant::now() + self.shared.config.idle_timeout;
        let until_us = self.audio.feed(bytes);
        let heard = self.audio.heard();
        self.shared.change(self.index, |record| record.heard = heard);
        if self.audio.is_undecodable() {
            self.state.closing = true;
            return self.push(Outgoing::Close(1008, NOT_AUDIO.to_owned()));
        }
        self.strike_on_the_way(until_us).await?;
        let spoken = self.audio.tell(until_us);
        self.say(spoken)
    }

    fn note_audio(&self, bytes: &[u8]) {
        let kept = self.shared.config.kept_audio_bytes;
        self.shared.change(self.index, |record| {
            record.audio_messages += 1;
            record.audio_bytes += bytes.len() as u64;
            let room = kept.saturating_sub(record.audio.len()).min(bytes.len());
            record.audio.extend_from_slice(&bytes[..room]);
            if !bytes.is_empty() {
                let now = std::time::Instant::now();
                record.first_audio_at.get_or_insert(now);
                record.last_audio_at = Some(now);
            }
        });
    }

    /// Faults that strike before `until_us`, each once everything before it was said.
    async fn strike_on_the_way(&mut self, until_us: u64) -> Result<(), End> {
        let micros = |at: Duration| at.as_micros() as u64;
        loop {
            let due = |fault: &Fault| match fault.at {
                At::Audio(at) if micros(at) <= until_us => Some(micros(at)),
                _ => None,
            };
            let Some(at_us) = self.faults.iter().filter_map(due).min() else { return Ok(()) };
            let spoken = self.audio.tell(at_us);
            self.say(spoken)?;
            self.strike(|at| matches!(at, At::Audio(at) if micros(at) == at_us)).await?;
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

    async fn read_text(&mut self, text: &str) -> Result<(), End> {
        let kept = self.shared.config.kept_entries;
        self.shared.change(self.index, |record| {
            if record.texts.len() < kept {
                record.texts.push(text.to_owned());
            }
        });
        if self.state.audio_seen || !self.shared.config.audio_required {
            self.state.idle_at = Instant::now() + self.shared.config.idle_timeout;
        }
        if self.state.closing {
            return Ok(());
        }
        let json: Value = serde_json::from_str(text).unwrap_or_default();
        match json["type"].as_str() {
            Some("KeepAlive") => Ok(()),
            Some("CloseStream") => self.close_stream().await,
            Some("Finalize") if self.state.misdeeds.ignore_finalize => Ok(()),
            Some("Finalize") => {
                let channel = json["channel"].as_u64().map(|channel| channel as usize);
                let spoken = self.audio.finalize(channel);
                self.say(spoken)
            }
            Some("Configure") => {
                let answer = self.configure(&json);
                self.push(text_message(&answer))
            }
            _ => self.push(text_message(&wire::schema_error(text))),
        }
    }

    fn configure(&self, request: &Value) -> Value {
        let mut request_id = json!(null);
        self.shared.change(self.index, |record| request_id = json!(record.request_id));
        let keyterms = request["keyterms"].as_array().cloned().unwrap_or_default();
        let count = |term: &Value| term.as_str().map_or(0, |term| term.split_whitespace().count());
        let fault = if !keyterms.is_empty() && !self.keyterms {
            "CONFIGURE_KEYTERMS_NOT_SUPPORTED"
        } else if keyterms.iter().map(count).sum::<usize>() > 500 {
            "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"
        } else {
            return json!({
                "type": "ConfigureSuccess", "request_id": request_id, "keyterms": keyterms,
            });
        };
        let description = "The configuration was not applied.";
        json!({
            "type": "ConfigureFailure", "request_id": request_id, "code": fault,
            "description": description,
        })
    }

    async fn close_stream(&mut self) -> Result<(), End> {
        self.strike(|at| at == At::CloseStream).await?;
        if self.state.misdeeds.ignore_close_stream {
            return Ok(());
        }
        self.state.closing = true;
        let spoken = self.audio.close();
        self.say(spoken)?;
        self.push(Outgoing::Close(1000, String::new()))
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

    fn say(&mut self, spoken: Vec<Spoken>) -> Result<(), End> {
        for spoken in spoken {
            let double = self.state.misdeeds.double_finals && spoken.segment.is_some();
            if double {
                self.push(Outgoing::Spoken(Box::new(spoken.clone())))?;
            }
            self.push(Outgoing::Spoken(Box::new(spoken)))?;
        }
        Ok(())
    }

    fn push(&mut self, outgoing: Outgoing) -> Result<(), End> {
        if matches!(outgoing, Outgoing::Close(..)) {
            self.state.closing = true;
        }
        if self.state.outbox.len() >= OUTBOX_LIMIT {
            return Err(End::Vanished("outbox is full".to_owned()));
        }
        self.state.outbox.push_back((Instant::now() + self.state.misdeeds.delay, outgoing));
        Ok(())
    }

    /// Writes everything that is due.
    async fn flush(&mut self) -> Result<(), End> {
        let now = Instant::now();
        while !self.state.misdeeds.mute {
            let due = self.state.outbox.pop_front_if(|(due, _)| *due <= now);
            let Some((_, outgoing)) = due else { break };
            match outgoing {
                Outgoing::Close(code, reason) => return Err(self.close(code, reason).await),
                Outgoing::Message(message) => self.write(message).await?,
                Outgoing::Spoken(spoken) => {
                    self.write(Message::text(spoken.json.to_string())).await?;
                    self.note_final(*spoken);
                }
            }
        }
        Ok(())
    }

    async fn write(&mut self, message: Message) -> Result<(), End> {
        match timeout(PATIENCE, self.ws.send(message)).await {
            Err(_) => Err(End::Vanished("client reads nothing".to_owned())),
            Ok(Err(error)) => Err(gone(&error)),
            Ok(Ok(())) => {
                self.shared.change(self.index, |record| record.sent_messages += 1);
                Ok(())
            }
        }
    }

    fn note_final(&self, spoken: Spoken) {
        let Some((channel, segment)) = spoken.segment else { return };
        let kept = self.shared.config.kept_entries;
        self.shared.change(self.index, |record| {
            if record.finals.len() < kept {
                record.finals.push(SentFinal {
                    channel: channel as u32,
                    start_us: segment.start_us,
                    end_us: segment.end_us,
                    words: segment.words.into_iter().map(|word| word.text).collect(),
                    speech_final: segment.speech_final,
                    from_finalize: segment.from_finalize,
                    sent_at: std::time::Instant::now(),
                });
            }
        });
    }

    /// Closes and waits for the client's answer.
    async fn close(&mut self, code: u16, reason: String) -> End {
        let frame = CloseFrame { code: code.into(), reason: reason.clone().into() };
        let closing = async {
            self.ws.close(Some(frame)).await?;
            while self.ws.next().await.is_some_and(|message| message.is_ok()) {}
            Ok::<_, Error>(())
        };
        match timeout(PATIENCE, closing).await {
            Ok(Err(error)) => gone(&error),
            Ok(Ok(())) | Err(_) => End::Server { code, reason },
        }
    }

    async fn client_closed(&mut self, frame: Option<CloseFrame>) -> End {
        let drain = async { while self.ws.next().await.is_some_and(|message| message.is_ok()) {} };
        // A client that keeps TCP open after its close frame has closed all the same.
        let _ = timeout(PATIENCE, drain).await;
        let (code, reason) = frame
            .map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
        End::Client { code, reason }
    }
}

fn text_message(json: &Value) -> Outgoing {
    Outgoing::Message(Message::text(json.to_string()))
}

fn gone(error: &Error) -> End {
    End::Vanished(error.to_string())
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
