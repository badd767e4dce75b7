//! Why the service closes a socket, and how it says so.

use serde::Serialize;

use super::Event;

/// Longest time that the clients of a drained replica are told to wait, in milliseconds.
const DRAINED_MS: u64 = 2_000;

/// The server is about to close this socket.
#[derive(Clone, Debug, Serialize)]
pub struct Closing {
    /// Close code, see [`Close`].
    pub code: u16,
    /// What for.
    pub reason: &'static str,
    /// Whether to come back.
    pub reconnect: bool,
    /// How long to wait before, in milliseconds.
    pub reconnect_after_ms: u64,
}

/// Why the server closes a socket. 4000–4499 ask to reconnect, 4500–4999 ask not to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The replica is going away.
    Draining,
    /// The client does not read its finals.
    SlowReader,
    /// The client answers no ping.
    Silent,
    /// The credential came to its end.
    TokenExpired,
    /// The session failed by a fault of ours, and can be gone on with.
    Restart,
    /// The credential was taken back.
    CredentialRevoked,
    /// Another socket has taken the session over.
    Replaced,
}

impl Close {
    /// Every close, for the table in the docs.
    pub const ALL: [Self; 7] = [
        Self::Draining,
        Self::SlowReader,
        Self::Silent,
        Self::TokenExpired,
        Self::Restart,
        Self::CredentialRevoked,
        Self::Replaced,
    ];

    /// The code on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Self::Draining => 4000,
            Self::SlowReader => 4001,
            Self::Silent => 4002,
            Self::TokenExpired => 4003,
            Self::Restart => 4004,
            Self::CredentialRevoked => 4500,
            Self::Replaced => 4501,
        }
    }

    /// The reason on the wire.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::SlowReader => "slow_reader",
            Self::Silent => "silent",
            Self::TokenExpired => "token_expired",
            Self::Restart => "restart",
            Self::CredentialRevoked => "credential_revoked",
            Self::Replaced => "replaced",
        }
    }

    /// Whether the client should come back.
    pub const fn reconnect(self) -> bool {
        self.code() < 4500
    }

    /// The notice that goes before the close. Who is closed by a drain, is closed with many others:
    /// they are told to come back at different times.
    pub fn notice(self) -> Event {
        let spread = self == Self::Draining;
        let reconnect_after_ms = if spread { rand::random_range(0..=DRAINED_MS) } else { 0 };
        Event::Closing(Closing {
            code: self.code(),
            reason: self.reason(),
            reconnect: self.reconnect(),
            reconnect_after_ms,
        })
    }
}
