//! Faults that a test can ask for: refusals at the door, and misdeeds on open streams.

use std::collections::VecDeque;
use std::time::Duration;

use super::refusal::Refusal;

/// What a client knocks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `GET /v1/listen` with an upgrade.
    Live,
    /// `POST /v1/listen`.
    Recorded,
    /// `POST /v1/auth/grant`.
    Grant,
}

/// When a fault strikes a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Right after the handshake.
    Open,
    /// When this much audio has been received and answered.
    Audio(Duration),
    /// When `CloseStream` arrives, before it is obeyed.
    CloseStream,
}

/// What a stream does wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Closes with that code and reason; delayed results are lost.
    Close(u16, String),
    /// Ends the TCP connection without a close frame (FIN).
    Drop,
    /// Resets the TCP connection (RST).
    Reset,
    /// Goes on reading, says nothing more; pings are still answered.
    StopAnswering,
    /// Reads nothing more and so answers no ping; results on their way are still sent.
    StopReading,
    /// Reads no more than this many bytes a second.
    ReadSlowly(u32),
    /// Delays every further message by this.
    Delay(Duration),
    /// Never answers `CloseStream`.
    IgnoreCloseStream,
    /// Never answers `Finalize`.
    IgnoreFinalize,
    /// Sends each further final twice.
    DuplicateFinals,
    /// Sends a text message as it is.
    SendText(String),
    /// Sends a text message of that many bytes.
    SendHugeText(usize),
    /// Sends a binary message.
    SendBinary(Vec<u8>),
    /// Writes bytes below the WebSocket layer, such as a frame that breaks the protocol.
    SendRaw(Vec<u8>),
    /// Undoes every lasting fault above.
    Heal,
}

/// One misdeed and its moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub at: At,
    /// What.
    pub action: Action,
}

impl Fault {
    /// Right after the handshake.
    pub const fn at_open(action: Action) -> Self {
        Self { at: At::Open, action }
    }

    /// When that much audio has been received.
    pub const fn at_audio(heard: Duration, action: Action) -> Self {
        Self { at: At::Audio(heard), action }
    }

    /// When `CloseStream` arrives.
    pub const fn at_close_stream(action: Action) -> Self {
        Self { at: At::CloseStream, action }
    }
}

/// What happens to a request before it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Refuse(Refusal),
    /// Never answered.
    Hang,
    /// Cut without an answer.
    Cut,
}

/// Faults that wait for their turn.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    gates: Vec<(Door, u32, Gate)>,
    plans: VecDeque<Vec<Fault>>,
    standing: Vec<Fault>,
}

impl Faults {
    pub(crate) fn add_gate(&mut self, door: Door, times: u32, gate: Gate) {
        self.gates.push((door, times, gate));
    }

    pub(crate) fn add_plan(&mut self, faults: Vec<Fault>) {
        self.plans.push_back(faults);
    }

    pub(crate) fn set_standing(&mut self, faults: Vec<Fault>) {
        self.standing = faults;
    }

    /// The gate that the next request at `door` meets, if any.
    pub(crate) fn next_gate(&mut self, door: Door) -> Option<Gate> {
        let (_, times, gate) =
            self.gates.iter_mut().find(|(at, times, _)| *at == door && *times > 0)?;
        *times -= 1;
        Some(gate.clone())
    }

    /// What the next accepted stream does wrong.
    pub(crate) fn next_plan(&mut self) -> Vec<Fault> {
        self.plans.pop_front().unwrap_or_else(|| self.standing.clone())
    }
}
