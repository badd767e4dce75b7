//! Everything that is limited, each with its rate and its sentence.

use crate::config::{Allowance, LimitsConfig};

/// What may be done only so often in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitedAction {
    /// A REST request of a user.
    Request,
    /// A transcription of a user.
    Transcription,
    /// A socket of a user.
    SocketOpen,
    /// An attempt to log in, of an account and of an address.
    Login,
    /// An account registered from an address.
    Registration,
    /// A token refreshed or revoked from an address.
    Refresh,
}

impl LimitedAction {
    /// Every action, for the table in the docs.
    pub const ALL: [Self; 6] = [
        Self::Request,
        Self::Transcription,
        Self::SocketOpen,
        Self::Login,
        Self::Registration,
        Self::Refresh,
    ];

    /// The name in keys, labels and headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "requests",
            Self::Transcription => "transcriptions",
            Self::SocketOpen => "socket_opens",
            Self::Login => "logins",
            Self::Registration => "registrations",
            Self::Refresh => "refreshes",
        }
    }

    /// What whoever did too much is told.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Request => "too many requests: slow down",
            Self::Transcription => "too many transcriptions in a minute",
            Self::SocketOpen => "too many sockets opened in a minute",
            Self::Login => "too many attempts to log in: wait a minute",
            Self::Registration => "too many accounts registered from here: wait a minute",
            Self::Refresh => "too many tokens refreshed from here: wait a minute",
        }
    }

    /// How often a minute, by plan; as many may come at once.
    pub const fn allowance(self, config: &LimitsConfig) -> &Allowance {
        match self {
            Self::Request => &config.requests,
            Self::Transcription => &config.transcriptions,
            Self::SocketOpen => &config.socket_opens,
            Self::Login => &config.logins,
            Self::Registration => &config.registrations,
            Self::Refresh => &config.refreshes,
        }
    }
}
