//! Login sessions without a password, shared by all replicas; for development only.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use fred::{interfaces::KeysInterface, types::Expiration};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    Purpose, Revoked, Secrets, digest,
    principal::{AuthType, Credential, Owner, Principal},
};
use crate::{
    model::{Clock, Error, ErrorKind, Plan},
    redis::{Redis, unavailable},
    telemetry::log_patterns,
};

/// How every token of a session begins.
pub(super) const PREFIX: &str = "session_";
/// How long a session lasts.
const LIFE: Duration = Duration::from_hours(24);
/// Longer tokens are refused unread.
const LONGEST_TOKEN_BYTES: usize = 128;

/// Whose session it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginSession {
    /// The name that was given, in lower case and with `_` for spaces.
    pub user_id: String,
    /// The name as it was given.
    pub username: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// Keeps sessions in Redis, under the digests of their tokens.
#[derive(Debug)]
pub struct LoginSessions {
    redis: Redis,
    secrets: Secrets,
}

impl LoginSessions {
    pub(super) fn new(redis: Redis, secrets: Secrets) -> Self {
        Self { redis, secrets }
    }

    /// Begins a session of whoever says to have that name; its token is told only here.
    ///
    /// Fails with `DependencyUnavailable` while Redis is away, as the others do.
    pub async fn begin(&self, username: &str) -> Result<(SecretString, LoginSession), Error> {
        let session = LoginSession {
            user_id: username.to_lowercase().replace(' ', "_"),
            username: username.to_owned(),
            expires_at: Clock.now() + LIFE,
        };
        let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
        let key = self.key(&digest::of(&token));
        let sealed = self.secrets.seal(Purpose::Session, &key, &session).map_err(unsealed)?;
        let life = Some(Expiration::EX(LIFE.as_secs() as i64));
        let kept: Result<(), _> = self.redis.client().set(key, sealed, life, None, false).await;
        kept.map_err(unavailable)?;
        log_patterns::session_created(&session.user_id);
        Ok((SecretString::from(token), session))
    }

    /// The session of that token, while it lasts.
    pub async fn find(&self, token: &str) -> Result<Option<LoginSession>, Error> {
        if token.len() > LONGEST_TOKEN_BYTES {
            return Ok(None);
        }
        self.find_by_digest(&digest::of(token)).await
    }

    /// Ends the session of that token; what is to be announced, if there was one.
    pub async fn end(&self, token: &str) -> Result<Option<Revoked>, Error> {
        if self.find(token).await?.is_none() {
            return Ok(None);
        }
        let digest = digest::of(token);
        let deleted: Result<i64, _> = self.redis.client().del(self.key(&digest)).await;
        deleted.map_err(unavailable)?;
        Ok(Some(Revoked::Session(digest)))
    }

    /// Fails with `Unauthenticated` if the session with that digest is over.
    pub(super) async fn recheck(&self, digest: &str) -> Result<(), Error> {
        self.find_by_digest(digest).await?.map(drop).ok_or_else(invalid)
    }

    /// Whoever holds that token.
    pub(super) async fn verify(&self, token: &str) -> Result<Principal, Error> {
        let session = self.find(token).await?.ok_or_else(invalid)?;
        Ok(Principal {
            subject: session.user_id.clone(),
            owner: Owner::Session(session.user_id),
            auth_type: AuthType::Session,
            plan: Plan::Free,
            expires_at: Some(session.expires_at),
            credential: Credential::Session(digest::of(token)),
        })
    }

    async fn find_by_digest(&self, digest: &str) -> Result<Option<LoginSession>, Error> {
        let key = self.key(digest);
        let sealed: Option<String> = self.redis.client().get(&key).await.map_err(unavailable)?;
        let session: Option<LoginSession> =
            sealed.and_then(|sealed| self.secrets.open(Purpose::Session, &key, &sealed));
        Ok(session.filter(|session| session.expires_at > Clock.now()))
    }

    fn key(&self, digest: &str) -> String {
        self.redis.keys().session(digest)
    }
}

fn unsealed(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Internal, "Internal server error").because(error)
}

fn invalid() -> Error {
    Error::new(ErrorKind::Unauthenticated, "Invalid or expired token")
}
