//! Clears transcripts whose time is over, once a day for all replicas.

use std::time::Duration;

use tracing::{info, warn};

use super::store;
use crate::{lifecycle::Shutdown, model::Error, postgres::Database, redis::Redis};

/// How often a replica looks whether nobody has swept for a day.
const EVERY: Duration = Duration::from_hours(1);
/// Transcripts that one statement deletes, with all their finals.
const BATCH: i64 = 50;
const TABLE: &str = "session_transcripts";

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

/// Sweeps if it is this replica's turn; how many transcripts went, or nothing where it was not.
pub(super) async fn sweep(database: &Database, redis: &Redis) -> Option<u64> {
    if !redis.take_turn(TABLE).await {
        return None;
    }
    match delete_all(database).await {
        Ok(transcripts) => {
            info!(transcripts, "transcripts whose time was over were cleared");
            Some(transcripts)
        }
        Err(error) => {
            warn!("transcripts whose time is over could not be cleared: {error:?}");
            redis.give_turn_back(TABLE).await;
            None
        }
    }
}

async fn delete_all(database: &Database) -> Result<u64, Error> {
    let mut transcripts = 0;
    loop {
        let deleted = database.run(store::delete_expired(database.pool(), BATCH)).await?;
        transcripts += deleted;
        if deleted < BATCH as u64 {
            return Ok(transcripts);
        }
    }
}
