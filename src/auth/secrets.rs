//! Keys derived from `SECRET_KEY`, and values sealed with them: whoever can write to Redis can take
//! a value away, but cannot make one up, change it, or move it to another name.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{digest::hex, signet::Signet};

/// What a derived key is for; one key never serves two purposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The copy of the tenant's signing keys.
    Jwks,
    /// What the tenant tells of a user.
    Userinfo,
    /// Login sessions.
    Session,
    /// Stream tickets.
    Ticket,
    /// Tokens that let their holder see a room.
    Share,
    /// Whose a room is.
    Room,
    /// What is said in a room.
    Said,
    /// Usage that waits for Postgres.
    Usage,
    /// Where a live session stands.
    Bookmark,
    /// Tokens that let their holder go on with a live session.
    Resume,
    /// Where a replica is reached by the others.
    Replica,
    /// What replicas hand over to each other.
    Relay,
    /// What was heard of a recording.
    Duplicate,
}

impl Purpose {
    const fn label(self) -> &'static str {
        match self {
            Self::Jwks => "jwks",
            Self::Userinfo => "userinfo",
            Self::Session => "session",
            Self::Ticket => "ticket",
            Self::Share => "share",
            Self::Room => "room",
            Self::Said => "said",
            Self::Usage => "usage",
            Self::Bookmark => "bookmark",
            Self::Resume => "resume",
            Self::Replica => "replica",
            Self::Relay => "relay",
            Self::Duplicate => "duplicate",
        }
    }
}

/// The secret, and the one before it while it is being rotated. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Secrets(Arc<[SecretString]>);

impl Secrets {
    /// Secrets of a configuration. Without one the process makes one up, which no other shares.
    pub fn new(current: Option<SecretString>, previous: Option<SecretString>) -> Self {
        let current = current.unwrap_or_else(|| hex(&rand::random::<[u8; 32]>()).into());
        Self([current].into_iter().chain(previous).collect())
    }

    /// The value as text that only [`Self::open`] with the same purpose and name takes.
    pub fn seal<T: Serialize>(
        &self,
        purpose: Purpose,
        name: &str,
        value: &T,
    ) -> serde_json::Result<String> {
        let json = serde_json::to_string(value)?;
        let mac = mac(&self.0[0], purpose, name, &json).finalize().into_bytes();
        Ok(format!("{}.{json}", hex(&mac)))
    }

    /// The value, if it was sealed for that purpose and name with this secret or the one before.
    pub fn open<T: DeserializeOwned>(
        &self,
        purpose: Purpose,
        name: &str,
        sealed: &str,
    ) -> Option<T> {
        let (claimed, json) = sealed.split_once('.')?;
        let claimed = unhex(claimed)?;
        let genuine = |secret| mac(secret, purpose, name, json).verify_slice(&claimed).is_ok();
        if !self.0.iter().any(genuine) {
            return None;
        }
        serde_json::from_str(json).ok()
    }

    /// What marks many small texts for a purpose, at the cost of one HMAC each.
    pub fn signet(&self, purpose: Purpose) -> Signet {
        Signet::new(self.0.iter().map(|secret| derived(secret, purpose)))
    }
}

fn mac(secret: &SecretString, purpose: Purpose, name: &str, json: &str) -> Hmac<Sha256> {
    let mut mac = derived(secret, purpose);
    mac.update(name.as_bytes());
    mac.update(&[0]);
    mac.update(json.as_bytes());
    mac
}

/// The key is derived from the secret as RFC 5869 extracts one, with the purpose in place of a salt.
fn derived(secret: &SecretString, purpose: Purpose) -> Hmac<Sha256> {
    let mut key = keyed(Sha256::digest(secret.expose_secret()).into());
    key.update(b"audio-transcription-api/v1/");
    key.update(purpose.label().as_bytes());
    keyed(key.finalize().into_bytes().into())
}

/// A key of HMAC is a block; shorter ones are filled with zeros (RFC 2104 §2).
fn keyed(key: [u8; 32]) -> Hmac<Sha256> {
    let mut block = [0; 64];
    block[..32].copy_from_slice(&key);
    Hmac::new(&block.into())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..32).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(current: &str, previous: Option<&str>) -> Secrets {
        Secrets::new(Some(current.into()), previous.map(Into::into))
    }

    #[test]
    fn a_sealed_value_opens_for_its_purpose_name_and_secret_only() {
        let one = secrets("one", None);
        let sealed = one.seal(Purpose::Ticket, "a", &"text").unwrap();
        let open = |secrets: &Secrets, purpose, name: &str, sealed: &str| {
            secrets.open::<String>(purpose, name, sealed)
        };
        assert_eq!(open(&one, Purpose::Ticket, "a", &sealed).as_deref(), Some("text"));
        assert_eq!(open(&one, Purpose::Session, "a", &sealed), None);
        assert_eq!(open(&one, Purpose::Ticket, "b", &sealed), None);
        assert_eq!(open(&secrets("two", None), Purpose::Ticket, "a", &sealed), None);
        assert_eq!(open(&one, Purpose::Ticket, "a", &sealed.replace("text", "test")), None);
        for wrong in ["", ".", "é", &sealed[1..], &sealed.replacen('.', "", 1)] {
            assert_eq!(open(&one, Purpose::Ticket, "a", wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rotation_keeps_old_values_until_the_old_secret_is_left_out() {
        let sealed = secrets("old", None).seal(Purpose::Session, "s", &7).unwrap();
        let open = |secrets: Secrets| secrets.open::<i32>(Purpose::Session, "s", &sealed);
        assert_eq!(open(secrets("new", Some("old"))), Some(7));
        assert_eq!(open(secrets("new", None)), None);
        let own = Secrets::new(None, None);
        assert_eq!(own.open::<i32>(Purpose::Session, "s", &sealed), None);
    }
}
