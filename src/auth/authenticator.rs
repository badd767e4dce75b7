//! One door for every form of credential.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::{
    Credential, Revocations, Revoked, Secrets, Ticket, Users, VerifiedToken,
    api_key::{ApiKeys, PREFIX},
    digest,
    login_session::{self, LoginSessions},
    logins::Logins,
    passwords::Passwords,
    people::People,
    principal::{AuthType, Owner, Principal},
    refusal::Refusal,
    sweep,
    tenant::Tenant,
    ticket::Tickets,
    userinfo::Profile,
};
use crate::{
    config::{AuthConfig, Environment},
    lifecycle::Shutdown,
    model::{Error, ErrorKind, Plan},
    postgres::Database,
    redis::Redis,
    telemetry::{Metrics, log_patterns, metrics::label},
};

/// Verifies credentials; cheap to clone.
#[derive(Clone, Debug)]
pub struct Authenticator(Arc<Inner>);

/// What verification stands on.
#[derive(Clone, Debug)]
pub struct Backing {
    /// Users and keys.
    pub database: Database,
    /// What replicas share.
    pub redis: Redis,
    /// What seals values in Redis.
    pub secrets: Secrets,
    /// Rows of users, which billing knows too.
    pub users: Users,
    /// Where it is counted.
    pub metrics: Metrics,
    /// Who stops it.
    pub shutdown: Shutdown,
}

#[derive(Debug)]
struct Inner {
    tenant: Tenant,
    keys: Arc<ApiKeys>,
    logins: Arc<Logins>,
    passwords: Passwords,
    people: People,
    users: Users,
    database: Database,
    static_key: Option<[u8; 32]>,
    development: Option<DevelopmentToken>,
    /// Where sessions without a password are allowed.
    sessions: Option<LoginSessions>,
    tickets: Tickets,
    revocations: Revocations,
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
        backing: Backing,
    ) -> Result<Self, reqwest::Error> {
        let tenant = Tenant::new(config, &backing)?;
        let Backing { database, redis, secrets, users, metrics, shutdown, .. } = backing;
        let development = (environment == Environment::Development).then(DevelopmentToken::new);
        let sessions = || LoginSessions::new(redis.clone(), secrets.clone());
        sweep::start(database.clone(), redis.clone(), &shutdown);
        let revocations = Revocations::new(redis.clone(), metrics.clone(), shutdown.clone());
        let told = revocations.clone();
        let keys = ApiKeys::new(database.clone(), told.clone(), metrics.clone(), &shutdown);
        let this = Self(Arc::new(Inner {
            tenant,
            keys: Arc::new(keys),
            logins: Arc::new(Logins::new(config, database.clone(), told)),
            passwords: Passwords::new(metrics.clone()),
            people: People::new(database.clone()),
            users,
            database,
            static_key: config.api_key.as_ref().map(|key| digest::bytes(key.expose_secret())),
            development,
            sessions: config.allow_insecure_session_auth.then(sessions),
            tickets: Tickets::new(redis.clone(), secrets),
            revocations,
            metrics,
        }));
        let hearing = this.clone();
        this.0.revocations.listen(move |revoked| hearing.forget(revoked));
        Ok(this)
    }

    /// Who tells and hears what holds no more.
    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// Login sessions without a password, where they are allowed.
    pub fn sessions(&self) -> Option<&LoginSessions> {
        self.0.sessions.as_ref()
    }

    /// Ends the login session of that token on every replica; false if there was none.
    ///
    /// Fails with `DependencyUnavailable` while Redis is away.
    pub async fn end_session(&self, token: &str) -> Result<bool, Error> {
        let (this, token) = (self.clone(), token.to_owned());
        let ended = async move {
            let Some(sessions) = this.sessions() else { return Ok(false) };
            let Some(revoked) = sessions.end(&token).await? else { return Ok(false) };
            this.revoke(&revoked).await;
            Ok(true)
        };
        self.0.revocations.see_through(ended).await
    }

    /// A ticket for a socket of that caller, good once and for a moment.
    ///
    /// Fails with `DependencyUnavailable` while Redis is away.
    pub async fn issue_ticket(&self, principal: &Principal) -> Result<Ticket, Error> {
        self.0.tickets.issue(principal).await
    }

    /// Who was given that ticket, if what they were verified by still holds; while Postgres is away,
    /// if the credential itself would be accepted.
    ///
    /// Fails as [`Self::authenticate`] does, and with `DependencyUnavailable` while Redis is away.
    pub async fn redeem_ticket(&self, ticket: &SecretString) -> Result<Principal, Error> {
        let redeemed = async {
            let principal = self.0.tickets.take(ticket).await?;
            match self.recheck(&principal).await {
                Err(error) if !(unclear(&error) && self.0.remembers(&principal)) => Err(error),
                _ => Ok(principal),
            }
        };
        self.0.counted_as("ticket", redeemed.await)
    }

    /// Tells every replica that something holds no more, and forgets it here at once.
    pub async fn revoke(&self, revoked: &Revoked) {
        self.forget(revoked);
        self.0.revocations.announce(revoked).await;
    }

    fn forget(&self, revoked: &Revoked) {
        self.0.keys.forget(revoked);
        self.0.tenant.forget(revoked);
        self.0.logins.forget(revoked);
    }

    /// Tokens of `/auth/login`.
    pub fn local(&self) -> &Arc<Logins> {
        &self.0.logins
    }

    /// Passwords.
    pub fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// API keys of users.
    pub fn keys(&self) -> &Arc<ApiKeys> {
        &self.0.keys
    }

    /// Users.
    pub fn people(&self) -> &People {
        &self.0.people
    }

    /// The row of `users` that pays for this caller, made on first sight.
    pub async fn user_id(&self, principal: &Principal) -> Result<i32, Error> {
        let Inner { database, users, .. } = &*self.0;
        let resolved = async {
            let mut connection = database.pool().acquire().await?;
            users.resolve(&mut connection, &principal.owner).await
        };
        match &principal.owner {
            Owner::User(id) => Ok(*id),
            _ => database.run(resolved).await,
        }
    }

    /// Until when what a running socket was opened with holds, which may have been moved.
    ///
    /// Fails with `Unauthenticated` if it does not, and with another kind if nobody can tell now.
    pub async fn recheck(&self, principal: &Principal) -> Result<Option<DateTime<Utc>>, Error> {
        match &principal.credential {
            Credential::ApiKey { hash, .. } => return self.0.keys.recheck(hash).await,
            Credential::Auth0 => self.0.tenant.recheck(principal).await?,
            Credential::Session(digest) => match &self.0.sessions {
                Some(sessions) => sessions.recheck(digest).await?,
                None => return Err(not_enough_segments()),
            },
            Credential::Local { jti, family } => {
                if let Owner::User(id) = principal.owner {
                    self.0.logins.recheck(id, jti, family).await?;
                }
            }
            _ => {}
        }
        Ok(principal.expires_at)
    }

    /// The token that this process made up, in development only.
    pub fn development_token(&self) -> Option<&str> {
        self.0.development.as_ref().map(|token| token.text.expose_secret())
    }

    /// Who presents this credential: an Auth0 token, a token of `/auth/login`, an API key, the
    /// static key, a login session, or the development token.
    ///
    /// Fails with `Unauthenticated` and the contract's text, with `DatabaseUnavailable` where
    /// Postgres is needed and away, and with `Internal` where Auth0 is needed and not configured.
    pub async fn authenticate(&self, token: &str) -> Result<Principal, Error> {
        let inner = &*self.0;
        let sum = digest::bytes(token);
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
        if token.starts_with(login_session::PREFIX) {
            return inner.counted(AuthType::Session, inner.session_user(token).await);
        }
        if !token.contains('.') {
            log_patterns::invalid_api_key();
            return inner.counted(AuthType::Legacy, Err(not_enough_segments()));
        }
        match inner.login(token).await {
            // It is no token of ours: then it may be one of the tenant.
            None => self.authenticate_tenant(token).await.map(|(_, principal)| principal),
            Some(login) => inner.counted(AuthType::Local, login),
        }
    }

    /// Verifies a token of Auth0 and nothing else: all its claims, and whose it is.
    ///
    /// Fails like [`Self::authenticate`]; that Postgres is away stops nobody.
    pub async fn authenticate_tenant(
        &self,
        token: &str,
    ) -> Result<(VerifiedToken, Principal), Error> {
        self.0.counted(AuthType::Auth0, self.0.tenant.authenticate(token).await)
    }

    /// What the tenant tells of the user behind a token that has been verified.
    ///
    /// Fails with `Unauthenticated` and the contract's text.
    pub async fn userinfo(&self, token: &str, verified: &VerifiedToken) -> Result<Profile, Error> {
        self.0.tenant.userinfo(token, verified).await
    }
}

impl Inner {
    /// Whether what a caller was verified by would be accepted while Postgres is away.
    fn remembers(&self, principal: &Principal) -> bool {
        match &principal.credential {
            Credential::ApiKey { hash, .. } => self.keys.remembers(hash),
            Credential::Local { jti, family } => self.logins.remembers(principal, jti, family),
            Credential::Auth0 => self.tenant.vouches(principal),
            _ => false,
        }
    }

    async fn session_user(&self, token: &str) -> Result<Principal, Error> {
        let Some(sessions) = &self.sessions else {
            log_patterns::session_fallback_disabled();
            return Err(not_enough_segments());
        };
        let verified = sessions.verify(token).await;
        if let Err(error) = &verified {
            log_patterns::authentication_failed(&error.detail);
        }
        verified
    }

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

    /// Who presents a token of `/auth/login`; nothing if it is none.
    async fn login(&self, token: &str) -> Option<Result<Principal, Error>> {
        match self.logins.verify(token).await {
            Err(Refusal::Foreign(_)) => None,
            Err(Refusal::Unavailable(error)) => Some(Err(error)),
            Err(refusal) => {
                log_patterns::local_token_refused(refusal.text());
                Some(Err(refusal.into_error()))
            }
            Ok(principal) => {
                log_patterns::local_token_accepted(&principal.subject);
                Some(Ok(principal))
            }
        }
    }

    fn counted<T>(&self, kind: AuthType, result: Result<T, Error>) -> Result<T, Error> {
        self.counted_as(kind.label(), result)
    }

    fn counted_as<T>(&self, kind: &'static str, result: Result<T, Error>) -> Result<T, Error> {
        let outcome = result.as_ref().map_or_else(|error| error.kind.code(), |_| "ok");
        let labels = [label("type", kind), label("outcome", outcome)];
        self.metrics.authentications.add(1, &labels);
        result
    }
}

impl DevelopmentToken {
    fn new() -> Self {
        let text = format!("dev_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
        Self { digest: digest::bytes(&text), text: SecretString::from(text) }
    }
}

/// Whether nobody can tell, since Postgres is away.
fn unclear(error: &Error) -> bool {
    error.kind == ErrorKind::DatabaseUnavailable
}

fn not_enough_segments() -> Error {
    Error::new(ErrorKind::Unauthenticated, "Invalid token: Not enough segments")
}

fn system_user() -> Principal {
    Principal {
        subject: "0".to_owned(),
        owner: Owner::User(0),
        auth_type: AuthType::Legacy,
        plan: Plan::Legacy,
        expires_at: None,
        credential: Credential::Static,
    }
}

fn development() -> Principal {
    Principal {
        subject: "dev-user".to_owned(),
        owner: Owner::Development,
        auth_type: AuthType::Development,
        plan: Plan::Legacy,
        expires_at: None,
        credential: Credential::Development,
    }
}
