//! Tokens of `/auth/login`: HS256 and nothing else, made here and read here.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{claims, digest::hex, refusal::Refusal};
use crate::model::{Clock, Error, ErrorKind};

/// How long an access token lives.
pub(super) const ACCESS_LIFE: TimeDelta = TimeDelta::hours(1);
/// How long a refresh token lives.
pub(super) const REFRESH_LIFE: TimeDelta = TimeDelta::days(30);
/// Longer tokens are refused unread.
const LONGEST_TOKEN_BYTES: usize = 8 * 1024;
/// Longer ids do not fit into `token_blacklist`.
const LONGEST_ID_BYTES: usize = 36;

/// What a token of a login is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Calling.
    Access,
    /// Getting new tokens, once.
    Refresh,
}

impl TokenKind {
    /// The `type` claim.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }

    const fn life(self) -> TimeDelta {
        match self {
            Self::Access => ACCESS_LIFE,
            Self::Refresh => REFRESH_LIFE,
        }
    }
}

/// What a genuine token says.
#[derive(Debug)]
pub(super) struct LocalToken {
    pub(super) kind: TokenKind,
    pub(super) user_id: i32,
    pub(super) jti: String,
    pub(super) family: String,
    /// When it was made; a token without that is as old as can be.
    pub(super) issued_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
}

/// Makes and reads tokens.
#[derive(Debug)]
pub(super) struct LocalTokens {
    signs: EncodingKey,
    /// Today's secret, and the one before it while it is being rotated.
    verify: Vec<DecodingKey>,
    validation: Validation,
}

impl LocalTokens {
    /// Tokens under these secrets. Without one the process makes one up, which no other shares.
    pub(super) fn new(current: Option<&SecretString>, previous: Option<&SecretString>) -> Self {
        let made_up = SecretString::from(hex(&rand::random::<[u8; 32]>()));
        let current = current.unwrap_or(&made_up);
        let key = |secret: &SecretString| DecodingKey::from_secret(bytes(secret));
        Self {
            signs: EncodingKey::from_secret(bytes(current)),
            verify: std::iter::once(current).chain(previous).map(key).collect(),
            validation: signature_only(),
        }
    }

    /// A new token of that login.
    pub(super) fn mint(&self, kind: TokenKind, user: i32, family: &str) -> Result<String, Error> {
        let now = Clock.now();
        let claims = json!({
            "fresh": false,
            "iat": now.timestamp(),
            "jti": Uuid::new_v4(),
            "type": kind.as_str(),
            "sub": user.to_string(),
            "nbf": now.timestamp(),
            "csrf": Uuid::new_v4(),
            "exp": (now + kind.life()).timestamp(),
            "family": family,
        });
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signs)
            .map_err(|error| Error::new(ErrorKind::Internal, "internal error").because(error))
    }

    /// What the token says, if we made it and it has not ended; whether it was revoked is not
    /// looked at.
    pub(super) fn read(&self, token: &str) -> Result<LocalToken, Refusal> {
        check_shape(token).map_err(Refusal::Foreign)?;
        check_claims(&self.verify_signature(token)?, Clock.now())
    }

    /// The claims under a signature of ours. Nothing that we signed cannot be decoded, so that
    /// whatever fails here is a forgery.
    fn verify_signature(&self, token: &str) -> Result<Map<String, Value>, Refusal> {
        let read = |key| jsonwebtoken::decode(token, key, &self.validation).ok();
        self.verify.iter().find_map(read).map(|read| read.claims).ok_or(Refusal::Forged)
    }
}

fn bytes(secret: &SecretString) -> &[u8] {
    secret.expose_secret().as_bytes()
}

/// The library checks the signature; claims are checked here, without a leeway on `exp`.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

/// Whether this could be a token of ours, before any secret is tried on it.
fn check_shape(token: &str) -> Result<(), &'static str> {
    if token.len() > LONGEST_TOKEN_BYTES {
        return Err("Token is too long");
    }
    match token.split('.').count() {
        0..=2 => return Err("Not enough segments"),
        3 => {}
        _ => return Err("Too many segments"),
    }
    let header = token.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let header = header.and_then(|bytes| serde_json::from_slice::<Map<String, Value>>(&bytes).ok());
    let header = header.ok_or("Invalid header padding")?;
    if header.get("alg").and_then(Value::as_str) != Some("HS256") {
        return Err("The specified alg value is not allowed");
    }
    if header.contains_key("crit") {
        return Err("Unsupported critical extension");
    }
    Ok(())
}

fn check_claims(claims: &Map<String, Value>, now: DateTime<Utc>) -> Result<LocalToken, Refusal> {
    for name in ["exp", "sub", "type", "jti"] {
        if claims.get(name).is_none_or(Value::is_null) {
            return Err(missing(name));
        }
    }
    let expires_at = claims::check_times(claims, now).map_err(refused_time)?;
    let kind = match claims.get("type").and_then(Value::as_str) {
        Some("access") => TokenKind::Access,
        Some("refresh") => TokenKind::Refresh,
        _ => return Err(invalid("Type must be access or refresh")),
    };
    let jti = id(claims, "jti")?.ok_or_else(|| missing("jti"))?;
    let family = match (id(claims, "family")?, kind) {
        (Some(family), _) => family,
        // The replaced service knew no families; a token without one is alone.
        (None, TokenKind::Access) => jti.clone(),
        (None, TokenKind::Refresh) => return Err(missing("family")),
    };
    let issued_at = claims.get("iat").and_then(Value::as_f64).unwrap_or(0.0);
    let issued_at = DateTime::from_timestamp(issued_at as i64, 0).unwrap_or_default();
    Ok(LocalToken { kind, user_id: subject(claims)?, jti, family, issued_at, expires_at })
}

/// The user's id, in the one way in which it is written.
fn subject(claims: &Map<String, Value>) -> Result<i32, Refusal> {
    let text = claims.get("sub").and_then(Value::as_str);
    let text = text.ok_or_else(|| invalid("Subject must be a string"))?;
    let user = text.parse().ok().filter(|user: &i32| *user >= 0 && user.to_string() == text);
    user.ok_or_else(|| invalid("Subject must be the id of a user"))
}

fn id(claims: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    let Some(value) = claims.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let plain = |id: &&str| {
        let byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=LONGEST_ID_BYTES).contains(&id.len()) && id.bytes().all(byte)
    };
    match value.as_str().filter(plain) {
        Some(id) => Ok(Some(id.to_owned())),
        None => Err(invalid(&format!("The \"{name}\" claim must be an id"))),
    }
}

fn invalid(text: &str) -> Refusal {
    Refusal::Invalid(text.to_owned())
}

fn missing(name: &str) -> Refusal {
    invalid(&format!("Token is missing the \"{name}\" claim"))
}

fn refused_time(text: String) -> Refusal {
    match text.strip_prefix("Invalid token: ") {
        Some(text) => invalid(text),
        None => Refusal::Expired,
    }
}
