//! Rows of `users` for whoever pays.

use std::{sync::Arc, time::Duration};

use sqlx::PgConnection;

use super::{Owner, expiring::Expiring, store};

/// The `auth0_sub` of the development token's row; no Auth0 subject looks like it.
const DEVELOPMENT_SUB: &str = "development|dev-user";
/// How long a row's id is remembered, and how many.
const REMEMBERED_FOR: Duration = Duration::from_hours(1);
const REMEMBERED: usize = 10_000;

/// Finds or makes the row of an owner; cheap to clone.
#[derive(Clone, Debug)]
pub struct Users {
    ids: Arc<Expiring<Owner, i32>>,
}

impl Default for Users {
    fn default() -> Self {
        Self { ids: Arc::new(Expiring::new(REMEMBERED)) }
    }
}

impl Users {
    /// The id of the owner's row, which is made on first sight.
    ///
    /// Runs outside a transaction, so that what is remembered cannot be rolled back.
    pub async fn resolve(
        &self,
        connection: &mut PgConnection,
        owner: &Owner,
    ) -> Result<i32, sqlx::Error> {
        if let Owner::User(id) = owner {
            return Ok(*id);
        }
        if let Some(id) = self.ids.get(owner) {
            return Ok(id);
        }
        let id = match owner {
            Owner::User(id) => *id,
            Owner::Auth0 { sub, email } => {
                store::upsert_auth0_user(connection, sub, email.as_deref()).await?
            }
            Owner::Session(user) => {
                let sub = format!("session|{user}");
                store::upsert_auth0_user(connection, &sub, None).await?
            }
            Owner::Development => {
                store::upsert_auth0_user(connection, DEVELOPMENT_SUB, None).await?
            }
        };
        self.ids.insert(owner.clone(), id, REMEMBERED_FOR);
        Ok(id)
    }
}
