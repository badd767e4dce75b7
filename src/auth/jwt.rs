//! Auth0 access tokens: RS256 and nothing else.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind as JwtErrorKind};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{
    claims::{self, Expected},
    expiring::Expiring,
    jwks::{Jwks, Unknown},
};
use crate::{
    config::Auth0Config,
    model::{Clock, Error, ErrorKind},
};

/// Longer tokens are refused unread.
const LONGEST_TOKEN_BYTES: usize = 8 * 1024;
/// Verified tokens that are remembered.
const REMEMBERED_TOKENS: usize = 10_000;
/// What is said of a token whose key is not known.
const UNVERIFIED: &str = "Token verification failed";

/// A token that verified, with everything it says.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    /// Every claim, as the token has it.
    pub claims: Arc<Map<String, Value>>,
    /// The `sub` claim.
    pub sub: String,
    /// The `email` claim, if the tenant has verified it.
    pub email: Option<String>,
    /// The `exp` claim.
    pub expires_at: DateTime<Utc>,
}

/// Verifies tokens of one tenant, and remembers those that it has verified.
#[derive(Debug)]
pub(super) struct Auth0 {
    expected: Expected,
    jwks: Jwks,
    validation: Validation,
    /// With the id of the key that signed: who takes a key back takes back what it has signed.
    verified: Expiring<[u8; 32], (String, VerifiedToken)>,
}

impl Auth0 {
    pub(super) fn new(config: &Auth0Config, jwks: Jwks) -> Self {
        let expected =
            Expected { issuer: config.issuer.clone(), audience: config.audience.clone() };
        let verified = Expiring::new(REMEMBERED_TOKENS);
        Self { expected, jwks, validation: signature_only(), verified }
    }

    /// Verifies a token; the error's text is the contract's.
    pub(super) async fn verify(&self, token: &str) -> Result<VerifiedToken, Error> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let now = Clock.now();
        if let Some((kid, known)) = self.verified.get(&digest)
            && known.expires_at > now
            && self.jwks.known(&kid).is_some()
        {
            return Ok(known);
        }
        let kid = key_id(token).map_err(refused)?;
        let key = self.key(&kid).await?;
        let token = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &self.validation)
            .map_err(|error| refused(text_of(error.kind())))?;
        let checked = claims::check(&token.claims, &self.expected, now).map_err(refused)?;
        let verified = VerifiedToken {
            claims: Arc::new(token.claims),
            sub: checked.sub,
            email: checked.email,
            expires_at: checked.expires_at,
        };
        let life = (verified.expires_at - now).to_std().unwrap_or(Duration::ZERO);
        self.verified.insert(digest, (kid, verified.clone()), life.min(Duration::from_hours(24)));
        Ok(verified)
    }

    /// The key of that id. Text that no tenant would name a key by is not looked for.
    async fn key(&self, kid: &str) -> Result<Arc<DecodingKey>, Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~=+:@".contains(&byte);
        if !kid.bytes().all(plain) {
            return self.jwks.known(kid).ok_or_else(|| refused(UNVERIFIED));
        }
        let key = self.jwks.key(kid).await;
        key.map_err(|Unknown(wait)| refused(UNVERIFIED).after(wait))
    }
}

fn refused(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unauthenticated, text)
}

/// The library checks the signature; claims are checked by [`claims`], with the contract's texts
/// and without a leeway on `exp`.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

/// The key that the token names, once its header is worth a look-up.
fn key_id(token: &str) -> Result<String, String> {
    let invalid = |why: &str| Err(format!("Invalid token: {why}"));
    if token.len() > LONGEST_TOKEN_BYTES {
        return invalid("Token is too long");
    }
    match token.split('.').count() {
        0..=2 => return invalid("Not enough segments"),
        3 => {}
        _ => return invalid("Too many segments"),
    }
    let header = token.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let header = header.and_then(|bytes| serde_json::from_slice::<Map<String, Value>>(&bytes).ok());
    let Some(header) = header else { return invalid("Invalid header padding") };
    if header.get("alg").and_then(Value::as_str) != Some("RS256") {
        return invalid("The specified alg value is not allowed");
    }
    if header.contains_key("crit") {
        return invalid("Unsupported critical extension");
    }
    match header.get("kid").and_then(Value::as_str) {
        Some(kid) if !kid.is_empty() && kid.len() <= 255 => Ok(kid.to_owned()),
        _ => Err(UNVERIFIED.to_owned()),
    }
}

fn text_of(kind: &JwtErrorKind) -> &'static str {
    match kind {
        JwtErrorKind::InvalidSignature => "Invalid signature",
        JwtErrorKind::InvalidAlgorithm => "Invalid token: The specified alg value is not allowed",
        JwtErrorKind::Base64(_) => "Invalid token: Invalid payload padding",
        JwtErrorKind::Json(_) | JwtErrorKind::Utf8(_) => {
            "Invalid token: Invalid payload: must be a json object"
        }
        _ => "Invalid token: Not enough segments",
    }
}
