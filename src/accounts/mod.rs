//! The routes of people and programs about themselves: who they are, their keys, their tickets.

pub mod tenant;

use crate::{auth::Authenticator, limits::Limits};

/// What these routes need. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Who verifies and issues credentials.
    pub auth: Authenticator,
    /// Who counts.
    pub limits: Limits,
}
