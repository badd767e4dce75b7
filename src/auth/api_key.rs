//! API keys of users: looked up by SHA-256, remembered for a minute.

use std::time::Duration;

use chrono::{DateTime, Utc};
use subtle::ConstantTimeEq;

use super::{
    digest,
    expiring::Expiring,
    key_use::KeyUse,
    principal::{AuthType, Credential, Owner, Principal},
    revocations::{Revocations, Revoked},
    store::{self, KeyRow},
};
use crate::{
    lifecycle::Shutdown,
    model::{Clock, Error, ErrorKind, Plan},
    postgres::Database,
    telemetry::Metrics,
};

/// How every key of a user begins.
pub(super) const PREFIX: &str = "usr_";
/// A revoked key dies within this time.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);
const REMEMBERED_KEYS: usize = 10_000;
/// Longer keys are refused unread.
const LONGEST_KEY_BYTES: usize = 256;

/// Makes, verifies and takes back keys of users.
#[derive(Debug)]
pub struct ApiKeys {
    pub(super) database: Database,
    pub(super) revocations: Revocations,
    known: Expiring<String, KeyRow>,
    uses: KeyUse,
}

impl ApiKeys {
    pub(super) fn new(
        database: Database,
        revocations: Revocations,
        metrics: Metrics,
        shutdown: &Shutdown,
    ) -> Self {
        let uses = KeyUse::start(database.clone(), metrics, shutdown);
        Self { database, revocations, known: Expiring::new(REMEMBERED_KEYS), uses }
    }

    /// The key's owner; a remembered key is good even while Postgres is away.
    pub(super) async fn verify(&self, key: &str) -> Result<Principal, Error> {
        if key.len() > LONGEST_KEY_BYTES {
            return Err(invalid());
        }
        let principal = self.owner(&digest::of(key)).await?;
        if let Credential::ApiKey { id, .. } = principal.credential {
            self.uses.record(id);
        }
        Ok(principal)
    }

    /// Until when the key with that digest may be used, whatever is remembered of it.
    pub(super) async fn recheck(&self, hash: &str) -> Result<Option<DateTime<Utc>>, Error> {
        let Some(row) = self.look_up(hash).await? else {
            self.known.retain(|known, _| known != hash);
            return Err(invalid());
        };
        Ok(row.expires_at.map(|at| at.and_utc()))
    }

    /// Whether the key with that digest is good though Postgres be away.
    pub(super) fn remembers(&self, hash: &str) -> bool {
        self.known.get(&hash.to_owned()).is_some()
    }

    /// Whose key has that digest, if it may be used now.
    async fn owner(&self, hash: &str) -> Result<Principal, Error> {
        let row = match self.known.get(&hash.to_owned()) {
            Some(row) => row,
            None => self.look_up(hash).await?.ok_or_else(invalid)?,
        };
        let expires_at: Option<DateTime<Utc>> = row.expires_at.map(|at| at.and_utc());
        if expires_at.is_some_and(|at| at <= Clock.now()) {
            return Err(invalid());
        }
        Ok(Principal {
            subject: row.user_id.to_string(),
            owner: Owner::User(row.user_id),
            auth_type: AuthType::ApiKey,
            plan: Plan::of(&row.plan),
            expires_at,
            credential: Credential::ApiKey { id: row.id, hash: hash.to_owned() },
        })
    }

    /// Forgets what was revoked, so that the next look goes to the database.
    pub(super) fn forget(&self, revoked: &Revoked) {
        self.known.retain(|_, row| match revoked {
            Revoked::Key(id) => row.id != *id,
            Revoked::User(id) => row.user_id != *id,
            Revoked::Token(_) | Revoked::Session(_) | Revoked::Share(_) => true,
            Revoked::Unknown => false,
        });
    }

    async fn look_up(&self, hash: &str) -> Result<Option<KeyRow>, Error> {
        let epoch = self.known.epoch();
        let found = self.database.run(store::find_active_key(self.database.pool(), hash)).await?;
        let same = |row: &KeyRow| bool::from(row.key_hash.as_bytes().ct_eq(hash.as_bytes()));
        let found = found.filter(same);
        if let Some(row) = &found {
            self.known.insert_since(epoch, hash.to_owned(), row.clone(), REMEMBERED_FOR);
        }
        Ok(found)
    }
}

fn invalid() -> Error {
    Error::new(ErrorKind::Unauthenticated, "Invalid API key")
}
