//! One session: reads audio and commands, tells turns, and does wrong what it is asked to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use uuid::Uuid;

use super::door::Admission;
use super::fault::{Action, At, Fault};
use super::listener::{Listener, Turn};
use super::record::SentTurn;
use super::{Shared, wire};
use crate::deepgram::End;
use crate::wait::lock;

/// How long a closing handshake, or one write, may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Injected actions that may wait for a session.
const INJECTED: usize = 64;
/// Audio that may wait ahead of real time.
const LOOKAHEAD: Duration = Duration::from_mins(5);
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// What goes on wrong.
#[derive(Default)]
struct Misdeeds {
    mute: bool,
    deaf: bool,
    ignore_force: bool,
    ignore_terminate: bool,
    unwritten: bool,
    less: Duration,
}

/// One open session.
pub(crate) struct Session {
    ws: WebSocketStream<TcpStream>,
    shared: Arc<Shared>,
    index: usize,
    id: Uuid,
    opened: Instant,
    listener: Listener,
    formatted: bool,
    faults: Vec<Fault>,
    injected: mpsc::Receiver<Action>,
    misdeeds: Misdeeds,
}

impl Session {
    pub(crate) fn open(
        ws: WebSocketStream<TcpStream>,
        admission: Admission,
        shared: Arc<Shared>,
    ) -> Self {
        let id = Uuid::new_v4();
        let listener = Listener::new(&admission, &lock(&shared.script), &shared.config);
        let Admission { query, headers, formatted, .. } = admission;
        let index = shared.book.update(|book| book.open(id, query, headers));
        let (sender, injected) = mpsc::channel(INJECTED);
        lock(&shared.open).insert(index, sender);
        let faults = lock(&shared.faults).next_plan();
        let (opened, misdeeds) = (Instant::now(), Misdeeds::default());
        Self { ws, shared, index, id, opened, listener, formatted, faults, injected, misdeeds }
    }

    /// Serves the session to its end, which it also records.
    pub(crate) async fn run(mut self) {
        let end = self.serve().await.unwrap_or_else(|end| end);
        self.note(|record| record.end = Some(end));
    }

    async fn serve(&mut self) -> Result<End, End> {
        self.say(&wire::begin(self.id)).await?;
        self.strike(|at| at == At::Begin).await?;
        loop {
            let reads = !self.misdeeds.deaf;
            tokio::select! {
                biased;
                Some(action) = self.injected.recv() => self.act(action).await?,
                message = self.ws.next(), if reads => self.read(message).await?,
                else => return Err(End::Vanished("nothing is left to do".to_owned())),
            }
        }
    }

    async fn read(&mut self, message: Option<Result<Message, Error>>) -> Result<(), End> {
        match message {
            None => Err(End::Vanished("end of stream".to_owned())),
            Some(Err(error)) => Err(gone(&error)),
            Some(Ok(Message::Binary(audio))) => self.hear(&audio).await,
            Some(Ok(Message::Text(text))) => self.obey(text.as_str()).await,
            Some(Ok(Message::Close(frame))) => {
                let (code, reason) = frame.map_or((1005, String::new()), |frame| {
                    (frame.code.into(), frame.reason.to_string())
                });
                Err(End::Client { code, reason })
            }
            Some(Ok(Message::Ping(_))) => {
                self.note(|record| record.pings += 1);
                Ok(())
            }
            Some(Ok(_)) => Ok(()),
        }
    }

    async fn hear(&mut self, audio: &[u8]) -> Result<(), End> {
        let length = self.listener.length_of(audio);
        if !(SHORTEST..=LONGEST).contains(&length) {
            let ms = length.as_millis();
            let reason = format!("Input Duration Violation: {ms} ms. Expected 50 to 1000 ms");
            return Err(self.fail(3007, reason).await);
        }
        let until = self.listener.feed(audio);
        let heard = self.listener.heard();
        self.note(|record| {
            record.audio_bytes += audio.len() as u64;
            record.audio_messages += 1;
            record.heard = heard;
            record.last_audio_at = Some(Instant::now());
        });
        if heard > self.opened.elapsed() + LOOKAHEAD {
            let reason = "Audio Transmission Rate Exceeded: too much audio buffered";
            return Err(self.fail(3007, reason.to_owned()).await);
        }
        self.strike_on_the_way(until).await?;
        let turns = self.listener.advance(until);
        self.tell(turns).await
    }

    /// Faults that strike before `until`, each once everything before it was told.
    async fn strike_on_the_way(&mut self, until: Duration) -> Result<(), End> {
        loop {
            let due = |fault: &Fault| match fault.at {
                At::Audio(at) if at <= until => Some(at),
                _ => None,
            };
            let Some(first) = self.faults.iter().filter_map(due).min() else { return Ok(()) };
            let turns = self.listener.advance(first);
            self.tell(turns).await?;
            self.strike(|at| at == At::Audio(first)).await?;
        }
    }

    async fn obey(&mut self, text: &str) -> Result<(), End> {
        self.note(|record| record.texts.push(text.to_owned()));
        let json: Value = serde_json::from_str(text).unwrap_or_default();
        match json["type"].as_str() {
            Some("KeepAlive" | "UpdateConfiguration") => Ok(()),
            Some("ForceEndpoint") if self.misdeeds.ignore_force => Ok(()),
            Some("ForceEndpoint") => {
                let turns = self.listener.force();
                self.tell(turns).await
            }
            Some("Terminate") => self.terminate().await,
            _ => Err(self.fail(3006, format!("Invalid Message Type: {text:.40}")).await),
        }
    }

    async fn terminate(&mut self) -> Result<(), End> {
        self.strike(|at| at == At::Terminate).await?;
        if self.misdeeds.ignore_terminate || self.misdeeds.mute {
            return Ok(());
        }
        let turns = self.listener.close();
        self.tell(turns).await?;
        let heard = self.listener.heard().saturating_sub(self.misdeeds.less);
        self.say(&wire::termination(heard, self.opened.elapsed())).await?;
        Err(self.close(1000, String::new()).await)
    }

    async fn tell(&mut self, turns: Vec<Turn>) -> Result<(), End> {
        for turn in turns.into_iter().filter(|turn| !turn.words.is_empty()) {
            let written = turn.ended && self.formatted;
            if !written || self.shared.config.both_forms || self.misdeeds.unwritten {
                self.say(&wire::turn(&turn, false)).await?;
            }
            if written && !self.misdeeds.unwritten {
                self.say(&wire::turn(&turn, true)).await?;
            }
            if turn.ended && !self.misdeeds.mute {
                self.note_turn(&turn);
            }
        }
        Ok(())
    }

    fn note_turn(&self, turn: &Turn) {
        let sent = SentTurn {
            order: turn.order,
            words: turn.words.iter().map(|word| word.text.clone()).collect(),
            end_us: turn.words.last().map_or(0, |word| word.end_us),
            sent_at: Instant::now(),
        };
        self.note(|record| record.turns.push(sent));
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
        let misdeeds = &mut self.misdeeds;
        match action {
            Action::StopAnswering => misdeeds.mute = true,
            Action::StopReading => misdeeds.deaf = true,
            Action::IgnoreForceEndpoint => misdeeds.ignore_force = true,
            Action::IgnoreTerminate => misdeeds.ignore_terminate = true,
            Action::LeaveUnwritten => misdeeds.unwritten = true,
            Action::HearLess(less) => misdeeds.less = less,
            Action::SendText(text) => self.write(Message::text(text)).await?,
            Action::SendBinary(bytes) => self.write(Message::binary(bytes)).await?,
            Action::Close(code, reason) => return Err(self.fail(code, reason).await),
            Action::Drop => return Err(End::Cut),
            Action::Reset => {
                self.ws.get_ref().set_zero_linger().map_err(|error| gone(&error.into()))?;
                return Err(End::Cut);
            }
        }
        Ok(())
    }

    async fn say(&mut self, json: &Value) -> Result<(), End> {
        if self.misdeeds.mute {
            return Ok(());
        }
        self.write(Message::text(json.to_string())).await
    }

    async fn write(&mut self, message: Message) -> Result<(), End> {
        match timeout(PATIENCE, self.ws.send(message)).await {
            Err(_) => Err(End::Vanished("client reads nothing".to_owned())),
            Ok(sent) => sent.map_err(|error| gone(&error)),
        }
    }

    /// An `Error` with the code comes before a close that is no end in order.
    async fn fail(&mut self, code: u16, reason: String) -> End {
        match self.write(Message::text(wire::error(code, &reason).to_string())).await {
            Ok(()) => self.close(code, reason).await,
            Err(end) => end,
        }
    }

    async fn close(&mut self, code: u16, reason: String) -> End {
        closed(&mut self.ws, code, &reason).await;
        End::Server { code, reason }
    }

    fn note(&self, change: impl FnOnce(&mut super::Record)) {
        self.shared.book.update(|book| book.change(self.index, change));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        lock(&self.shared.open).remove(&self.index);
        self.note(|record| {
            record.end.get_or_insert(End::Cut);
        });
    }
}

/// Closes and waits for the client's answer.
async fn closed(ws: &mut WebSocketStream<TcpStream>, code: u16, reason: &str) {
    let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
    let closing = async {
        ws.close(Some(frame)).await?;
        while ws.next().await.is_some_and(|message| message.is_ok()) {}
        Ok::<_, Error>(())
    };
    // A client that is gone has closed all the same.
    let _ = timeout(PATIENCE, closing).await;
}

/// Says why there is no session.
pub(crate) async fn turn_away(mut ws: WebSocketStream<TcpStream>, code: u16, reason: String) {
    let error = Message::text(wire::error(code, &reason).to_string());
    if ws.send(error).await.is_ok() {
        closed(&mut ws, code, &reason).await;
    }
}

fn gone(error: &Error) -> End {
    End::Vanished(error.to_string())
}
