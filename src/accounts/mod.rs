//! The routes of people and programs about themselves: who they are, their keys, their tickets.

mod answer;
mod fields;
pub mod keys;
pub mod login;
pub mod profile;
pub mod register;
pub mod tenant;
pub mod tokens;

use crate::{auth::Authenticator, limits::Limits};

/// What these routes need. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Who verifies and issues credentials.
    pub auth: Authenticator,
    /// Who counts.
    pub limits: Limits,
}
