//! Where sessions stand, in Postgres: what their next owner goes on from where Redis cannot tell.

mod store;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tokio::time::timeout;

use crate::{
    model::{Error, SessionId},
    postgres::{self, Database},
};

/// How long whoever goes on with a session waits for Postgres.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a session stands once everything up to there is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// F: the end of the last stored final, or of silence after it, in milliseconds.
    pub covered_ms: u64,
    /// The number of the last stored final.
    pub last_n: u64,
    /// The same with all else that the next owner needs, sealed.
    pub bookmark: String,
}

/// A session whose owner leaves word, and perhaps a mark.
#[derive(Clone, Debug)]
pub struct Marked<'a> {
    /// The session.
    pub session: SessionId,
    /// The owner's fence.
    pub fence: u64,
    /// Where it stands.
    pub mark: Option<&'a Mark>,
}

/// What owners before have left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// The fence of the last of them.
    pub fence: u64,
    /// The bookmark, unless it is too old to count.
    pub bookmark: Option<String>,
    /// How long ago it was left.
    pub age: Option<Duration>,
}

/// Reads and writes marks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Marks {
    database: Database,
    life: Duration,
}

impl Marks {
    /// Marks that count for so long.
    pub const fn new(database: Database, life: Duration) -> Self {
        Self { database, life }
    }

    /// What was left of a session; nothing if it is not known. Fails while Postgres is away.
    pub async fn find(&self, session: SessionId) -> Result<Option<Left>, Error> {
        self.run(store::find_left(self.database.pool(), session.0, self.life)).await
    }

    /// Takes a session over with a fence of at least `floor`, above all before; nothing if it is not
    /// known, or has a fence above `seen`. Fails while Postgres is away.
    pub async fn claim(
        &self,
        session: SessionId,
        floor: u64,
        seen: Option<u64>,
    ) -> Result<Option<Left>, Error> {
        self.run(store::claim(self.database.pool(), session.0, (floor, seen), self.life)).await
    }

    async fn run<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Error> {
        // Somebody waits for the answer: a server that is known to be away is not waited for.
        let asked = async {
            if !self.database.schema_seen() {
                return Err(postgres::unavailable());
            }
            self.database.health().await.map_err(|away| postgres::unavailable().because(away))?;
            self.database.run(work).await
        };
        timeout(PATIENCE, asked)
            .await
            .unwrap_or_else(|late| Err(postgres::unavailable().because(late)))
    }
}

/// Leaves word of sessions, in a transaction of the caller's; says of those that are known whether
/// their owner is not of the past. Their rows stay locked until its end. A mark never goes back.
pub async fn leave_marks(
    connection: &mut PgConnection,
    sessions: &[Marked<'_>],
) -> Result<HashMap<SessionId, bool>, sqlx::Error> {
    let known = store::lock(connection, sessions).await?;
    let accepted = store::update_marks(connection, sessions).await?;
    Ok(known.into_iter().map(|id| (SessionId(id), accepted.contains(&id))).collect())
}

pub(super) use store::update_marks;
