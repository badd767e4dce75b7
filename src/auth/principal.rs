//! Who is calling, as the rest of the service sees it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::digest;
use crate::model::Plan;

/// What stands between the names of one account.
const BETWEEN_NAMES: char = '/';

/// Whether two accounts, each given by its names, are the same one: they have a name in common.
pub fn is_same_account(one: &str, other: &str) -> bool {
    one.split(BETWEEN_NAMES).any(|name| other.split(BETWEEN_NAMES).any(|other| other == name))
}

/// How a caller proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AuthType {
    /// A token of the Auth0 tenant.
    Auth0,
    /// A token of `/auth/login`.
    Local,
    /// A login session without a password.
    Session,
    /// An API key of a user.
    ApiKey,
    /// The static API key.
    Legacy,
    /// The token that this process made up for development.
    Development,
    /// A share token of a room.
    Share,
}

impl AuthType {
    /// The name that clients see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth0 => "auth0",
            Self::Local => "jwt",
            Self::Session => "session",
            Self::ApiKey | Self::Legacy => "api_key",
            Self::Development => "development",
            Self::Share => "share",
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

/// Whose account pays. What is not a row of `users` yet becomes one when usage is written, so that
/// a stream never waits for Postgres.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Owner {
    /// A row of `users`; 0 is the system user.
    User(i32),
    /// An Auth0 account whose row has not been seen, since Postgres is away.
    Auth0 {
        /// The `sub` claim.
        sub: String,
        /// The verified e-mail address, where the token says it.
        email: Option<String>,
    },
    /// The user of a login session without a password.
    Session(String),
    /// The development token.
    Development,
    /// Whoever holds that share token: they watch, and have no account.
    Guest(Uuid),
}

/// What a principal was proved with: enough to look again whether it still holds, and nothing that
/// could be shown to prove it anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credential {
    /// A token of the tenant; it cannot be taken back, but its user can be disabled.
    Auth0,
    /// An API key, by its SHA-256 in hexadecimal.
    ApiKey {
        /// Its row.
        id: i32,
        /// What its row holds.
        hash: String,
    },
    /// A token of `/auth/login`.
    Local {
        /// Its own id.
        jti: String,
        /// The id of the login that it descends from.
        family: String,
    },
    /// A login session, by its token's SHA-256 in hexadecimal.
    Session(String),
    /// The static key.
    Static,
    /// The development token.
    Development,
    /// A share token, by its id.
    Share(Uuid),
}

/// A verified caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// What clients see as `user_id`: the Auth0 `sub`, the user's id, or `dev-user`.
    pub subject: String,
    /// Whose account pays.
    pub owner: Owner,
    /// How they proved it.
    pub auth_type: AuthType,
    /// The plan.
    pub plan: Plan,
    /// When the credential ends; a stream must not outlive it.
    pub expires_at: Option<DateTime<Utc>>,
    /// What they proved it with.
    pub credential: Credential,
}

impl Principal {
    /// Whoever holds a share token, until it ends.
    pub fn guest(share: Uuid, expires_at: DateTime<Utc>) -> Self {
        Self {
            subject: format!("share-{share}"),
            owner: Owner::Guest(share),
            auth_type: AuthType::Share,
            plan: Plan::Free,
            expires_at: Some(expires_at),
            credential: Credential::Share(share),
        }
    }

    /// The name under which limits count this caller; holds nothing that a person would know.
    pub fn account(&self) -> String {
        match &self.owner {
            Owner::User(id) => format!("user-{id}"),
            Owner::Auth0 { sub, .. } => format!("auth0-{}", digest::of(sub)),
            Owner::Session(user) => format!("session-{}", digest::of(user)),
            Owner::Development => "development".to_owned(),
            Owner::Guest(share) => format!("share-{share}"),
        }
    }

    /// Every name of the account, by which rooms know whose they are: one is known also while the
    /// account cannot be looked up.
    pub fn names(&self) -> String {
        let account = self.account();
        match (&self.owner, self.tenant_subject()) {
            (Owner::User(_), Some(sub)) => {
                format!("{account}{BETWEEN_NAMES}auth0-{}", digest::of(sub))
            }
            _ => account,
        }
    }

    /// Who this is in the tenant, which can be told even while their account cannot be looked up.
    pub fn tenant_subject(&self) -> Option<&str> {
        (self.auth_type == AuthType::Auth0).then_some(&self.subject)
    }

    /// Whether both are the same user, however each was proved.
    pub fn is_same_user(&self, other: &Self) -> bool {
        let tenant = self.auth_type == AuthType::Auth0 && other.auth_type == AuthType::Auth0;
        self.owner == other.owner || (tenant && self.subject == other.subject)
    }
}
