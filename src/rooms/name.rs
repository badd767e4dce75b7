//! The name of a room.

use std::{fmt, str::FromStr, sync::Arc};

use crate::model::{Error, SessionId};

/// Longest name, in characters.
const LONGEST: usize = 100;

/// A room's name: 1 to 100 letters, digits, dots, underscores or dashes. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// The room of a session that names none: its own.
    pub fn of(session: SessionId) -> Self {
        Self(session.to_string().into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoomName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if (1..=LONGEST).contains(&text.len()) && text.chars().all(plain) {
            return Ok(Self(text.into()));
        }
        Err(Error::invalid(
            "a room's name is 1 to 100 letters, digits, dots, underscores or dashes",
        ))
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
