//! Users and their keys as operators see and change them.

mod store;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{MintedKey, mint};
use crate::{
    model::{Error, Plan},
    postgres::Database,
};

/// A row of `users`, as it is listed.
#[derive(Clone, Debug, Serialize)]
pub struct User {
    /// Its id.
    pub id: i32,
    /// The address, if there is one.
    pub email: Option<String>,
    /// The subject of an Auth0 account.
    pub auth0_sub: Option<String>,
    /// The plan, as the column says it.
    pub plan: String,
    /// Whether its credentials hold.
    pub is_active: bool,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// How many active keys it has.
    pub keys: i64,
}

/// A row of `api_keys`, as it is listed.
#[derive(Clone, Debug, Serialize)]
pub struct Key {
    /// Its id.
    pub id: i32,
    /// Whose it is.
    pub user_id: i32,
    /// What its user calls it.
    pub name: String,
    /// What may be shown of its text.
    #[serde(rename = "key_preview")]
    pub preview: String,
    /// Whether it has not been revoked.
    pub is_active: bool,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// When it was used last.
    pub last_used: Option<DateTime<Utc>>,
    /// How often it was used.
    pub usage_count: i32,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A local user to be.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The address, normalised.
    pub email: String,
    /// bcrypt of the password.
    pub password_hash: String,
    /// Up to 50 characters.
    pub first_name: String,
    /// Up to 50 characters.
    pub last_name: String,
    /// Up to 100 characters.
    pub company: String,
    /// The plan.
    pub plan: Plan,
    /// Whether somebody answers for the address.
    pub email_verified: bool,
}

/// Reads and changes `users` and `api_keys`; every call fails if Postgres does not answer in time.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Directory {
    database: Database,
}

impl Directory {
    /// The directory of a database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Every user, by id.
    pub async fn users(&self) -> Result<Vec<User>, Error> {
        self.database.run(store::list_users(self.database.pool(), None)).await
    }

    /// Users with that id, Auth0 subject, or address in whatever case; one with exactly that
    /// address stands alone.
    pub async fn find_users(&self, name: &str) -> Result<Vec<User>, Error> {
        let found = store::list_users(self.database.pool(), Some(name));
        let mut found = self.database.run(found).await?;
        if found.iter().any(|user| user.email.as_deref() == Some(name)) {
            found.retain(|user| user.email.as_deref() == Some(name));
        }
        Ok(found)
    }

    /// Makes a user; `None` if the address is taken.
    pub async fn create_user(&self, user: &NewUser) -> Result<Option<i32>, Error> {
        self.database.run(store::insert_user(self.database.pool(), user)).await
    }

    /// Makes a user together with a key; `None` if the address is taken.
    pub async fn create_user_with_key(
        &self,
        user: &NewUser,
        key_name: &str,
    ) -> Result<Option<(i32, MintedKey)>, Error> {
        let making = async {
            let mut transaction = self.database.pool().begin().await?;
            let Some(id) = store::insert_user(&mut *transaction, user).await? else {
                return Ok(None);
            };
            let key = mint::mint(id);
            store::insert_key(&mut *transaction, id, key_name, &key, None).await?;
            transaction.commit().await?;
            Ok(Some((id, key)))
        };
        self.database.run(making).await
    }

    /// Puts a user on a plan.
    pub async fn set_plan(&self, user_id: i32, plan: Plan) -> Result<(), Error> {
        self.database.run(store::update_plan(self.database.pool(), user_id, plan.as_str())).await
    }

    /// Enables or disables a user with all their credentials.
    pub async fn set_active(&self, user_id: i32, active: bool) -> Result<(), Error> {
        self.database.run(store::update_active(self.database.pool(), user_id, active)).await
    }

    /// Makes a key that ends after so many days, or never; the id of its row, and its text.
    pub async fn create_key(
        &self,
        user_id: i32,
        name: &str,
        days: Option<i32>,
    ) -> Result<(i32, MintedKey), Error> {
        let key = mint::mint(user_id);
        let inserted = store::insert_key(self.database.pool(), user_id, name, &key, days);
        Ok((self.database.run(inserted).await?, key))
    }

    /// The keys of a user, revoked ones too, by id.
    pub async fn keys(&self, user_id: i32) -> Result<Vec<Key>, Error> {
        self.database.run(store::list_keys(self.database.pool(), Some(user_id), None)).await
    }

    /// One key.
    pub async fn find_key(&self, id: i32) -> Result<Option<Key>, Error> {
        let found = store::list_keys(self.database.pool(), None, Some(id));
        Ok(self.database.run(found).await?.pop())
    }

    /// Revokes a key for good.
    pub async fn revoke_key(&self, id: i32) -> Result<(), Error> {
        self.database.run(store::revoke_key(self.database.pool(), id)).await
    }

    /// Lets an active key that ends hold for so many days from now, if that is longer than it
    /// holds anyway; its new end, or `None` where nothing was lengthened.
    pub async fn renew_key(&self, id: i32, days: i32) -> Result<Option<DateTime<Utc>>, Error> {
        self.database.run(store::renew_key(self.database.pool(), id, days)).await
    }
}
