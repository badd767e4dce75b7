//! Deepgram's protocol on a socket: what its clients say, and what they are told.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio_tungstenite::tungstenite::{
    Bytes,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::message::{Message, Metadata, Model, Results, Stream, seconds};
use crate::{
    auth::digest::hex,
    live::{
        client::Client,
        websocket::socket::{Tongue, Written, frame},
        wire::{Close, Event, Failure},
    },
    model::{Clock, Error, ErrorKind, SessionId},
    telemetry::log_patterns,
};

/// The longest reason of a close frame, in bytes (RFC 6455 §5.5).
const MAX_REASON_BYTES: usize = 123;
/// What is shown of a message that was not understood, in characters.
const SHOWN: usize = 200;
const UNCHANGEABLE: &str = "options cannot be changed while a stream runs";

/// One stream, which is its socket's only one.
pub struct Deepgram {
    id: SessionId,
    request_id: String,
    given: Map<String, Value>,
    channels: u16,
    created: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of all audio so far.
    digest: Sha256,
    /// Who hears it, once it is set up.
    model: Option<Model>,
    /// Whether a demand for finals was answered by text.
    has_answered: bool,
    /// Whether the client said that no more audio comes.
    is_closing: bool,
}

/// What clients say in text.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    KeepAlive,
    Finalize,
    CloseStream,
    Configure,
}

impl Command {
    fn parse(text: &str) -> Option<Self> {
        let message: Value = serde_json::from_str(text).ok()?;
        match message.get("type")?.as_str()? {
            "KeepAlive" => Some(Self::KeepAlive),
            "Finalize" => Some(Self::Finalize),
            "CloseStream" => Some(Self::CloseStream),
            "Configure" => Some(Self::Configure),
            _ => None,
        }
    }
}

impl Deepgram {
    /// A stream of that id with these options, which begins now.
    pub fn new(id: SessionId, given: Map<String, Value>, clock: Clock) -> Self {
        let told = given.get("channels").and_then(Value::as_str);
        let channels = told.and_then(|told| told.parse().ok()).unwrap_or(1);
        let (request_id, created) = (id.to_string(), clock.timestamp());
        Self { id, request_id, given, channels, created, state: Mutex::default() }
    }

    /// The client says that no more audio comes: its last words follow, then the summary.
    fn stop(&self, client: &Client) {
        self.lock().is_closing = true;
        client.stop();
    }

    fn message(&self, event: &Event, state: &State) -> serde_json::Result<Option<String>> {
        let unknown = Model::default();
        let model = state.model.as_ref().unwrap_or(&unknown);
        let stream = Stream { request_id: &self.request_id, model, channels: self.channels };
        let told = match event {
            Event::Finalized(_) if state.has_answered => return Ok(None),
            Event::Transcription(text) => Message::Results(Results::said(text, &stream)),
            Event::Finalized(done) => Message::Results(Results::silent(done.until_ms, &stream)),
            Event::SpeechStarted(speech) => {
                Message::SpeechStarted { channel: [0, 1], timestamp: seconds(speech.at_ms) }
            }
            Event::UtteranceEnd(end) => Message::UtteranceEnd {
                channel: [0, 1],
                last_word_end: seconds(end.last_word_end_ms),
            },
            Event::StreamingStopped(notice) => {
                let digest = hex(&state.digest.clone().finalize());
                let report = notice.report.as_ref();
                Message::Metadata(Metadata::of(&stream, report, &self.created, digest))
            }
            Event::Gap(gap) => {
                let (from, to) = (seconds(gap.from_ms), seconds(gap.to_ms));
                let description = format!("no transcript from {from} s to {to} s: {}", gap.reason);
                return complaint("gap", &description).map(Some);
            }
            Event::Error(failure) => {
                return complaint(failure.code, &failure.message).map(Some);
            }
            _ => return Ok(None),
        };
        serde_json::to_string(&told).map(Some)
    }

    /// What ends the socket: the answer to `CloseStream`, or a stream that failed.
    fn end(event: &Event, state: &State) -> Option<CloseFrame> {
        match event {
            Event::StreamingStopped(_) if state.is_closing => {
                Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })
            }
            // There is no other stream on this socket.
            Event::Error(failure) if failure.session_id.is_some() || state.model.is_none() => {
                Some(failed(failure))
            }
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deepgram closes with 1008 on audio that cannot be read, and with 1011 on its own faults.
fn failed(failure: &Failure) -> CloseFrame {
    let unreadable = [ErrorKind::UnsupportedMedia.code(), ErrorKind::InvalidRequest.code()];
    let is_theirs = unreadable.contains(&failure.code);
    let code = if is_theirs { CloseCode::Policy } else { CloseCode::Error };
    let mut reason = format!("{}: {}", failure.code, failure.message);
    reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
    CloseFrame { code, reason: reason.into() }
}

fn complaint(variant: &str, description: &str) -> serde_json::Result<String> {
    serde_json::to_string(&Message::Error { variant, description, message: description })
}

impl Tongue for Deepgram {
    fn greet(&self, client: &Client) {
        let principal = &client.caller().principal;
        log_patterns::websocket_connected(&principal.subject, principal.auth_type.as_str());
        client.start_as(self.id, &self.given);
    }

    fn binary(&self, client: &Client, bytes: &Bytes) -> bool {
        if bytes.is_empty() {
            // How streams were ended before there was `CloseStream`.
            self.stop(client);
            return false;
        }
        self.lock().digest.update(bytes);
        true
    }

    fn text(&self, client: &Client, text: &str) {
        match Command::parse(text) {
            Some(Command::KeepAlive) => {}
            Some(Command::Finalize) => client.finalize(),
            Some(Command::CloseStream) => self.stop(client),
            Some(Command::Configure) => client.fail(&Error::invalid(UNCHANGEABLE)),
            None => {
                let shown: String = text.chars().take(SHOWN).collect();
                client.fail(&Error::invalid(format!("a message is not understood: {shown}")));
            }
        }
    }

    fn farewell(&self, _: &Client) {}

    /// Nobody can go on with it: what is left is transcribed and billed, and that is all.
    fn over(&self, client: &Client) {
        client.hang_up();
    }

    fn write(&self, event: &Event) -> serde_json::Result<Written> {
        let mut state = self.lock();
        if let Event::SessionStarted(started) = event {
            state.model = Some(Model::named(&started.model));
        }
        let text = self.message(event, &state)?;
        match event {
            Event::Transcription(said) => state.has_answered |= said.from_finalize,
            Event::Finalized(_) => state.has_answered = false,
            _ => {}
        }
        Ok(Written { text, close: Self::end(event, &state) })
    }

    fn close(&self, close: Close) -> serde_json::Result<Written> {
        Ok(Written { text: None, close: Some(frame(close)) })
    }
}
