//! People with a row of `users`: registered, logged in, shown to themselves.

use chrono::NaiveDateTime;
use secrecy::SecretString;
use serde::Serialize;

use super::{Directory, directory::NewUser, store::people as store, timestamp};
use crate::{model::Error, postgres::Database};

/// The name of the key that comes with an account.
const FIRST_KEY: &str = "Default API Key";

/// A user, as they see themselves: columns of `users` under their own names.
#[derive(Clone, Debug, Serialize)]
pub struct User {
    pub id: i32,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub company: Option<String>,
    pub plan: String,
    pub is_active: bool,
    pub email_verified: bool,
    #[serde(serialize_with = "timestamp::write")]
    pub created_at: Option<NaiveDateTime>,
    #[serde(serialize_with = "timestamp::write")]
    pub last_login: Option<NaiveDateTime>,
    pub api_calls_month: i32,
    pub audio_minutes_month: f64,
}

/// What a login is checked against.
#[derive(Debug)]
pub struct StoredLogin {
    /// The user.
    pub id: i32,
    /// Nothing where the account has no password, such as one of the tenant.
    pub password_hash: Option<String>,
    /// Whether the user may log in.
    pub is_active: bool,
}

/// The rows of `users`, as people meet them.
#[derive(Debug)]
pub struct People {
    database: Database,
    directory: Directory,
}

impl People {
    pub(super) fn new(database: Database) -> Self {
        let directory = Directory::new(database.clone());
        Self { database, directory }
    }

    /// The account of that address, which is trimmed and in lower case.
    pub async fn find_login(&self, email: &str) -> Result<Option<StoredLogin>, Error> {
        self.database.run(store::find_login(self.database.pool(), email)).await
    }

    /// Makes the account and its first key; nothing if the address has one already. However many
    /// register an address at once, one of them succeeds.
    pub async fn register(&self, new: &NewUser) -> Result<Option<(User, SecretString)>, Error> {
        let Some((id, key)) = self.directory.create_user_with_key(new, FIRST_KEY).await? else {
            return Ok(None);
        };
        Ok(self.find(id).await?.map(|user| (user, key.text)))
    }

    /// Notes that the user has logged in now; nothing if they may not any more.
    pub async fn note_login(&self, id: i32) -> Result<Option<User>, Error> {
        self.database.run(store::update_last_login(self.database.pool(), id)).await
    }

    /// The user of that id.
    pub async fn find(&self, id: i32) -> Result<Option<User>, Error> {
        self.database.run(store::find_user(self.database.pool(), id)).await
    }
}
