//! What travels through a room, and where in it one has come to.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::model::SessionId;

/// A place in a room's history: the id of a final in the stream. Epochs are milliseconds of the
/// clock of Redis at the stream's birth; offsets count finals from there.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position {
    /// Which history.
    pub epoch: u64,
    /// Which final in it; 0 is before the first.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset)
    }
}

impl FromStr for Position {
    type Err = std::num::ParseIntError;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        let (epoch, offset) = id.split_once('-').unwrap_or((id, ""));
        Ok(Self { epoch: epoch.parse()?, offset: offset.parse()? })
    }
}

/// The name of a final wherever it stands: its session, and its number there, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// The session that said it.
    pub session: SessionId,
    /// Its number in the session.
    pub n: u64,
}

/// Up to where somebody has seen a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Where the last final stood. The default is the room's beginning.
    pub position: Position,
    /// Which one that was; with it, a cursor survives the end of its epoch.
    pub last: Option<Label>,
}

impl Cursor {
    /// Whether that final was seen before, going by its name.
    pub(super) fn has_seen(&self, label: Label) -> bool {
        self.last.is_some_and(|last| last.session == label.session && label.n <= last.n)
    }
}

/// A text of a session, final or interim; the body is passed through as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its name; an interim has the number that it will become.
    pub label: Label,
    /// What clients are given.
    pub body: String,
}

/// A final with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Where it stands.
    pub position: Position,
    /// The final.
    pub text: Text,
}

impl Recorded {
    /// The cursor of whoever has seen it.
    pub fn cursor(&self) -> Cursor {
        Cursor { position: self.position, last: Some(self.text.label) }
    }
}
