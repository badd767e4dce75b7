//! What is found in a room's history.

use std::sync::Arc;

use super::{Cursor, Position, Recorded};

/// Why a position cannot be gone on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The history is another one.
    EpochGone,
    /// What follows it is kept no more, or is not what was said.
    Trimmed,
}

impl Reason {
    /// The label of the metric, and the word for clients.
    pub const fn code(self) -> &'static str {
        match self {
            Self::EpochGone => "epoch_gone",
            Self::Trimmed => "trimmed",
        }
    }
}

/// What follows a position.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// Everything up to a limit, in order; `cursor` is where to go on.
    Recovered {
        /// The finals.
        finals: Vec<Arc<Recorded>>,
        /// After the last of them.
        cursor: Cursor,
        /// Whether the room's history ends before the position: it is gone, or is being added again.
        short: bool,
        /// Whether more may follow at once.
        more: bool,
    },
    /// There would be a hole.
    NotRecovered {
        /// Why.
        reason: Reason,
        /// The last finals that were not seen, for whoever goes on with the hole told.
        rest: Vec<Arc<Recorded>>,
        /// Where to go on, after the last of them and what cannot be shown.
        cursor: Cursor,
        /// Whether more may follow at once.
        more: bool,
    },
}

/// A room's present end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Whose the room is; nobody's where nothing was ever said, or long ago.
    pub owner: Option<String>,
    /// The last finals, in order.
    pub finals: Vec<Arc<Recorded>>,
    /// After the room's last entry.
    pub cursor: Cursor,
    /// Whether somebody speaks there.
    pub live: bool,
}

/// How a session is held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The fence that was given out last, 0 for none.
    pub fence: u64,
    /// The mark that its owner left last.
    pub mark: Option<String>,
}

/// A page of what a session said.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Its finals, in order.
    pub finals: Vec<Arc<Recorded>>,
    /// Where in the room to look on for older ones, if there may be any.
    pub older: Option<Position>,
}
