//! Logins: what descends from one right password, how it is renewed, and how it ends.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{
    expiring::Expiring,
    local_token::{ACCESS_LIFE, LocalToken, LocalTokens, REFRESH_LIFE, TokenKind},
    principal::{AuthType, Credential, Owner, Principal},
    refusal::Refusal,
    revocations::{Revocations, Revoked},
    store::tokens as store,
};
use crate::{
    config::AuthConfig,
    model::{Clock, Error, Plan},
    postgres::Database,
    telemetry::log_patterns,
};

/// A revoked token dies within this time, should its announcement be lost.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);
const REMEMBERED: usize = 10_000;
/// How far the clocks of a replica and of Postgres may be apart.
const CLOCKS_APART: TimeDelta = TimeDelta::seconds(60);
/// The `token_type` of a refresh token that was used, and of a whole login.
const ROTATED: &str = "rotated";
const FAMILY: &str = "family";

/// Issues, verifies, rotates and revokes the tokens of `/auth/login`.
#[derive(Debug)]
pub struct Logins {
    tokens: LocalTokens,
    database: Database,
    revocations: Revocations,
    good: Expiring<Login, Plan>,
}

/// One token and the login that it descends from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Login {
    user_id: i32,
    jti: String,
    family: String,
}

/// What a login is given, or given anew.
#[derive(Debug, Serialize)]
pub struct Issued {
    /// Good for calling.
    pub access_token: String,
    /// Good for one refresh.
    pub refresh_token: String,
    /// Seconds until the access token ends.
    pub expires_in: i64,
}

impl Logins {
    pub(super) fn new(config: &AuthConfig, database: Database, revocations: Revocations) -> Self {
        let previous = config.jwt_secret_key_previous.as_ref();
        let tokens = LocalTokens::new(config.jwt_secret_key.as_ref(), previous);
        Self { tokens, database, revocations, good: Expiring::new(REMEMBERED) }
    }

    /// The first tokens of a new login.
    pub fn issue(&self, user_id: i32) -> Result<Issued, Error> {
        self.descend(user_id, &Uuid::new_v4().to_string())
    }

    fn descend(&self, user_id: i32, family: &str) -> Result<Issued, Error> {
        Ok(Issued {
            access_token: self.tokens.mint(TokenKind::Access, user_id, family)?,
            refresh_token: self.tokens.mint(TokenKind::Refresh, user_id, family)?,
            expires_in: ACCESS_LIFE.num_seconds(),
        })
    }

    /// Who presents this access token; one that was good within a minute needs no Postgres.
    pub(super) async fn verify(&self, token: &str) -> Result<Principal, Refusal> {
        let token = self.tokens.read(token)?;
        if token.kind != TokenKind::Access {
            return Err(Refusal::Invalid("Only non-refresh tokens are allowed".to_owned()));
        }
        let (login, expires_at) = (Login::of(&token), token.expires_at);
        let plan = match self.good.get(&login) {
            Some(plan) => plan,
            None => self.look_up(&login, Some(token.issued_at)).await?,
        };
        Ok(Principal {
            subject: login.user_id.to_string(),
            owner: Owner::User(login.user_id),
            auth_type: AuthType::Local,
            plan,
            expires_at: Some(expires_at),
            credential: Credential::Local { jti: login.jti, family: login.family },
        })
    }

    /// Asks Postgres whether a token that was good still is.
    pub(super) async fn recheck(&self, user_id: i32, jti: &str, family: &str) -> Result<(), Error> {
        let login = Login { user_id, jti: jti.to_owned(), family: family.to_owned() };
        self.look_up(&login, None).await.map(drop).map_err(Refusal::into_error)
    }

    /// Whether a login is good though Postgres be away.
    pub(super) fn remembers(&self, principal: &Principal, jti: &str, family: &str) -> bool {
        let Owner::User(user_id) = principal.owner else { return false };
        let login = Login { user_id, jti: jti.to_owned(), family: family.to_owned() };
        self.good.get(&login).is_some()
    }

    /// Forgets what was revoked, so that the next look goes to the database.
    pub(super) fn forget(&self, revoked: &Revoked) {
        self.good.retain(|login, _| match revoked {
            Revoked::Token(id) => login.jti != *id && login.family != *id,
            Revoked::User(id) => login.user_id != *id,
            Revoked::Key(_) | Revoked::Session(_) | Revoked::Share(_) => true,
            Revoked::Unknown => false,
        });
    }

    async fn look_up(
        &self,
        login: &Login,
        issued_at: Option<DateTime<Utc>>,
    ) -> Result<Plan, Refusal> {
        let epoch = self.good.epoch();
        match self.find(login, issued_at).await? {
            Some(row) if !row.token_revoked && !row.family_revoked => {
                let plan = Plan::of(&row.plan);
                self.good.insert_since(epoch, login.clone(), plan, REMEMBERED_FOR);
                Ok(plan)
            }
            _ => {
                if self.good.get(login).is_some() {
                    self.good.retain(|known, _| known != login);
                }
                Err(Refusal::Revoked)
            }
        }
    }

    /// What Postgres has of a login. Ids may be given anew, as by a database that is made anew: a
    /// token that is older than the row is of somebody else.
    async fn find(
        &self,
        login: &Login,
        issued_at: Option<DateTime<Utc>>,
    ) -> Result<Option<store::LoginRow>, Error> {
        let Login { user_id, jti, family } = login;
        let by = issued_at.map(|at| (at + CLOCKS_APART).naive_utc());
        let pool = self.database.pool();
        self.database.run(store::find_login(pool, *user_id, by, jti, family)).await
    }

    /// Gives new tokens for a refresh token, which is good once. Where it comes again, somebody
    /// else has it too, and the whole login ends.
    pub async fn refresh(self: &Arc<Self>, token: &str) -> Result<Issued, Refusal> {
        let token = self.tokens.read(token)?;
        if token.kind != TokenKind::Refresh {
            return Err(Refusal::Invalid("Only refresh tokens are allowed".to_owned()));
        }
        match self.find(&Login::of(&token), Some(token.issued_at)).await? {
            Some(row) if !row.family_revoked => {}
            _ => return Err(Refusal::Revoked),
        }
        if !self.take(&token, ROTATED).await? {
            let this = Arc::clone(self);
            let ended = async move { this.end_if_rotated(&token).await };
            self.revocations.see_through(ended).await?;
            return Err(Refusal::Revoked);
        }
        Ok(self.descend(token.user_id, &token.family)?)
    }

    /// Takes back the one token that is shown, and tells every replica; of which kind it was.
    pub async fn log_out(self: &Arc<Self>, token: &str) -> Result<TokenKind, Refusal> {
        let token = self.tokens.read(token)?;
        let row = self.find(&Login::of(&token), Some(token.issued_at)).await?;
        if row.is_some_and(|row| row.family_revoked) {
            return Err(Refusal::Revoked);
        }
        let this = Arc::clone(self);
        self.revocations.see_through(async move { this.end(token).await }).await
    }

    async fn end(&self, token: LocalToken) -> Result<TokenKind, Refusal> {
        if !self.take(&token, token.kind.as_str()).await? {
            self.end_if_rotated(&token).await?;
            return Err(Refusal::Revoked);
        }
        log_patterns::logged_out(token.user_id, token.kind.as_str());
        self.announce(Revoked::Token(token.jti)).await;
        Ok(token.kind)
    }

    /// Writes that the token is used up; whether it was not so before.
    async fn take(&self, token: &LocalToken, kind: &str) -> Result<bool, Error> {
        let until = token.expires_at.naive_utc();
        let written =
            store::insert_revoked(self.database.pool(), &token.jti, kind, token.user_id, until);
        self.database.run(written).await
    }

    /// Ends the whole login where a refresh token comes that was used before; one that its owner
    /// logged out with has no descendants of its own.
    async fn end_if_rotated(&self, token: &LocalToken) -> Result<(), Error> {
        let pool = self.database.pool();
        let kind = self.database.run(store::find_revoked_type(pool, &token.jti)).await?;
        if kind.as_deref() != Some(ROTATED) {
            return Ok(());
        }
        log_patterns::refresh_token_reused(token.user_id);
        let until = (Clock.now() + REFRESH_LIFE).naive_utc();
        let written = store::insert_revoked(pool, &token.family, FAMILY, token.user_id, until);
        self.database.run(written).await?;
        self.announce(Revoked::Token(token.family.clone())).await;
        Ok(())
    }

    async fn announce(&self, revoked: Revoked) {
        self.forget(&revoked);
        self.revocations.announce(&revoked).await;
    }
}

impl Login {
    fn of(token: &LocalToken) -> Self {
        let (jti, family) = (token.jti.clone(), token.family.clone());
        Self { user_id: token.user_id, jti, family }
    }
}
