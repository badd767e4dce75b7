//! Share tokens: each lets its holder see one room, until it ends or is taken back.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use fred::{interfaces::KeysInterface, types::Expiration};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::RoomName;
use crate::{
    auth::{Purpose, Revocations, Revoked, Secrets},
    model::{Clock, Error, ErrorKind},
    redis::{Redis, unavailable},
};

/// What all tokens are sealed under.
const NAME: &str = "room";
/// Longer texts are no tokens.
const LONGEST: usize = 2048;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// What it is taken back by.
    pub id: Uuid,
    /// The room that it opens.
    pub room: String,
    /// The account that gave it out.
    pub account: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// Gives out share tokens, verifies them and takes them back. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shares {
    redis: Redis,
    secrets: Secrets,
    revocations: Revocations,
}

impl Shares {
    pub(super) fn new(redis: Redis, secrets: Secrets, revocations: Revocations) -> Self {
        Self { redis, secrets, revocations }
    }

    /// Who tells that a token was taken back.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// A token for a room, in the name of its account.
    pub fn issue(
        &self,
        room: &RoomName,
        account: &str,
        life: Duration,
    ) -> Result<(SecretString, Share), Error> {
        let share = Share {
            id: Uuid::new_v4(),
            room: room.to_string(),
            account: account.to_owned(),
            expires_at: Clock.now() + life,
        };
        let sealed = self.secrets.seal(Purpose::Share, NAME, &share).map_err(|error| {
            Error::new(ErrorKind::Internal, "Internal server error").because(error)
        })?;
        Ok((URL_SAFE_NO_PAD.encode(sealed).into(), share))
    }

    /// What a token says, if it holds for that room; while Redis is away nobody can tell.
    pub async fn verify(&self, token: &SecretString, room: &RoomName) -> Result<Share, Error> {
        let share = self.open(token).ok_or_else(invalid)?;
        if share.room != room.as_str() || self.is_revoked(share.id).await? {
            return Err(invalid());
        }
        Ok(share)
    }

    /// What a token says, whether it was taken back or not.
    pub fn open(&self, token: &SecretString) -> Option<Share> {
        let text = Some(token.expose_secret()).filter(|text| text.len() <= LONGEST)?;
        let sealed = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let share: Share = self.secrets.open(Purpose::Share, NAME, &sealed)?;
        (share.expires_at > Clock.now()).then_some(share)
    }

    /// Takes a token back on every replica, which is told to those who watch by it.
    pub async fn revoke(&self, share: &Share) -> Result<(), Error> {
        let left_ms = (share.expires_at - Clock.now()).num_milliseconds();
        if left_ms > 0 {
            let key = self.redis.keys().share_revoked(&share.id.to_string());
            let life = Some(Expiration::PX(left_ms));
            let client = self.redis.client();
            let kept: Result<(), _> = client.set(key, 1, life, None, false).await;
            kept.map_err(unavailable)?;
        }
        self.revocations.announce(&Revoked::Share(share.id.to_string())).await;
        Ok(())
    }

    /// Whether a token was taken back.
    pub async fn is_revoked(&self, id: Uuid) -> Result<bool, Error> {
        let key = self.redis.keys().share_revoked(&id.to_string());
        let revoked: i64 = self.redis.client().exists(key).await.map_err(unavailable)?;
        Ok(revoked > 0)
    }
}

fn invalid() -> Error {
    Error::new(ErrorKind::Unauthenticated, "Invalid or expired share token")
}
