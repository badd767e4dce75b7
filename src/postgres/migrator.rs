//! Brings the schema up to date, at boot or whenever the server comes back.

use std::time::Duration;

use sqlx::{
    Connection, PgConnection,
    migrate::{MigrateError, Migrator},
};
use tokio::task::JoinHandle;

use super::{
    Database,
    error::{Cause, migration_cause},
};
use crate::{backoff::Backoff, lifecycle::Shutdown, telemetry::log_patterns};

/// How long connecting and one statement's locks may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Why the schema can never be brought up to date without somebody's help.
#[derive(Debug, thiserror::Error)]
#[error("Database initialization failed: {0}")]
pub struct Fatal(String);

fn migrations() -> Migrator {
    let mut migrator = sqlx::migrate!("./migrations");
    // An older binary must start on a newer schema, or a roll-back would be impossible.
    migrator.set_ignore_missing(true);
    migrator
}

/// Runs the migrations once, on a connection of their own without a statement time-out.
pub async fn migrate(database: &Database) -> Result<(), MigrateError> {
    let connecting = PgConnection::connect_with(&database.options);
    let mut connection = tokio::time::timeout(CONNECT_DEADLINE, connecting)
        .await
        .map_err(|_| MigrateError::Execute(sqlx::Error::PoolTimedOut))??;
    let session = "SET TimeZone = 'UTC'; SET statement_timeout = 0; SET lock_timeout = '10s'";
    sqlx::raw_sql(session).execute(&mut connection).await?;
    let result = migrations().run_direct(None, &mut connection, false).await;
    // The result is what counts; a connection that cannot say goodbye is closed by the drop.
    let _closed = connection.close().await;
    result
}

impl Database {
    /// Keeps trying until the schema is there; ends at once when that is impossible.
    ///
    /// The task resolves to `Err` only where waiting cannot help: the process should then exit.
    pub fn spawn_migrator(&self, shutdown: &Shutdown) -> JoinHandle<Result<(), Fatal>> {
        let (database, stop) = (self.clone(), shutdown.soft().clone());
        shutdown.spawn(async move {
            stop.run_until_cancelled(database.bring_up_to_date()).await.unwrap_or(Ok(()))
        })
    }

    async fn bring_up_to_date(&self) -> Result<(), Fatal> {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
        loop {
            let attempt = if self.migrate_on_start {
                migrate(self).await
            } else {
                self.look_for_schema().await
            };
            match attempt {
                Ok(()) => {
                    self.schema_seen.send_replace(true);
                    log_patterns::database_initialized();
                    return Ok(());
                }
                Err(error) => {
                    log_patterns::database_initialization_failed(&error);
                    if migration_cause(&error) != Cause::Away {
                        return Err(Fatal(error.to_string()));
                    }
                }
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// Succeeds once the newest migration that this binary knows has been applied.
    async fn look_for_schema(&self) -> Result<(), MigrateError> {
        let newest = migrations().iter().map(|migration| migration.version).max().unwrap_or(0);
        let seen: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
            .fetch_one(&self.pool)
            .await?;
        let applied = if seen {
            sqlx::query_scalar::<_, bool>(
                "SELECT EXISTS (SELECT FROM _sqlx_migrations WHERE version = $1 AND success)",
            )
            .bind(newest)
            .fetch_one(&self.pool)
            .await?
        } else {
            false
        };
        if applied { Ok(()) } else { Err(MigrateError::Execute(sqlx::Error::PoolTimedOut)) }
    }
}
