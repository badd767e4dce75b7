//! One door for every form of credential.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    api_key::{ApiKeys, PREFIX},
    jwt::{Auth0, VerifiedToken},
    principal::{AuthType, Owner, Principal},
};
use crate::{
    config::{AuthConfig, Environment},
    lifecycle::Shutdown,
    model::{Error, ErrorKind},
    postgres::Database,
    telemetry::{Metrics, log_patterns, metrics::label},
};

/// Verifies credentials; cheap to clone.
#[derive(Clone, Debug)]
pub struct Authenticator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    auth0: Option<Auth0>,
    /// The variable without which tokens of Auth0 cannot be verified.
    missing: &'static str,
    keys: ApiKeys,
    static_key: Option<[u8; 32]>,
    development: Option<DevelopmentToken>,
    metrics: Metrics,
}

#[derive(Debug)]
struct DevelopmentToken {
    text: SecretString,
    digest: [u8; 32],
}

impl Authenticator {
    /// Builds what verification needs and starts to fetch the tenant's signing keys.
    ///
    /// Fails if no TLS client can be made.
    pub fn new(
        config: &AuthConfig,
        environment: Environment,
        database: Database,
        metrics: Metrics,
        shutdown: &Shutdown,
    ) -> Result<Self, reqwest::Error> {
        let tenant = |auth0| Auth0::new(auth0, metrics.clone(), shutdown.clone());
        let development = (environment == Environment::Development).then(DevelopmentToken::new);
        Ok(Self(Arc::new(Inner {
            auth0: config.auth0.as_ref().map(tenant).transpose()?,
            missing: config.auth0_missing.unwrap_or_default(),
            keys: ApiKeys::new(database, metrics.clone(), shutdown),
            static_key: config.api_key.as_ref().map(|key| digest(key.expose_secret())),
            development,
            metrics,
        })))
    }

    /// The token that this process made up, in development only.
    pub fn development_token(&self) -> Option<&str> {
        self.0.development.as_ref().map(|token| token.text.expose_secret())
    }

    /// Who presents this credential: an Auth0 token, an API key, the static key, or the
    /// development token.
    ///
    /// Fails with `Unauthenticated` and the contract's text, with `DependencyUnavailable` where
    /// Postgres is needed and away, and with `Internal` where Auth0 is needed and not configured.
    pub async fn authenticate(&self, token: &str) -> Result<Principal, Error> {
        let inner = &*self.0;
        let sum = digest(token);
        if inner.development.as_ref().is_some_and(|own| bool::from(own.digest.ct_eq(&sum))) {
            return inner.counted(AuthType::Development, Ok(development()));
        }
        if inner.static_key.is_some_and(|key| bool::from(key.ct_eq(&sum))) {
            log_patterns::legacy_key_accepted();
            return inner.counted(AuthType::Legacy, Ok(system_user()));
        }
        if token.starts_with(PREFIX) {
            return inner.counted(AuthType::ApiKey, inner.key_owner(token).await);
        }
        if !token.contains('.') {
            log_patterns::invalid_api_key();
            let error =
                Error::new(ErrorKind::Unauthenticated, "Invalid token: Not enough segments");
            return inner.counted(AuthType::Legacy, Err(error));
        }
        self.verify_auth0(token).await.map(|token| account(&token))
    }

    /// Verifies a token of Auth0 and nothing else, with all its claims.
    pub async fn verify_auth0(&self, token: &str) -> Result<VerifiedToken, Error> {
        let inner = &*self.0;
        let Some(auth0) = &inner.auth0 else {
            let text = format!("{} environment variable not set", inner.missing);
            log_patterns::authentication_failed(&text);
            return inner.counted(AuthType::Auth0, Err(Error::new(ErrorKind::Internal, text)));
        };
        let verified = auth0.verify(token).await;
        match &verified {
            Ok(token) => log_patterns::token_verified(&token.sub),
            Err(error) => log_patterns::authentication_failed(&error.detail),
        }
        inner.counted(AuthType::Auth0, verified)
    }
}

impl Inner {
    async fn key_owner(&self, key: &str) -> Result<Principal, Error> {
        let owner = self.keys.verify(key).await;
        match &owner {
            Ok(Principal { owner: Owner::User(id), .. }) => log_patterns::api_key_accepted(*id),
            Err(error) if error.kind == ErrorKind::Unauthenticated => {
                log_patterns::invalid_api_key();
            }
            _ => {}
        }
        owner
    }

    fn counted<T>(&self, kind: AuthType, result: Result<T, Error>) -> Result<T, Error> {
        let outcome = result.as_ref().map_or_else(|error| error.kind.code(), |_| "ok");
        let labels = [label("type", kind.label()), label("outcome", outcome)];
        self.metrics.authentications.add(1, &labels);
        result
    }
}

impl DevelopmentToken {
    fn new() -> Self {
        let text = format!("dev_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
        Self { digest: digest(&text), text: SecretString::from(text) }
    }
}

/// Digests of equal length, so that a comparison tells nothing about the secret's.
fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn account(token: &VerifiedToken) -> Principal {
    Principal {
        subject: token.sub.clone(),
        owner: Owner::Auth0 { sub: token.sub.clone(), email: token.email.clone() },
        auth_type: AuthType::Auth0,
        plan: "free".to_owned(),
        expires_at: Some(token.expires_at),
    }
}

fn system_user() -> Principal {
    Principal {
        subject: "0".to_owned(),
        owner: Owner::User(0),
        auth_type: AuthType::Legacy,
        plan: "legacy".to_owned(),
        expires_at: None,
    }
}

fn development() -> Principal {
    Principal {
        subject: "dev-user".to_owned(),
        owner: Owner::Development,
        auth_type: AuthType::Development,
        plan: "free".to_owned(),
        expires_at: None,
    }
}
