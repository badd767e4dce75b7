//! Brings the schema up to date, at boot or whenever the server comes back.

use std::time::Duration;

use sqlx::{
    Connection, PgConnection,
    migrate::{MigrateError, Migrator},
};
use tokio::task::JoinHandle;
use tracing::info;

use super::{
    Database,
    error::{Cause, migration_cause},
};
use crate::{backoff::Backoff, lifecycle::Shutdown, telemetry::log_patterns};

/// How long connecting, or a look at the schema, may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// How long all migrations together may take; a large table is rewritten in less.
const MIGRATION_DEADLINE: Duration = Duration::from_mins(30);

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

/// A connection for work on the schema, without a statement time-out.
pub(super) async fn connect(database: &Database) -> Result<PgConnection, sqlx::Error> {
    let connecting = PgConnection::connect_with(&database.options);
    let mut connection = tokio::time::timeout(CONNECT_DEADLINE, connecting)
        .await
        .map_err(|_| sqlx::Error::PoolTimedOut)??;
    let session = "SET TimeZone = 'UTC'; SET statement_timeout = 0; SET lock_timeout = '10s'";
    sqlx::raw_sql(session).execute(&mut connection).await?;
    Ok(connection)
}

/// Runs the migrations once, on a connection of their own.
pub async fn migrate(database: &Database) -> Result<(), MigrateError> {
    let mut connection = connect(database).await?;
    let migrating = migrations();
    let running = migrating.run_direct(None, &mut connection, false);
    let late = |_| Err(MigrateError::Execute(sqlx::Error::PoolTimedOut));
    let result = tokio::time::timeout(MIGRATION_DEADLINE, running).await.unwrap_or_else(late);
    // The result is what counts; a connection that cannot say goodbye is closed by the drop.
    let _closed = connection.close().await;
    if result.is_ok() {
        database.schema_seen.send_replace(true);
    }
    result
}

impl Database {
    /// Keeps trying until the schema is there; ends at once when that is impossible.
    ///
    /// The task resolves to `Err` only where waiting cannot help: the process should then exit.
    pub fn spawn_migrator(&self, shutdown: &Shutdown) -> JoinHandle<Result<(), Fatal>> {
        // Not the soft one: what a draining replica has to bill waits for the schema.
        let (database, stop) = (self.clone(), shutdown.hard().clone());
        shutdown.spawn(async move {
            stop.run_until_cancelled(database.bring_up_to_date()).await.unwrap_or(Ok(()))
        })
    }

    async fn bring_up_to_date(&self) -> Result<(), Fatal> {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
        loop {
            match self.attempt().await {
                Ok(true) => {
                    log_patterns::database_initialized();
                    return Ok(());
                }
                Ok(false) => info!("waiting for migrations that MIGRATE_ON_START leaves to others"),
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

    /// Migrates, or only looks where others migrate; whether the schema is there.
    async fn attempt(&self) -> Result<bool, MigrateError> {
        if self.migrate_on_start {
            return migrate(self).await.map(|()| true);
        }
        let looking = tokio::time::timeout(CONNECT_DEADLINE, self.find_schema());
        let there =
            looking.await.map_err(|_| MigrateError::Execute(sqlx::Error::PoolTimedOut))??;
        self.schema_seen.send_replace(there);
        Ok(there)
    }

    /// Whether the newest migration that this binary knows has been applied.
    async fn find_schema(&self) -> Result<bool, sqlx::Error> {
        let newest = migrations().iter().map(|migration| migration.version).max().unwrap_or(0);
        let begun: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
            .fetch_one(&self.pool)
            .await?;
        if !begun {
            return Ok(false);
        }
        let applied = "SELECT EXISTS (SELECT FROM _sqlx_migrations WHERE version = $1 AND success)";
        sqlx::query_scalar(applied).bind(newest).fetch_one(&self.pool).await
    }
}
