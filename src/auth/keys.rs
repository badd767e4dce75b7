//! API keys of users as their owners see them: made, listed, taken back.

use std::sync::Arc;

use chrono::NaiveDateTime;
use secrecy::SecretString;
use serde::Serialize;

use super::{api_key::ApiKeys, mint, revocations::Revoked, store::keys as store, timestamp};
use crate::{
    model::{Error, ErrorKind},
    telemetry::log_patterns,
};

/// Active keys that one user may have.
const MOST_KEYS: i64 = 100;

/// A key, as its owner sees it: columns of `api_keys` under their own names.
#[derive(Clone, Debug, Serialize)]
pub struct ApiKey {
    pub id: i32,
    pub name: String,
    /// Enough to tell it from another user's, and nothing of the secret.
    pub key_preview: String,
    pub is_active: bool,
    #[serde(serialize_with = "timestamp::write")]
    pub created_at: Option<NaiveDateTime>,
    #[serde(serialize_with = "timestamp::write")]
    pub last_used: Option<NaiveDateTime>,
    pub usage_count: i32,
    #[serde(serialize_with = "timestamp::write")]
    pub expires_at: Option<NaiveDateTime>,
}

/// A key that somebody wants.
#[derive(Debug)]
pub struct NewKey {
    /// At most 100 characters.
    pub name: String,
    /// In UTC.
    pub expires_at: Option<NaiveDateTime>,
}

impl ApiKeys {
    /// Makes a key of that user; its row and its text, which is never seen again. Nothing if there
    /// is no such user.
    ///
    /// Fails with `Conflict` where the user has as many as one may have.
    pub async fn create(
        &self,
        user_id: i32,
        new: &NewKey,
    ) -> Result<Option<(i32, SecretString)>, Error> {
        let full = || Error::new(ErrorKind::Conflict, "too many active API keys: delete one");
        let made = async {
            let mut transaction = self.database.pool().begin().await?;
            let Some(active) = store::lock_and_count(&mut transaction, user_id).await? else {
                return Ok(None);
            };
            if active >= MOST_KEYS {
                return Ok(Some(Err(full())));
            }
            let key = mint::mint(user_id);
            let id = store::insert_key(&mut transaction, user_id, new, &key).await?;
            transaction.commit().await?;
            log_patterns::api_key_created(user_id, id);
            Ok(Some(Ok((id, key.text))))
        };
        self.database.run(made).await?.transpose()
    }

    /// The keys with which that user may call now, in the order in which they were made.
    pub async fn list(&self, user_id: i32) -> Result<Vec<ApiKey>, Error> {
        self.database.run(store::list_active(self.database.pool(), user_id)).await
    }

    /// Takes a key back and tells every replica; false if that user has no such key.
    pub async fn deactivate(self: &Arc<Self>, user_id: i32, id: i32) -> Result<bool, Error> {
        let this = Arc::clone(self);
        let taken_back = async move {
            let updated = store::deactivate(this.database.pool(), user_id, id);
            let found = this.database.run(updated).await?;
            if found {
                log_patterns::api_key_revoked(user_id, id);
                this.forget(&Revoked::Key(id));
                this.revocations.announce(&Revoked::Key(id)).await;
            }
            Ok(found)
        };
        self.revocations.see_through(taken_back).await
    }
}
