//! What the tenant tells of the user behind a token: asked for rarely, since it is limited to a few
//! questions a minute for each user.

mod ask;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use chrono::{DateTime, Utc};
use fred::{interfaces::KeysInterface, types::Expiration};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Mutex as AsyncMutex;

use super::{Purpose, Secrets, digest, expiring::Expiring};
use crate::{
    model::{Clock, Error, ErrorKind},
    redis::Redis,
};

/// How long an answer is good.
const GOOD_FOR: Duration = Duration::from_mins(5);
/// How long a failure stands, so that whoever insists does not use up the user's questions.
const FAILS_FOR: Duration = Duration::from_secs(5);
const REMEMBERED: usize = 1_000;
/// More is not read: no copy of ours is larger.
const LARGEST_COPY_BYTES: usize = 128 * 1024;

/// What the tenant says, as it says it.
pub type Profile = Arc<Map<String, Value>>;

/// What questions stand on.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) url: String,
    pub(super) deadline: Duration,
    /// Follows no redirects.
    pub(super) http: reqwest::Client,
    pub(super) redis: Redis,
    pub(super) secrets: Secrets,
}

/// Asks the tenant, once for all who ask at the same time and for all replicas.
#[derive(Debug)]
pub(super) struct Userinfo {
    source: Source,
    known: Expiring<String, Result<Profile, Failed>>,
    /// Questions on their way, by the token's digest.
    asking: Mutex<HashMap<String, Weak<AsyncMutex<()>>>>,
}

/// Why there is no answer; holds nothing of the token.
#[derive(Clone, Debug)]
struct Failed {
    cause: String,
    wait: Option<Duration>,
}

/// What is sealed in Redis.
#[derive(Debug, Serialize, Deserialize)]
struct Copy {
    fetched_at: DateTime<Utc>,
    profile: Profile,
}

impl Userinfo {
    pub(super) fn new(source: Source) -> Self {
        Self { source, known: Expiring::new(REMEMBERED), asking: Mutex::default() }
    }

    /// What the tenant tells of a token's user; fails with the contract's text.
    pub(super) async fn of(
        &self,
        token: &str,
        expires_at: DateTime<Utc>,
    ) -> Result<Profile, Error> {
        let digest = digest::of(token);
        if let Some(known) = self.known.get(&digest) {
            return known.map_err(Failed::told);
        }
        let turn = self.turn(&digest);
        // Whoever is asking gives up within the same time.
        let waited = tokio::time::timeout(self.source.deadline, turn.lock()).await;
        let _turn = waited.map_err(|_| Failed::because("timed out").told())?;
        if let Some(known) = self.known.get(&digest) {
            return known.map_err(Failed::told);
        }
        let answer = self.look(token, &digest, expires_at).await;
        answer.map_err(Failed::told)
    }

    fn turn(&self, digest: &str) -> Arc<AsyncMutex<()>> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = asking.get(digest).and_then(Weak::upgrade) {
            return turn;
        }
        asking.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        asking.insert(digest.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// The copy of any replica, or the tenant's own answer, which is remembered.
    async fn look(
        &self,
        token: &str,
        digest: &str,
        expires_at: DateTime<Utc>,
    ) -> Result<Profile, Failed> {
        let name = self.source.redis.keys().userinfo(digest);
        if let Some(copy) = self.read(&name).await {
            self.remember(digest, &copy, expires_at);
            return Ok(copy.profile);
        }
        match ask::ask(&self.source, token).await {
            Ok(profile) => {
                let copy = Copy { fetched_at: Clock.now(), profile };
                let life = self.remember(digest, &copy, expires_at);
                self.write(&name, &copy, life).await;
                Ok(copy.profile)
            }
            Err(failed) => {
                let life = failed.wait.unwrap_or(FAILS_FOR);
                self.known.insert(digest.to_owned(), Err(failed.clone()), life);
                Err(failed)
            }
        }
    }

    /// Keeps an answer for as long as it is good, and says how long that is.
    fn remember(&self, digest: &str, copy: &Copy, expires_at: DateTime<Utc>) -> Duration {
        let ends = expires_at.min(copy.fetched_at + GOOD_FOR);
        let life = (ends - Clock.now()).to_std().unwrap_or_default();
        self.known.insert(digest.to_owned(), Ok(Arc::clone(&copy.profile)), life);
        life
    }

    /// The copy in Redis, if it is good; where Redis is away the tenant is asked.
    async fn read(&self, name: &str) -> Option<Copy> {
        let sealed = self.source.redis.client().getrange(name, 0, LARGEST_COPY_BYTES).await;
        let sealed: Vec<u8> = sealed.ok()?;
        let sealed = str::from_utf8(&sealed).ok()?;
        let copy: Copy = self.source.secrets.open(Purpose::Userinfo, name, sealed)?;
        (Clock.now() - copy.fetched_at)
            .abs()
            .to_std()
            .is_ok_and(|age| age < GOOD_FOR)
            .then_some(copy)
    }

    async fn write(&self, name: &str, copy: &Copy, life: Duration) {
        let Ok(sealed) = self.source.secrets.seal(Purpose::Userinfo, name, copy) else { return };
        let life = Some(Expiration::PX((life.as_millis() as i64).max(1)));
        let written: Result<(), _> =
            self.source.redis.client().set(name, sealed, life, None, false).await;
        if let Err(error) = written {
            tracing::debug!("an answer of userinfo could not be left in redis: {error}");
        }
    }
}

impl Failed {
    fn because(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), wait: None }
    }

    fn told(self) -> Error {
        let text = format!("Failed to fetch user info: {}", self.cause);
        let error = Error::new(ErrorKind::Unauthenticated, text);
        match self.wait {
            Some(wait) => error.after(wait),
            None => error,
        }
    }
}
