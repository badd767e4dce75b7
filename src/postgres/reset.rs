//! Drops what the migrations made, and nothing else.

use std::{future::Future, time::Duration};

use sqlx::{Connection, PgConnection, postgres::PgDatabaseError};

use super::{Database, migrator};

/// Everything that the migrations make; sequences and indexes go with their tables. Nothing here
/// cascades: what somebody else has built on our tables keeps them all.
const DROP: &str = "DROP VIEW IF EXISTS usage_sessions;
                    DROP TABLE IF EXISTS _sqlx_migrations, api_keys, artifacts, idempotency_keys,
                                         jobs, live_sessions, room_records, session_finals,
                                         session_gaps, session_transcripts, token_blacklist,
                                         usage_logs, users";
/// How long it may take, files of large tables included.
const DEADLINE: Duration = Duration::from_mins(5);
/// The SQLSTATE of an object that others depend on.
const DEPENDENT_OBJECTS: &str = "2BP01";

/// Why nothing was dropped.
#[derive(Debug, thiserror::Error)]
pub enum NotReset {
    /// There is usage, and nobody has said that it may go.
    #[error("usage_logs holds rows")]
    UsageIsThere,
    /// Something that is not ours stands on our tables.
    #[error("something that this service did not make depends on its tables: {0}")]
    Dependents(String),
    /// The server did not do it.
    #[error("{0}")]
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for NotReset {
    fn from(error: sqlx::Error) -> Self {
        let refused = error
            .as_database_error()
            .filter(|error| error.code().is_some_and(|state| state == DEPENDENT_OBJECTS));
        let Some(refused) = refused.and_then(|e| e.try_downcast_ref::<PgDatabaseError>()) else {
            return Self::Failed(error);
        };
        Self::Dependents(refused.detail().unwrap_or_default().replace('\n', "; "))
    }
}

/// The name by which the server knows the database.
pub async fn name(database: &Database) -> Result<String, sqlx::Error> {
    let mut connection = migrator::connect(database).await?;
    within(sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut connection)).await
}

/// Whether there is anything in `usage_logs`.
pub async fn usage_is_there(database: &Database) -> Result<bool, sqlx::Error> {
    let mut connection = migrator::connect(database).await?;
    within(has_usage(&mut connection, "")).await
}

/// Drops our tables with all their rows, in one transaction: all of them, or nothing at all.
///
/// Unless `usage_may_go`, it fails where usage is found, even usage of this very moment.
pub async fn reset(database: &Database, usage_may_go: bool) -> Result<(), NotReset> {
    let mut connection = migrator::connect(database).await?;
    let work = async {
        let mut transaction = connection.begin().await?;
        if has_usage(&mut transaction, "LOCK TABLE usage_logs").await? && !usage_may_go {
            return Err(NotReset::UsageIsThere);
        }
        sqlx::raw_sql(DROP).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    };
    let late = |_| Err(NotReset::Failed(sqlx::Error::PoolTimedOut));
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(late)
}

/// Looks for usage once `before` has run, if there is a table to look into.
async fn has_usage(
    connection: &mut PgConnection,
    before: &'static str,
) -> Result<bool, sqlx::Error> {
    let there: bool = sqlx::query_scalar("SELECT to_regclass('usage_logs') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !there {
        return Ok(false);
    }
    sqlx::raw_sql(before).execute(&mut *connection).await?;
    let look = "SELECT EXISTS (SELECT FROM usage_logs)";
    sqlx::query_scalar(look).fetch_one(connection).await
}

async fn within<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

#[cfg(test)]
mod tests {
    use sqlx::Executor;

    use super::*;
    use crate::postgres::{migrate, private};

    /// Whatever stands in the schema: relations, functions, types of their own.
    async fn objects(database: &Database) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
             UNION SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
             UNION SELECT typname::text FROM pg_type WHERE typnamespace = 'public'::regnamespace
             ORDER BY 1",
        )
        .fetch_all(database.pool())
        .await
        .unwrap()
    }

    async fn run(database: &Database, statement: &'static str) {
        database.pool().execute(statement).await.unwrap();
    }

    #[tokio::test]
    async fn nothing_that_the_migrations_make_is_forgotten_and_nothing_else_is_dropped() {
        let database = private::database().await;
        run(&database, "CREATE TABLE of_somebody_else (users text)").await;
        let made = objects(&database).await;
        let listed = DROP.split(|c: char| !c.is_alphanumeric() && c != '_');
        let listed = listed.filter(|word| word.starts_with(|c: char| !c.is_uppercase()));
        for name in listed.filter(|word| !word.is_empty()) {
            assert!(made.contains(&name.to_owned()), "{name} is not made by any migration");
        }
        reset(&database, false).await.unwrap();
        assert_eq!(objects(&database).await, ["_of_somebody_else", "of_somebody_else"]);
        // What was never there is dropped as well, and the schema comes back.
        reset(&database, false).await.unwrap();
        migrate(&database).await.unwrap();
        assert_eq!(objects(&database).await, made);
    }

    #[tokio::test]
    async fn what_somebody_built_on_a_table_keeps_them_all() {
        let database = private::database().await;
        run(&database, "CREATE VIEW report AS SELECT count(*) FROM jobs").await;
        let made = objects(&database).await;
        let error = reset(&database, true).await.unwrap_err().to_string();
        let cause = "something that this service did not make depends on its tables: \
                     view report depends on table jobs";
        assert_eq!(error, cause);
        assert_eq!(objects(&database).await, made);
    }

    #[tokio::test]
    async fn usage_goes_only_when_it_may() {
        let database = private::database().await;
        let usage = "INSERT INTO usage_logs (user_id, service, endpoint) VALUES (0, 's', '/e')";
        assert!(!usage_is_there(&database).await.unwrap());
        run(&database, usage).await;
        assert!(usage_is_there(&database).await.unwrap());
        let refused = reset(&database, false).await;
        assert!(matches!(refused, Err(NotReset::UsageIsThere)), "{refused:?}");
        assert!(usage_is_there(&database).await.unwrap());
        reset(&database, true).await.unwrap();
        assert!(!usage_is_there(&database).await.unwrap());
        let address = database.options.get_database().unwrap().to_owned();
        assert_eq!(name(&database).await.unwrap(), address);
    }
}
