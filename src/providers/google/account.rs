//! A service account, and the tokens that it is given for its signature.

use std::{fs, sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::{sync::Mutex, time::Instant};

use super::{PROVIDER, judge};
use crate::{
    model::Clock,
    outbound::{Call, ErrorClass, Outbound, Peer, ProviderError, Repeat},
};

/// Whom a token's request is for, wherever it is sent: Google's own libraries do the same.
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// What a signature is good for, in seconds: the longest that Google allows.
const LIFE_SECONDS: i64 = 3_600;
/// How long before a token ends another is asked for.
const AHEAD: Duration = Duration::from_secs(60);
const TOTAL: Duration = Duration::from_secs(20);

/// The file of a service account, as Google hands it out.
#[derive(Deserialize)]
struct File {
    project_id: String,
    private_key_id: Option<String>,
    private_key: SecretString,
    client_email: String,
    token_uri: Option<String>,
}

/// A service account. Cheap to clone; clones share the token.
#[derive(Clone)]
pub struct Account {
    project: Arc<str>,
    email: Arc<str>,
    key_id: Option<String>,
    key: Arc<EncodingKey>,
    peer: Peer,
    token: Arc<Mutex<Option<Token>>>,
}

#[derive(Clone)]
struct Token {
    bearer: SecretString,
    until: Instant,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    expires_in: u64,
}

impl Account {
    /// The account of that file, or why it is none.
    pub fn read(path: &str, outbound: &Outbound) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let file: File = serde_json::from_str(&text).map_err(|error| {
            // The library's text may quote what is there.
            format!("not a service account's file: line {}", error.line())
        })?;
        let key = EncodingKey::from_rsa_pem(file.private_key.expose_secret().as_bytes())
            .map_err(|_| "its private_key is no RSA key in PEM".to_owned())?;
        let uri = file.token_uri.as_deref().unwrap_or(AUDIENCE);
        Ok(Self {
            project: file.project_id.into(),
            email: file.client_email.into(),
            key_id: file.private_key_id,
            key: Arc::new(key),
            peer: outbound.peer("google_token", uri),
            token: Arc::default(),
        })
    }

    /// Its project.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// A token that is good for a while; whoever comes while one is asked for has that one.
    pub async fn bearer(&self) -> Result<SecretString, ProviderError> {
        let mut token = self.token.lock().await;
        if let Some(token) = token.as_ref().filter(|token| Instant::now() < token.until) {
            return Ok(token.bearer.clone());
        }
        let asked = Instant::now();
        let granted = self.exchange().await?;
        let life = Duration::from_secs(granted.expires_in).saturating_sub(AHEAD);
        let bearer = granted.access_token;
        *token = Some(Token { bearer: bearer.clone(), until: asked + life });
        Ok(bearer)
    }

    /// Forgets a token that was refused.
    pub async fn forget(&self, refused: &SecretString) {
        let mut token = self.token.lock().await;
        token.take_if(|token| token.bearer.expose_secret() == refused.expose_secret());
    }

    async fn exchange(&self) -> Result<Granted, ProviderError> {
        let iat = Clock.now().timestamp();
        let exp = iat + LIFE_SECONDS;
        let claims = Claims { iss: &self.email, scope: SCOPE, aud: AUDIENCE, iat, exp };
        let header = Header { kid: self.key_id.clone(), ..Header::new(Algorithm::RS256) };
        let assertion = jsonwebtoken::encode(&header, &claims, &self.key).map_err(|error| {
            ProviderError::new(ErrorClass::Credentials, "unsignable", error.to_string())
        })?;
        let form = [("grant_type", GRANT), ("assertion", assertion.as_str())];
        let call = Call::post("token", "").form(&form).total(TOTAL).repeat(Repeat::Always);
        self.peer.send(&call, judge).await?.json()
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("provider", &PROVIDER).finish_non_exhaustive()
    }
}
