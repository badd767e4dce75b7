//! A tenant with keys of its own and a server that publishes them and counts who asks.

use std::sync::{
    Arc, LazyLock, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use aws_lc_rs::{
    encoding::AsDer,
    rsa::{KeyPair, KeySize},
};
use axum::{Router, http::StatusCode, routing::get};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};

use crate::{config::AuthConfig, lifecycle::Shutdown, model::Clock, postgres::private};

/// What the tokens are for.
pub(super) const AUDIENCE: &str = "https://api.test";

/// Two keys that the tests share, since making one takes a while.
static KEYS: LazyLock<[Key; 2]> = LazyLock::new(|| [Key::generate("one"), Key::generate("two")]);

/// A signing key with its id.
pub(super) struct Key {
    kid: &'static str,
    pub(super) private: EncodingKey,
}

impl Key {
    fn generate(kid: &'static str) -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = STANDARD.encode(pair.as_der().unwrap().as_ref());
        // The library takes PKCS #8 only in PEM.
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
        Self { kid, private: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap() }
    }

    /// The public half as a tenant publishes it.
    pub(super) fn public(&self) -> Jwk {
        let mut jwk = Jwk::from_encoding_key(&self.private, Algorithm::RS256).unwrap();
        jwk.common.key_id = Some(self.kid.to_owned());
        jwk
    }

    /// A token signed with this key under that header.
    pub(super) fn sign(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.private).unwrap()
    }
}

/// The published key.
pub(super) fn key() -> &'static Key {
    &KEYS[0]
}

/// A key that is not published.
pub(super) fn other_key() -> &'static Key {
    &KEYS[1]
}

/// The header that the tenant writes.
pub(super) fn header() -> Header {
    Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::RS256) }
}

/// A tenant that listens.
pub(super) struct Tenant {
    pub(super) issuer: String,
    fetches: Arc<AtomicUsize>,
    answer: Arc<Mutex<(StatusCode, String)>>,
    shutdown: Shutdown,
}

impl Tenant {
    /// Starts a tenant that publishes the first key.
    pub(super) async fn start() -> Self {
        let set = json!({"keys": [key().public()]}).to_string();
        let (fetches, answer) = (Arc::default(), Arc::new(Mutex::new((StatusCode::OK, set))));
        let (count, reply) = (Arc::clone(&fetches), Arc::clone(&answer));
        let keys = async move || {
            AtomicUsize::fetch_add(&count, 1, Ordering::SeqCst);
            reply.lock().unwrap().clone()
        };
        let routes = Router::new().route("/.well-known/jwks.json", get(keys));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}/", listener.local_addr().unwrap());
        let shutdown = Shutdown::default();
        shutdown.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { issuer, fetches, answer, shutdown }
    }

    /// What the key server answers from now on.
    pub(super) fn answers(&self, status: StatusCode, body: impl Into<String>) {
        *self.answer.lock().unwrap() = (status, body.into());
    }

    /// How often the keys were asked for.
    pub(super) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    /// A configuration that trusts this tenant.
    pub(super) fn config(&self) -> AuthConfig {
        let mut config = private::config().auth;
        config.auth0 = Some(crate::config::Auth0Config {
            domain: "127.0.0.1".to_owned(),
            issuer: self.issuer.clone(),
            audience: AUDIENCE.to_owned(),
            jwks_url: format!("{}.well-known/jwks.json", self.issuer),
            request_timeout: std::time::Duration::from_secs(5),
        });
        config.auth0_missing = None;
        config
    }

    /// Good claims, ending in an hour.
    pub(super) fn claims(&self) -> Value {
        let now = Clock.now().timestamp();
        json!({
            "iss": self.issuer, "aud": [AUDIENCE, format!("{}userinfo", self.issuer)],
            "sub": "auth0|123", "email": "ada@example.test", "email_verified": true, "iat": now, "exp": now + 3600,
            "scope": "openid",
        })
    }

    /// A good token.
    pub(super) fn token(&self) -> String {
        key().sign(&header(), &self.claims())
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}
