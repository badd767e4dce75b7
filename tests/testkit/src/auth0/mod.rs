//! A fake Auth0: discovery, a key set that can rotate or fail, userinfo, and tokens of any kind.

pub(crate) mod key;
mod token;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use key::Key;
pub use token::{Algorithm, Claims};

use crate::tasks::Tasks;
use crate::wait::lock;

/// How the key set answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jwks {
    /// As it should.
    Healthy,
    /// With a set without keys.
    Empty,
    /// With an error page and status 200.
    Html,
    /// With that status and no body.
    Status(u16),
    /// With that many bytes of JSON.
    Huge(usize),
    /// Not at all.
    Hang,
    /// Late.
    Slow(Duration),
}

/// How `/userinfo` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Userinfo {
    /// As it should.
    Healthy,
    /// With status 429 and that many seconds to wait.
    Limited(u64),
    /// With an error page and status 200.
    Html,
    /// With that many bytes of JSON.
    Huge(usize),
    /// Not at all.
    Hang,
}

#[derive(Debug)]
struct Tenant {
    issuer: String,
    keys: Mutex<Keys>,
    jwks: Mutex<Jwks>,
    userinfo: Mutex<Userinfo>,
    counts: Mutex<HashMap<&'static str, u64>>,
    profiles: Mutex<HashMap<String, Value>>,
}

/// The current key, the next one (published already, as the real service does), and old ones.
#[derive(Debug)]
struct Keys {
    current: Key,
    next: Key,
    previous: Vec<Key>,
    /// Never published: for forgeries.
    foreign: Key,
}

/// A running tenant; dropping it ends it.
#[derive(Debug)]
pub struct Auth0 {
    tenant: Arc<Tenant>,
    _tasks: Tasks,
}

impl Auth0 {
    /// Makes keys and listens on a free port of loopback.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let issuer = format!("http://{}/", listener.local_addr()?);
        let keys = Keys {
            current: Key::generate()?,
            next: Key::generate()?,
            previous: Vec::new(),
            foreign: Key::generate()?,
        };
        let tenant = Arc::new(Tenant {
            issuer,
            keys: Mutex::new(keys),
            jwks: Mutex::new(Jwks::Healthy),
            userinfo: Mutex::new(Userinfo::Healthy),
            counts: Mutex::default(),
            profiles: Mutex::default(),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/.well-known/jwks.json", get(jwks))
            .route("/userinfo", get(userinfo).post(userinfo))
            .with_state(Arc::clone(&tenant));
        let tasks = Tasks::new();
        // Serving only ends with the task.
        tasks.spawner().spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { tenant, _tasks: tasks })
    }

    /// The issuer, with the trailing slash that Auth0 has.
    pub fn issuer(&self) -> String {
        self.tenant.issuer.clone()
    }

    /// Claims of a user of `audience` whose token is good for an hour.
    pub fn claims(&self, subject: &str, audience: &str) -> Claims {
        Claims::new(&self.tenant.issuer, subject, audience)
    }

    /// Signs a token.
    pub fn mint(&self, claims: &Claims) -> anyhow::Result<String> {
        let keys = lock(&self.tenant.keys);
        let key = if claims.foreign_key { &keys.foreign } else { &keys.current };
        token::sign(claims, key)
    }

    /// A good token of a user of `audience`.
    pub fn token(&self, subject: &str, audience: &str) -> anyhow::Result<String> {
        self.mint(&self.claims(subject, audience))
    }

    /// Makes the next key the current one; the old one stays published until [`Self::revoke`].
    pub fn rotate(&self) -> anyhow::Result<()> {
        let fresh = Key::generate()?;
        let mut keys = lock(&self.tenant.keys);
        let next = std::mem::replace(&mut keys.next, fresh);
        let old = std::mem::replace(&mut keys.current, next);
        keys.previous.push(old);
        Ok(())
    }

    /// Replaces every key at once by ones that were never published before.
    pub fn replace_keys(&self) -> anyhow::Result<()> {
        let (current, next) = (Key::generate()?, Key::generate()?);
        let mut keys = lock(&self.tenant.keys);
        keys.current = current;
        keys.next = next;
        keys.previous.clear();
        Ok(())
    }

    /// Publishes old keys no longer.
    pub fn revoke(&self) {
        lock(&self.tenant.keys).previous.clear();
    }

    /// The current key's id.
    pub fn current_kid(&self) -> String {
        lock(&self.tenant.keys).current.kid.clone()
    }

    /// How the key set answers from now on.
    pub fn set_jwks(&self, jwks: Jwks) {
        *lock(&self.tenant.jwks) = jwks;
    }

    /// How `/userinfo` answers from now on.
    pub fn set_userinfo(&self, userinfo: Userinfo) {
        *lock(&self.tenant.userinfo) = userinfo;
    }

    /// What `/userinfo` tells of a subject; others get a profile made of their subject.
    pub fn set_profile(&self, subject: &str, profile: Value) {
        lock(&self.tenant.profiles).insert(subject.to_owned(), profile);
    }

    /// How often the key set was fetched.
    pub fn jwks_fetches(&self) -> u64 {
        self.count("jwks")
    }

    /// How often the discovery document was fetched.
    pub fn configuration_fetches(&self) -> u64 {
        self.count("configuration")
    }

    /// How often `/userinfo` was asked.
    pub fn userinfo_fetches(&self) -> u64 {
        self.count("userinfo")
    }

    fn count(&self, what: &'static str) -> u64 {
        lock(&self.tenant.counts).get(what).copied().unwrap_or(0)
    }
}

impl Tenant {
    fn note(&self, what: &'static str) {
        *lock(&self.counts).entry(what).or_default() += 1;
    }

    fn key_set(&self) -> Value {
        let keys = lock(&self.keys);
        let published = [&keys.current, &keys.next].into_iter().chain(&keys.previous);
        json!({ "keys": published.map(Key::to_jwk).collect::<Vec<_>>() })
    }
}

async fn configuration(State(tenant): State<Arc<Tenant>>) -> Json<Value> {
    tenant.note("configuration");
    let issuer = &tenant.issuer;
    Json(json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}.well-known/jwks.json"),
        "userinfo_endpoint": format!("{issuer}userinfo"),
        "authorization_endpoint": format!("{issuer}authorize"),
        "token_endpoint": format!("{issuer}oauth/token"),
        "id_token_signing_alg_values_supported": ["HS256", "RS256"],
    }))
}

async fn jwks(State(tenant): State<Arc<Tenant>>) -> Response {
    tenant.note("jwks");
    let mode = lock(&tenant.jwks).clone();
    match mode {
        Jwks::Healthy => Json(tenant.key_set()).into_response(),
        Jwks::Empty => Json(json!({ "keys": [] })).into_response(),
        Jwks::Html => Html("<html><body>Service unavailable</body></html>").into_response(),
        Jwks::Status(status) => {
            StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY).into_response()
        }
        Jwks::Huge(bytes) => {
            let json = format!(r#"{{"keys":[],"padding":"{}"}}"#, "x".repeat(bytes));
            ([(header::CONTENT_TYPE, "application/json")], json).into_response()
        }
        Jwks::Hang => std::future::pending().await,
        Jwks::Slow(delay) => {
            tokio::time::sleep(delay).await;
            Json(tenant.key_set()).into_response()
        }
    }
}

async fn userinfo(State(tenant): State<Arc<Tenant>>, headers: HeaderMap) -> Response {
    tenant.note("userinfo");
    let mode = lock(&tenant.userinfo).clone();
    match mode {
        Userinfo::Healthy => told(&tenant, &headers),
        Userinfo::Limited(seconds) => {
            let error = json!({ "error": "too_many_requests", "error_description": "slow down" });
            let wait = [(header::RETRY_AFTER, seconds.to_string())];
            (StatusCode::TOO_MANY_REQUESTS, wait, Json(error)).into_response()
        }
        Userinfo::Html => Html("<html><body>Service unavailable</body></html>").into_response(),
        Userinfo::Huge(bytes) => Json(json!({ "padding": "x".repeat(bytes) })).into_response(),
        Userinfo::Hang => std::future::pending().await,
    }
}

/// What a healthy tenant says.
fn told(tenant: &Tenant, headers: &HeaderMap) -> Response {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let keys: Vec<_> = {
        let keys = lock(&tenant.keys);
        [&keys.current]
            .into_iter()
            .chain(&keys.previous)
            .map(|key| key.public_der.clone())
            .collect()
    };
    let subject = token.and_then(|token| token::verified_subject(token, &keys, &tenant.issuer));
    // A machine has no profile.
    let Some(subject) = subject.filter(|subject| !subject.ends_with("@clients")) else {
        return (StatusCode::UNAUTHORIZED, "Unauthorized").into_response();
    };
    let profile = lock(&tenant.profiles).get(&subject).cloned();
    Json(profile.unwrap_or_else(|| made_up_profile(&subject))).into_response()
}

fn made_up_profile(subject: &str) -> Value {
    let name = subject.rsplit('|').next().unwrap_or(subject);
    json!({
        "sub": subject,
        "nickname": name,
        "name": name,
        "picture": "",
        "updated_at": "2026-01-01T00:00:00.000Z",
        "email": format!("{name}@example.com"),
        "email_verified": true,
    })
}

#[cfg(test)]
mod tests;
