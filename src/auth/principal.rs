//! Who is calling, as the rest of the service sees it.

use chrono::{DateTime, Utc};

/// How a caller proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthType {
    /// A token of the Auth0 tenant.
    Auth0,
    /// An API key of a user.
    ApiKey,
    /// The static API key.
    Legacy,
    /// The token that this process made up for development.
    Development,
}

impl AuthType {
    /// The name that clients see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth0 => "auth0",
            Self::ApiKey | Self::Legacy => "api_key",
            Self::Development => "development",
        }
    }

    /// The metric label, which tells the static key from the users'.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            other => other.as_str(),
        }
    }
}

/// Whose account pays. Resolved to a row of `users` only when usage is written, so that a stream
/// never waits for Postgres.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A row of `users`; 0 is the system user.
    User(i32),
    /// An Auth0 account, which gets a row on first sight.
    Auth0 {
        /// The `sub` claim.
        sub: String,
        /// The e-mail address, where the token says it.
        email: Option<String>,
    },
    /// The development token, which gets a row in the same way.
    Development,
}

/// A verified caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// What clients see as `user_id`: the Auth0 `sub`, the user's id, or `dev-user`.
    pub subject: String,
    /// Whose account pays.
    pub owner: Owner,
    /// How they proved it.
    pub auth_type: AuthType,
    /// The plan, such as `free`.
    pub plan: String,
    /// When the credential ends; a stream must not outlive it.
    pub expires_at: Option<DateTime<Utc>>,
}
