//! Who may call: Auth0, the static key, and the secrets of our own tokens.

use std::time::Duration;

use secrecy::SecretString;

use super::{
    reader::Reader,
    variables::{
        ALLOW_INSECURE_SESSION_AUTH, API_KEY, AUTH0_AUDIENCE, AUTH0_DOMAIN, AUTH0_ISSUER_URL,
        AUTH0_REQUEST_TIMEOUT, JWT_SECRET_KEY, JWT_SECRET_KEY_PREVIOUS, SECRET_KEY,
        SECRET_KEY_PREVIOUS,
    },
};

/// An Auth0 tenant whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct Auth0Config {
    /// Host of the tenant, without a scheme.
    pub domain: String,
    /// The `iss` claim, exact, with its trailing slash.
    pub issuer: String,
    /// What the `aud` claim must contain.
    pub audience: String,
    /// Where the signing keys are published.
    pub jwks_url: String,
    /// Deadline of a userinfo call.
    pub request_timeout: Duration,
}

/// Everything that verification needs.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// The tenant, where it is configured.
    pub auth0: Option<Auth0Config>,
    /// Which variable keeps `auth0` from being configured.
    pub auth0_missing: Option<&'static str>,
    /// The static key of the system user.
    pub api_key: Option<SecretString>,
    /// Signs the tokens of `/auth/login`.
    pub jwt_secret_key: Option<SecretString>,
    /// Its predecessor, still accepted.
    pub jwt_secret_key_previous: Option<SecretString>,
    /// What keys of the replicas among themselves are derived from.
    pub secret_key: Option<SecretString>,
    /// Its predecessor, still accepted.
    pub secret_key_previous: Option<SecretString>,
    /// Whether `/mobile-auth` hands out sessions without a password.
    pub allow_insecure_session_auth: bool,
}

impl AuthConfig {
    pub(super) fn read(reader: &mut Reader<'_>, production: bool) -> Self {
        let auth0 = auth0(reader, production);
        Self {
            auth0_missing: auth0.as_ref().err().copied(),
            auth0: auth0.ok(),
            api_key: reader.secret(&API_KEY),
            jwt_secret_key: reader.secret(&JWT_SECRET_KEY),
            jwt_secret_key_previous: reader.secret(&JWT_SECRET_KEY_PREVIOUS),
            secret_key: reader.secret(&SECRET_KEY),
            secret_key_previous: reader.secret(&SECRET_KEY_PREVIOUS),
            allow_insecure_session_auth: reader.flag(&ALLOW_INSECURE_SESSION_AUTH),
        }
    }
}

fn auth0(reader: &mut Reader<'_>, production: bool) -> Result<Auth0Config, &'static str> {
    let request_timeout = Duration::from_secs(reader.number(&AUTH0_REQUEST_TIMEOUT, 1..=120));
    let custom = issuer(reader, production);
    let domain = domain(reader).or_else(|| host_of(custom.as_deref()?));
    let domain = domain.ok_or(AUTH0_DOMAIN.name)?;
    let audience = reader.set(&AUTH0_AUDIENCE).ok_or(AUTH0_AUDIENCE.name)?.to_owned();
    let issuer = custom.unwrap_or_else(|| format!("https://{domain}/"));
    let jwks_url = format!("{issuer}.well-known/jwks.json");
    Ok(Auth0Config { domain, issuer, audience, jwks_url, request_timeout })
}

/// The custom issuer with exactly one trailing slash.
fn issuer(reader: &mut Reader<'_>, production: bool) -> Option<String> {
    let url = reader.optional_url(&AUTH0_ISSUER_URL)?;
    if production && url.starts_with("http://") {
        reader.wrong(&AUTH0_ISSUER_URL, "an https:// address in production");
    }
    Some(format!("{url}/"))
}

/// The domain as operators paste it, scheme and slashes included, brought down to the host.
fn domain(reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.set(&AUTH0_DOMAIN)?;
    let bare = text.trim_start_matches("https://").trim_start_matches("http://");
    let bare = bare.trim_end_matches('/').to_ascii_lowercase();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    if bare.is_empty() || !bare.chars().all(allowed) {
        reader.wrong(&AUTH0_DOMAIN, "a host name such as acme.eu.auth0.com");
    }
    Some(bare)
}

fn host_of(issuer: &str) -> Option<String> {
    reqwest::Url::parse(issuer).ok()?.host_str().map(str::to_owned)
}
