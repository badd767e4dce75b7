//! The routes of people and programs about themselves: who they are, their keys, their tickets.

mod answer;
mod fields;
pub mod keys;
pub mod login;
pub mod mobile;
pub mod profile;
pub mod register;
pub mod tenant;
pub mod tickets;
pub mod tokens;

use std::{fmt, sync::Arc};

use crate::{auth::Authenticator, limits::Limits, model::Error};

/// What these routes need. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Who verifies and issues credentials.
    pub auth: Authenticator,
    /// Who counts.
    pub limits: Limits,
    /// Whether a live session could start now.
    pub door: Door,
}

/// Asks live audio, a neighbour of these routes, whether a session could start now.
#[derive(Clone)]
pub struct Door(pub Arc<dyn Fn() -> Result<(), Error> + Send + Sync>);

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Door")
    }
}
