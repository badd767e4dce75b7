//! API keys of users: looked up by SHA-256, remembered for a minute.

use std::{fmt::Write, time::Duration};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::{
    expiring::Expiring,
    key_use::KeyUse,
    principal::{AuthType, Owner, Principal},
    store::{self, KeyRow},
};
use crate::{
    lifecycle::Shutdown,
    model::{Clock, Error, ErrorKind},
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

/// Verifies keys of users.
#[derive(Debug)]
pub(super) struct ApiKeys {
    database: Database,
    known: Expiring<[u8; 32], KeyRow>,
    uses: KeyUse,
}

impl ApiKeys {
    pub(super) fn new(database: Database, metrics: Metrics, shutdown: &Shutdown) -> Self {
        let uses = KeyUse::start(database.clone(), metrics, shutdown);
        Self { database, known: Expiring::new(REMEMBERED_KEYS), uses }
    }

    /// The key's owner; a remembered key is good even while Postgres is away.
    pub(super) async fn verify(&self, key: &str) -> Result<Principal, Error> {
        let invalid = || Error::new(ErrorKind::Unauthenticated, "Invalid API key");
        if key.len() > LONGEST_KEY_BYTES {
            return Err(invalid());
        }
        let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let row = match self.known.get(&digest) {
            Some(row) => row,
            None => self.look_up(digest).await?.ok_or_else(invalid)?,
        };
        let expires_at: Option<DateTime<Utc>> = row.expires_at.map(|at| at.and_utc());
        if expires_at.is_some_and(|at| at <= Clock.now()) {
            return Err(invalid());
        }
        self.uses.record(row.id);
        Ok(Principal {
            subject: row.user_id.to_string(),
            owner: Owner::User(row.user_id),
            auth_type: AuthType::ApiKey,
            plan: row.plan,
            expires_at,
        })
    }

    async fn look_up(&self, digest: [u8; 32]) -> Result<Option<KeyRow>, Error> {
        let hash = hex(&digest);
        let found = self.database.run(store::find_active_key(self.database.pool(), &hash)).await?;
        if let Some(row) = &found {
            self.known.insert(digest, row.clone(), REMEMBERED_FOR);
        }
        Ok(found)
    }
}

/// Lower-case hexadecimal, as `api_keys.key_hash` holds it.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
