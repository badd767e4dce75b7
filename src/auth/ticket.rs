//! Stream tickets: each opens one socket, for clients that can pass nothing but an address.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use fred::{interfaces::KeysInterface, types::Expiration};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{Principal, Purpose, Secrets, digest};
use crate::{
    model::{Clock, Error, ErrorKind},
    redis::{Redis, unavailable},
};

/// How long a ticket waits to be used.
const LIFE: Duration = Duration::from_secs(30);
/// What a ticket is good for; nothing else opens with one.
const STREAM: &str = "stream";
/// Bytes of chance in a ticket, and the characters that they make.
const RANDOM_BYTES: usize = 32;
const CHARACTERS: usize = 43;

/// A ticket, as its owner is given it.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// What opens a socket, once.
    pub text: SecretString,
    /// When it ends unused.
    pub expires_at: DateTime<Utc>,
}

/// What Redis keeps of a ticket, under its digest.
#[derive(Serialize, Deserialize)]
struct Held {
    purpose: String,
    principal: Principal,
    expires_at: DateTime<Utc>,
}

/// Issues tickets and takes them back.
#[derive(Debug)]
pub(super) struct Tickets {
    redis: Redis,
    secrets: Secrets,
}

impl Tickets {
    pub(super) fn new(redis: Redis, secrets: Secrets) -> Self {
        Self { redis, secrets }
    }

    /// A ticket for that caller, which ends no later than what the caller was verified by.
    pub(super) async fn issue(&self, principal: &Principal) -> Result<Ticket, Error> {
        let now = Clock.now();
        let longest = now + LIFE;
        let expires_at = principal.expires_at.map_or(longest, |parent| parent.min(longest));
        let life_ms = (expires_at - now).num_milliseconds();
        if life_ms <= 0 {
            return Err(invalid());
        }
        let text = URL_SAFE_NO_PAD.encode(rand::random::<[u8; RANDOM_BYTES]>());
        let key = self.key(&text);
        let held = Held { purpose: STREAM.to_owned(), principal: principal.clone(), expires_at };
        let sealed = self.secrets.seal(Purpose::Ticket, &key, &held).map_err(unsealed)?;
        let life = Some(Expiration::PX(life_ms));
        let kept: Result<(), _> = self.redis.client().set(key, sealed, life, None, false).await;
        kept.map_err(unavailable)?;
        Ok(Ticket { text: SecretString::from(text), expires_at })
    }

    /// Whoever the ticket was issued to; it is used up by that, whatever comes of it.
    pub(super) async fn take(&self, ticket: &SecretString) -> Result<Principal, Error> {
        let text = ticket.expose_secret();
        if text.len() != CHARACTERS {
            return Err(invalid());
        }
        let key = self.key(text);
        let sealed: Option<String> = self.redis.client().getdel(&key).await.map_err(unavailable)?;
        let held: Option<Held> =
            sealed.and_then(|sealed| self.secrets.open(Purpose::Ticket, &key, &sealed));
        match held {
            Some(held) if held.purpose == STREAM && held.expires_at > Clock.now() => {
                Ok(held.principal)
            }
            _ => Err(invalid()),
        }
    }

    fn key(&self, ticket: &str) -> String {
        self.redis.keys().ticket(&digest::of(ticket))
    }
}

fn unsealed(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Internal, "Internal server error").because(error)
}

fn invalid() -> Error {
    Error::new(ErrorKind::Unauthenticated, "Invalid or expired ticket")
}
