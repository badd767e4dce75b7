//! What was billed, read from the database as an operator would read it.

use std::{str::FromStr, time::Duration};

use sqlx::{ConnectOptions, postgres::PgConnectOptions};

/// The usage of one database.
pub struct Ledger<'a>(pub &'a str);

impl Ledger<'_> {
    /// Runs a query on a connection of its own.
    pub async fn rows<T>(&self, query: &'static str) -> Result<Vec<T>, sqlx::Error>
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
    {
        let mut connection = PgConnectOptions::from_str(self.0)?.connect().await?;
        sqlx::query_as(query).fetch_all(&mut connection).await
    }

    /// The billed ranges in milliseconds, in order; none while the database is away.
    pub async fn ranges(&self) -> Vec<(i64, i64)> {
        let query = "SELECT range_start_ms, range_end_ms FROM usage_logs ORDER BY id";
        self.rows(query).await.unwrap_or_default()
    }

    /// Waits until one session's ranges cover its audio from 0 to `whole_ms`, each millisecond
    /// once.
    pub async fn wait_for(&self, whole_ms: i64, deadline: Duration) {
        let what = format!("{whole_ms} ms to be billed");
        let billed = async || self.ranges().await.last().is_some_and(|last| last.1 >= whole_ms);
        let waited = testkit::wait_until(&what, deadline, billed).await;
        let ranges = self.ranges().await;
        waited.unwrap_or_else(|error| panic!("{error}: {ranges:?}"));
        assert_eq!(billed_once(&ranges), whole_ms, "{ranges:?}");
    }
}

/// The sum of one session's ranges, which must follow each other without gap or overlap.
pub fn billed_once(ranges: &[(i64, i64)]) -> i64 {
    let mut until = 0;
    for (start, end) in ranges {
        assert_eq!(*start, until, "gap or overlap in {ranges:?}");
        assert!(end > start, "{ranges:?}");
        until = *end;
    }
    until
}
