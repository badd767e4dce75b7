//! Identities that we mint ourselves.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A live session. Never the socket's own id, which would let its holder act as that socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionId(pub Uuid);

impl SessionId {
    /// A new id; version 7, so that rows of a session lie together in an index.
    pub fn mint() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
