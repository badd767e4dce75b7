//! Faults that a test can ask of a simulated AssemblyAI.

use std::collections::VecDeque;
use std::time::Duration;

/// How a session is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The upgrade is answered with this status and body instead.
    Status(u16, String),
    /// The upgrade succeeds; an `Error` and a close with that code and reason follow, no `Begin`.
    Close(u16, String),
    /// The upgrade succeeds, and nothing follows.
    Hang,
}

/// When a fault strikes a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Right after `Begin`.
    Begin,
    /// When this much audio has been received and answered.
    Audio(Duration),
    /// When `Terminate` arrives, before it is obeyed.
    Terminate,
}

/// What a session does wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sends an `Error`, then closes with that code and reason.
    Close(u16, String),
    /// Ends the TCP connection without a close frame (FIN).
    Drop,
    /// Resets the TCP connection (RST).
    Reset,
    /// Goes on reading, says nothing more; pings are still answered.
    StopAnswering,
    /// Reads nothing more and so answers no ping.
    StopReading,
    /// Never answers `ForceEndpoint`.
    IgnoreForceEndpoint,
    /// Never answers `Terminate`.
    IgnoreTerminate,
    /// Never sends the written form of a turn.
    LeaveUnwritten,
    /// Says at the end that it heard this much less audio.
    HearLess(Duration),
    /// Sends a text message as it is.
    SendText(String),
    /// Sends a binary message.
    SendBinary(Vec<u8>),
}

/// One misdeed and its moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub at: At,
    /// What.
    pub action: Action,
}

/// Faults that wait for their turn.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) refusals: VecDeque<Refusal>,
    pub(crate) plans: VecDeque<Vec<Fault>>,
    pub(crate) standing: Vec<Fault>,
}

impl Faults {
    /// What the next session does wrong.
    pub(crate) fn next_plan(&mut self) -> Vec<Fault> {
        self.plans.pop_front().unwrap_or_else(|| self.standing.clone())
    }
}
