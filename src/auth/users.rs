//! Rows of `users`: for whoever pays, and for who may act.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sqlx::PgConnection;

use super::{
    Owner, Revoked,
    expiring::Expiring,
    store::{self, AccountRow},
};
use crate::{
    model::{Error, Plan},
    postgres::{self, Database},
};

/// The `auth0_sub` of the development token's row; no Auth0 subject looks like it.
const DEVELOPMENT_SUB: &str = "development|dev-user";
/// How long a row's id is remembered, and how many.
const REMEMBERED_FOR: Duration = Duration::from_hours(1);
const REMEMBERED: usize = 10_000;
/// How long an account is taken to be as it was.
const FRESH_FOR: Duration = Duration::from_mins(1);
/// How long an account may serve while Postgres is away.
const SERVES_FOR: Duration = Duration::from_hours(24 * 365);
/// A look-up that takes longer counts as Postgres being away.
const LOOK_DEADLINE: Duration = Duration::from_secs(3);
/// While Postgres is away one caller asks it this often; the others do not wait for it.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Finds or makes rows of users; cheap to clone.
#[derive(Clone, Debug)]
pub struct Users(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ids: Expiring<Owner, i32>,
    /// Accounts of the tenant, by `sub`.
    accounts: Expiring<String, Seen>,
    /// Until when Postgres, which was away, is not asked.
    paused_until: Mutex<Option<Instant>>,
}

/// An account of the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) id: i32,
    pub(super) plan: Plan,
    pub(super) is_active: bool,
}

/// An account as it was; without a time it is only good while nobody can tell better.
#[derive(Clone, Copy, Debug)]
struct Seen {
    account: Account,
    at: Option<Instant>,
}

impl Default for Users {
    fn default() -> Self {
        let (ids, accounts) = (Expiring::new(REMEMBERED), Expiring::new(REMEMBERED));
        Self(Arc::new(Inner { ids, accounts, paused_until: Mutex::default() }))
    }
}

impl Users {
    /// The id of the owner's row, which is made on first sight.
    ///
    /// Runs outside a transaction, so that what is remembered cannot be rolled back.
    pub async fn resolve(
        &self,
        connection: &mut PgConnection,
        owner: &Owner,
    ) -> Result<i32, sqlx::Error> {
        if let Owner::User(id) = owner {
            return Ok(*id);
        }
        if let Some(id) = self.0.ids.get(owner) {
            return Ok(id);
        }
        let row = match owner {
            Owner::User(id) => return Ok(*id),
            Owner::Auth0 { sub, email } => {
                store::upsert_auth0_user(connection, sub, email.as_deref()).await?
            }
            // A guest pays for nothing, and has no row.
            Owner::Guest(_) => return Err(sqlx::Error::RowNotFound),
            Owner::Session(user) => {
                let sub = format!("session|{user}");
                store::upsert_auth0_user(connection, &sub, None).await?
            }
            Owner::Development => {
                store::upsert_auth0_user(connection, DEVELOPMENT_SUB, None).await?
            }
        };
        self.0.ids.insert(owner.clone(), row.id, REMEMBERED_FOR);
        Ok(row.id)
    }

    /// The account of a subject of the tenant, whose row is made on first sight. While Postgres is
    /// away it is what it was when last seen; nothing if it never was.
    pub(super) async fn account(
        &self,
        database: &Database,
        sub: &str,
        email: Option<&str>,
    ) -> Option<Account> {
        let seen = self.0.accounts.get(&sub.to_owned());
        if let Some(account) = seen.and_then(Seen::fresh) {
            return Some(account);
        }
        if self.may_ask() {
            let epoch = self.0.accounts.epoch();
            let row = looked_up(database, async |connection| {
                store::upsert_auth0_user(connection, sub, email).await
            });
            match row.await {
                Ok(row) => return Some(self.remember(epoch, sub, &row)),
                Err(error) => {
                    self.pause();
                    tracing::warn!(?error, "an account could not be looked up");
                }
            }
        }
        seen.map(|seen| seen.account)
    }

    /// The account of a subject as Postgres has it now, whatever is remembered of it; fails if
    /// nobody can tell.
    pub(super) async fn current(
        &self,
        database: &Database,
        sub: &str,
    ) -> Result<Option<Account>, Error> {
        let epoch = self.0.accounts.epoch();
        let row =
            looked_up(database, async |connection| store::find_auth0_user(connection, sub).await);
        Ok(row.await?.map(|row| self.remember(epoch, sub, &row)))
    }

    /// The account of a subject as it was when last seen, however long ago.
    pub(super) fn last_seen(&self, sub: &str) -> Option<Account> {
        self.0.accounts.get(&sub.to_owned()).map(|seen| seen.account)
    }

    /// Has what was revoked looked up again.
    pub(super) fn forget(&self, revoked: &Revoked) {
        let whose = match revoked {
            Revoked::User(id) => Some(*id),
            Revoked::Unknown => None,
            Revoked::Key(_) | Revoked::Token(_) | Revoked::Session(_) | Revoked::Share(_) => return,
        };
        self.0.accounts.change(|seen| {
            if whose.is_none_or(|id| id == seen.account.id) {
                seen.at = None;
            }
        });
    }

    /// What was looked up since that epoch of the accounts.
    fn remember(&self, epoch: u64, sub: &str, row: &AccountRow) -> Account {
        let plan = Plan::of(&row.plan);
        let account = Account { id: row.id, plan, is_active: row.is_active };
        let seen = Seen { account, at: Some(Instant::now()) };
        self.0.accounts.insert_since(epoch, sub.to_owned(), seen, SERVES_FOR);
        *self.0.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
        account
    }

    /// Whether Postgres may be asked: by everybody while it answers, else by one caller at a time.
    fn may_ask(&self) -> bool {
        let mut until = self.0.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match *until {
            None => true,
            Some(paused) if now < paused => false,
            Some(_) => {
                *until = Some(now + ASK_AGAIN);
                true
            }
        }
    }

    fn pause(&self) {
        let until = Some(Instant::now() + ASK_AGAIN);
        *self.0.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

impl Seen {
    fn fresh(self) -> Option<Account> {
        self.at.is_some_and(|at| at.elapsed() < FRESH_FOR).then_some(self.account)
    }
}

/// Runs a query on a connection of the pool, within the deadline.
async fn looked_up<T>(
    database: &Database,
    query: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Result<T, Error> {
    let work = database.run(async { query(&mut *database.pool().acquire().await?).await });
    let late = |late| Err(postgres::unavailable().because(late));
    tokio::time::timeout(LOOK_DEADLINE, work).await.unwrap_or_else(late)
}
