//! Clears `token_blacklist` of tokens that have ended by themselves, once a day for all replicas.

use std::time::Duration;

use tracing::{info, warn};

use super::store::tokens as store;
use crate::{lifecycle::Shutdown, model::Error, postgres::Database, redis::Redis};

/// How often a replica looks whether nobody has swept for a day.
const EVERY: Duration = Duration::from_hours(1);
/// Rows that one statement deletes.
const BATCH: i64 = 1_000;
const TABLE: &str = "token_blacklist";

/// Starts to look, once the schema is there and until the soft shutdown.
pub(super) fn start(database: Database, redis: Redis, shutdown: &Shutdown) {
    let stop = shutdown.soft().clone();
    shutdown.spawn(async move {
        let sweeping = async {
            // It fails only where nobody can tell any more, and then nothing is left to sweep.
            drop(database.watch_schema().wait_for(|seen| *seen).await);
            loop {
                sweep(&database, &redis).await;
                tokio::time::sleep(EVERY).await;
            }
        };
        stop.run_until_cancelled(sweeping).await;
    });
}

/// Sweeps if it is this replica's turn; how many rows went, or nothing where it was not. Without
/// Redis nobody knows whose turn it is, and the rows can wait.
pub(super) async fn sweep(database: &Database, redis: &Redis) -> Option<u64> {
    if !redis.take_turn(TABLE).await {
        return None;
    }
    match delete_all(database).await {
        Ok(rows) => {
            info!(rows, "ended tokens were cleared");
            Some(rows)
        }
        Err(error) => {
            warn!("ended tokens could not be cleared: {error:?}");
            redis.give_turn_back(TABLE).await;
            None
        }
    }
}

async fn delete_all(database: &Database) -> Result<u64, Error> {
    let mut rows = 0;
    loop {
        let deleted = database.run(store::delete_expired(database.pool(), BATCH)).await?;
        rows += deleted;
        if deleted < BATCH as u64 {
            return Ok(rows);
        }
    }
}
