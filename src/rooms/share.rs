//! Share tokens: each lets its holder see one room, until it ends or is taken back.
//!
//! A token holds only while Redis has its record, so that a Redis that forgets takes away and never
//! gives.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use fred::{
    interfaces::{KeysInterface, SortedSetsInterface},
    types::{Expiration, scripts::Script},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::RoomName;
use crate::{
    auth::{Purpose, Revocations, Revoked, Secrets, is_same_account},
    model::{Clock, Error, ErrorKind},
    redis::{Redis, unavailable},
};

/// What all tokens are sealed under.
const NAME: &str = "room";
/// Longer texts are no tokens.
const LONGEST: usize = 2048;
/// Tokens that one account may have at once.
const MOST: i64 = 100;
/// How long Redis may take to count them.
const DEADLINE: Duration = Duration::from_secs(2);

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
    note: Script,
}

impl Shares {
    pub(super) fn new(redis: Redis, secrets: Secrets, revocations: Revocations) -> Self {
        let note = Script::from_lua(include_str!("share.lua"));
        Self { redis, secrets, revocations, note }
    }

    /// Who tells that a token was taken back.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// A token for a room, in the name of its account. Fails while Redis is away, and with `conflict`
    /// where the account has as many as it may.
    pub async fn issue(
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
        let (key, life_ms) = (self.key(share.id), life.as_millis().max(1) as i64);
        self.count(&share, life_ms).await?;
        let life = Some(Expiration::PX(life_ms));
        let kept: Result<(), _> =
            self.redis.client().set(key, sealed.clone(), life, None, false).await;
        kept.map_err(unavailable)?;
        Ok((URL_SAFE_NO_PAD.encode(sealed).into(), share))
    }

    /// Counts one more token of an account, before it is given out.
    async fn count(&self, share: &Share, life_ms: i64) -> Result<(), Error> {
        let keys = vec![self.redis.keys().shares_of(&share.account)];
        let arguments = vec![share.id.to_string().into(), life_ms.into(), MOST.into()];
        let noted: i64 =
            self.redis.run(&self.note, DEADLINE, keys, arguments).await.map_err(unavailable)?;
        if noted == 1 {
            return Ok(());
        }
        let text = format!("an account has at most {MOST} share tokens: take one back first");
        Err(Error::new(ErrorKind::Conflict, text))
    }

    /// What a token says, if it holds; while Redis is away nobody can tell.
    pub async fn verify(&self, token: &SecretString) -> Result<Share, Error> {
        let share = self.open(token).ok_or_else(invalid)?;
        if self.holds(share.id).await? { Ok(share) } else { Err(invalid()) }
    }

    /// The same for one room.
    pub async fn verify_for(&self, token: &SecretString, room: &RoomName) -> Result<Share, Error> {
        let share = self.verify(token).await?;
        if share.room == room.as_str() { Ok(share) } else { Err(invalid()) }
    }

    /// Takes a token of a room and an account back on every replica, which is told to those who watch
    /// by it; false if there is none of that id, or it is another's.
    pub async fn revoke(&self, room: &RoomName, account: &str, id: Uuid) -> Result<bool, Error> {
        let Some(share) = self.find(id).await? else { return Ok(false) };
        if share.room != room.as_str() || !is_same_account(&share.account, account) {
            return Ok(false);
        }
        let gone: Result<(), _> = self.redis.client().del(self.key(id)).await;
        gone.map_err(unavailable)?;
        let (of, member) = (self.redis.keys().shares_of(account), id.to_string());
        let uncounted: Result<(), _> = self.redis.client().zrem(of, member).await;
        if let Err(error) = uncounted {
            // Gone it is, and counted until it would have ended.
            tracing::debug!("a share token that was taken back is still counted: {error}");
        }
        self.revocations.announce(&Revoked::Share(id.to_string())).await;
        Ok(true)
    }

    /// Whether a token was neither taken back nor has ended.
    pub async fn holds(&self, id: Uuid) -> Result<bool, Error> {
        Ok(self.find(id).await?.is_some_and(|share| share.expires_at > Clock.now()))
    }

    async fn find(&self, id: Uuid) -> Result<Option<Share>, Error> {
        let found: Result<Option<String>, _> = self.redis.client().get(self.key(id)).await;
        let sealed = found.map_err(unavailable)?;
        let share: Option<Share> =
            sealed.and_then(|sealed| self.secrets.open(Purpose::Share, NAME, &sealed));
        Ok(share.filter(|share| share.id == id))
    }

    fn open(&self, token: &SecretString) -> Option<Share> {
        let text = Some(token.expose_secret()).filter(|text| text.len() <= LONGEST)?;
        let sealed = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let share: Share = self.secrets.open(Purpose::Share, NAME, &sealed)?;
        (share.expires_at > Clock.now()).then_some(share)
    }

    fn key(&self, id: Uuid) -> String {
        self.redis.keys().share(&id.to_string())
    }
}

fn invalid() -> Error {
    Error::new(ErrorKind::Unauthenticated, "Invalid or expired share token")
}
