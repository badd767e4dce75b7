//! Tokens: good ones, and every kind of bad one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Map, Value, json};

use super::key::Key;

/// How a token is signed, or pretends to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// As Auth0 does.
    Rs256,
    /// Not at all.
    None,
    /// With the public key taken for a secret: the classic confusion.
    Hs256WithPublicKey,
}

/// Which key a token names.
#[derive(Clone, Debug)]
enum Kid {
    /// The one that signs.
    Signing,
    Other(String),
    Absent,
}

/// What a token says, and how it is made.
#[derive(Clone, Debug)]
pub struct Claims {
    body: Map<String, Value>,
    kid: Kid,
    algorithm: Algorithm,
    kind: String,
    pub(super) foreign_key: bool,
}

impl Claims {
    pub(super) fn new(issuer: &str, subject: &str, audience: &str) -> Self {
        let now = unix_seconds();
        let body = json!({
            "iss": issuer,
            "sub": subject,
            "aud": audience,
            "azp": "test-client",
            "iat": now,
            "exp": now + 3600,
            "scope": "openid profile email",
        });
        let body = body.as_object().cloned().unwrap_or_default();
        let kind = "JWT".to_owned();
        Self { body, kid: Kid::Signing, algorithm: Algorithm::Rs256, kind, foreign_key: false }
    }

    /// With that claim, standard or not.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.insert(name.to_owned(), value.into());
        self
    }

    /// Without that claim.
    pub fn without(mut self, name: &str) -> Self {
        self.body.remove(name);
        self
    }

    /// For several audiences, as when `openid` is asked for.
    pub fn with_audiences(self, audiences: &[&str]) -> Self {
        self.with("aud", json!(audiences))
    }

    /// Good for that long from now.
    pub fn expiring_in(self, life: Duration) -> Self {
        let at = unix_seconds() + life.as_secs();
        self.with("exp", at)
    }

    /// Expired that long ago.
    pub fn expired_for(self, age: Duration) -> Self {
        let at = unix_seconds().saturating_sub(age.as_secs());
        self.with("exp", at)
    }

    /// By another issuer.
    pub fn issued_by(self, issuer: &str) -> Self {
        self.with("iss", issuer)
    }

    /// Naming that key, whichever signs; `None` names none.
    pub fn with_kid(self, kid: Option<&str>) -> Self {
        Self { kid: kid.map_or(Kid::Absent, |kid| Kid::Other(kid.to_owned())), ..self }
    }

    /// Signed so.
    pub fn signed_with(self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self }
    }

    /// Signed by a key that was never published, under that key's own id.
    pub fn forged(self) -> Self {
        Self { foreign_key: true, ..self }
    }

    /// With another `typ`, such as `at+jwt`.
    pub fn with_type(self, kind: &str) -> Self {
        Self { kind: kind.to_owned(), ..self }
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

pub(super) fn sign(claims: &Claims, key: &Key) -> anyhow::Result<String> {
    let kid = match &claims.kid {
        Kid::Signing => Some(key.kid.clone()),
        Kid::Other(kid) => Some(kid.clone()),
        Kid::Absent => None,
    };
    let signing = match claims.algorithm {
        Algorithm::Rs256 => EncodingKey::from_rsa_pem(key.private_pem.as_bytes())?,
        Algorithm::Hs256WithPublicKey => EncodingKey::from_secret(&key.public_der),
        Algorithm::None => return Ok(unsigned(claims, kid.as_deref())),
    };
    let mut header = Header::new(match claims.algorithm {
        Algorithm::Hs256WithPublicKey => jsonwebtoken::Algorithm::HS256,
        _ => jsonwebtoken::Algorithm::RS256,
    });
    header.kid = kid;
    header.typ = Some(claims.kind.clone());
    Ok(jsonwebtoken::encode(&header, &claims.body, &signing)?)
}

fn unsigned(claims: &Claims, kid: Option<&str>) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let header = json!({ "alg": "none", "typ": claims.kind, "kid": kid });
    format!("{}.{}.", part(&header), part(&json!(claims.body)))
}

/// The subject of a token that one of the keys signed for this issuer and that has not expired.
pub(super) fn verified_subject(token: &str, keys: &[Vec<u8>], issuer: &str) -> Option<String> {
    let mut validation = Validation::new(jsonwebtoken::Algorithm::RS256);
    validation.validate_aud = false;
    validation.set_issuer(&[issuer]);
    keys.iter().find_map(|key| {
        let key = DecodingKey::from_rsa_der(key);
        let data = jsonwebtoken::decode::<Value>(token, &key, &validation).ok()?;
        data.claims["sub"].as_str().map(str::to_owned)
    })
}
