//! Postgres: a pool that connects when it is first needed, migrations, and cached health.

mod error;
mod migrator;
#[cfg(test)]
pub(crate) mod private;
mod reset;
#[cfg(test)]
mod tests;

use std::{future::Future, sync::Arc, time::Duration};

use sqlx::{
    Executor, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::watch;

use error::query_error;
pub use error::unavailable;
pub use migrator::{Fatal, migrate};
pub use reset::{NotReset, name, reset, usage_is_there};

use crate::{
    config::DatabaseConfig,
    model::Error,
    probe::{Health, Probe},
};

/// How long a caller waits for a connection, connecting included.
const ACQUIRE_DEADLINE: Duration = Duration::from_secs(3);
/// How long a query may take before its caller gives up; above the server's own limit.
const QUERY_DEADLINE: Duration = Duration::from_secs(6);
/// What every session of the pool is set to.
const SESSION: &str = "SET TimeZone = 'UTC'; SET statement_timeout = '5s'; SET lock_timeout = '3s'; \
                       SET idle_in_transaction_session_timeout = '15s'";

/// A handle on the database; cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    options: PgConnectOptions,
    migrate_on_start: bool,
    schema_seen: Arc<watch::Sender<bool>>,
    probe: Arc<Probe>,
}

impl Database {
    /// Makes the pool without connecting. Fails if the address cannot be parsed.
    pub fn new(config: &DatabaseConfig) -> Result<Self, sqlx::Error> {
        let options = config.options()?.application_name("audio-transcription-api");
        let pool = PgPoolOptions::new()
            .max_connections(config.pool_size)
            .acquire_timeout(ACQUIRE_DEADLINE)
            .max_lifetime(Duration::from_mins(30))
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(SESSION).await.map(drop) })
            })
            .connect_lazy_with(options.clone());
        Ok(Self {
            pool,
            options,
            migrate_on_start: config.migrate_on_start,
            schema_seen: Arc::new(watch::Sender::new(false)),
            probe: Arc::new(Probe::new(Duration::from_secs(1), Duration::from_secs(1))),
        })
    }

    /// The connections.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Whether the schema has been seen; once true, always true.
    pub fn schema_seen(&self) -> bool {
        *self.schema_seen.borrow()
    }

    /// Tells when the schema has been seen.
    pub fn watch_schema(&self) -> watch::Receiver<bool> {
        self.schema_seen.subscribe()
    }

    /// Whether the server answers; at most a second old, and one query a second at most.
    pub async fn health(&self) -> Health {
        let look = async || {
            let answer = sqlx::query("SELECT 1").execute(&self.pool).await;
            answer.map(drop).map_err(|error| error.to_string())
        };
        self.probe.check(look).await
    }

    /// Runs queries under a deadline, so that a server that stopped answering holds nobody up.
    pub async fn run<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(QUERY_DEADLINE, work).await {
            Ok(result) => result.map_err(query_error),
            Err(late) => Err(unavailable().because(late)),
        }
    }

    /// Closes every connection, waiting at most a second for those in use.
    pub async fn close(&self) {
        // What is still in use then dies with the process.
        let _closed = tokio::time::timeout(Duration::from_secs(1), self.pool.close()).await;
    }
}
