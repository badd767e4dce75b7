//! The Auth0 tenant: its tokens, the accounts behind them, and what it tells of its users.

use super::{
    AuthType, Backing, Credential, Owner, Principal, Revoked, Users,
    jwks::{Jwks, Source},
    jwt::{Auth0, VerifiedToken},
    userinfo::{self, Profile, Userinfo},
};
use crate::{
    config::{Auth0Config, AuthConfig},
    model::{Error, ErrorKind, Plan},
    postgres::Database,
    telemetry::log_patterns,
};

/// Verifies the callers of one tenant, where one is configured.
#[derive(Debug)]
pub(super) struct Tenant {
    there: Option<There>,
    /// The variable without which there is none.
    missing: &'static str,
    users: Users,
    database: Database,
}

#[derive(Debug)]
struct There {
    auth0: Auth0,
    userinfo: Userinfo,
}

/// What tells a service without a tenant from one with a fault.
#[derive(Debug, thiserror::Error)]
#[error("no tenant is configured")]
struct Unconfigured;

/// Whether a token was not verified for the one reason that no tenant is configured.
pub fn is_unconfigured(error: &Error) -> bool {
    error.source.as_ref().is_some_and(|source| source.is::<Unconfigured>())
}

impl Tenant {
    /// Starts to fetch the tenant's keys. Fails if no TLS client can be made.
    pub(super) fn new(config: &AuthConfig, backing: &Backing) -> Result<Self, reqwest::Error> {
        let there = config.auth0.as_ref().map(|auth0| There::new(auth0, backing)).transpose()?;
        Ok(Self {
            there,
            missing: config.auth0_missing.unwrap_or_default(),
            users: backing.users.clone(),
            database: backing.database.clone(),
        })
    }

    fn there(&self) -> Result<&There, Error> {
        let text = || format!("{} environment variable not set", self.missing);
        let missing = || Error::new(ErrorKind::Internal, text()).because(Unconfigured);
        self.there.as_ref().ok_or_else(missing)
    }

    /// Verifies a token and finds its account.
    pub(super) async fn authenticate(
        &self,
        token: &str,
    ) -> Result<(VerifiedToken, Principal), Error> {
        let verified = async {
            let token = self.there()?.auth0.verify(token).await?;
            log_patterns::token_verified(&token.sub);
            let principal = self.principal(&token).await?;
            Ok((token, principal))
        };
        let verified: Result<_, Error> = verified.await;
        if let Err(error) = &verified {
            log_patterns::authentication_failed(&error.detail);
        }
        verified
    }

    /// Who the token's subject is here. While Postgres is away somebody unknown may pass: the
    /// tenant vouches for them, and their row is made when it is back.
    async fn principal(&self, token: &VerifiedToken) -> Result<Principal, Error> {
        let (sub, email) = (token.sub.clone(), token.email.clone());
        let account = self.users.account(&self.database, &sub, email.as_deref()).await;
        let (owner, plan) = match account {
            Some(account) if !account.is_active => return Err(deactivated()),
            Some(account) => (Owner::User(account.id), account.plan),
            None => (Owner::Auth0 { sub: sub.clone(), email }, Plan::Free),
        };
        Ok(Principal {
            subject: sub,
            owner,
            auth_type: AuthType::Auth0,
            plan,
            expires_at: Some(token.expires_at),
            credential: Credential::Auth0,
        })
    }

    /// Whether the account of a caller is still active; one that nobody had seen may be new.
    pub(super) async fn recheck(&self, principal: &Principal) -> Result<(), Error> {
        let (id, sub) = match &principal.owner {
            Owner::User(id) => (Some(*id), &principal.subject),
            Owner::Auth0 { sub, .. } => (None, sub),
            Owner::Session(_) | Owner::Development | Owner::Guest(_) => return Ok(()),
        };
        let holds = match (self.users.current(&self.database, sub).await?, id) {
            (Some(account), Some(id)) => account.id == id && account.is_active,
            (Some(account), None) => account.is_active,
            (None, id) => id.is_none(),
        };
        if holds { Ok(()) } else { Err(deactivated()) }
    }

    /// Whether a caller is good though Postgres be away: unless last seen as disabled.
    pub(super) fn vouches(&self, principal: &Principal) -> bool {
        self.users.last_seen(&principal.subject).is_none_or(|account| account.is_active)
    }

    pub(super) fn forget(&self, revoked: &Revoked) {
        self.users.forget(revoked);
    }

    /// What the tenant tells of the user behind a verified token.
    pub(super) async fn userinfo(
        &self,
        token: &str,
        verified: &VerifiedToken,
    ) -> Result<Profile, Error> {
        self.there()?.userinfo.of(token, verified.expires_at).await
    }
}

impl There {
    fn new(config: &Auth0Config, backing: &Backing) -> Result<Self, reqwest::Error> {
        let none = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().redirect(none).build()?;
        let jwks = Jwks::start(Source {
            issuer: config.issuer.clone(),
            url: config.jwks_url.clone(),
            http: http.clone(),
            redis: backing.redis.clone(),
            secrets: backing.secrets.clone(),
            metrics: backing.metrics.clone(),
            shutdown: backing.shutdown.clone(),
        });
        let userinfo = Userinfo::new(userinfo::Source {
            url: format!("{}userinfo", config.issuer),
            deadline: config.request_timeout,
            http,
            redis: backing.redis.clone(),
            secrets: backing.secrets.clone(),
        });
        Ok(Self { auth0: Auth0::new(config, jwks), userinfo })
    }
}

fn deactivated() -> Error {
    Error::new(ErrorKind::Unauthenticated, "Account deactivated")
}
