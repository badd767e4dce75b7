//! Writes entries to Postgres and tells what became of them.

use chrono::NaiveDateTime;

use super::{
    acts::{self, Act},
    meter::{Entry, Queue},
    store::{self, Written},
};
use crate::{
    auth::Users,
    model::{Error, ErrorKind},
    postgres::Database,
    telemetry::log_patterns,
};

/// Who writes usage; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) users: Users,
    pub(super) queue: Queue,
}

impl Writer {
    /// Writes entries, which are of different sessions and in the order of their ids. If the
    /// database refuses them they are taken apart, so that one holds nobody up: the places of those
    /// that it refuses for good, with the cause. Fails if the database is away.
    pub(super) async fn write(&self, entries: &[Entry]) -> Result<Vec<(usize, Error)>, Error> {
        match self.write_once(entries).await {
            Ok(()) => Ok(Vec::new()),
            Err(error) if error.kind == ErrorKind::DatabaseUnavailable => Err(error),
            Err(error) if entries.len() == 1 => Ok(vec![(0, error)]),
            Err(_) => self.write_apart(entries).await,
        }
    }

    /// Writes an act that waited; why the database refuses it for good, where it does. Fails if the
    /// database is away.
    pub(super) async fn write_act(
        &self,
        act: &Act,
        at: NaiveDateTime,
    ) -> Result<Result<(), Error>, Error> {
        let write = acts::store::insert(self.database.pool(), &self.users, act, at);
        match self.database.run(write).await {
            Ok(is_new) => {
                self.queue.count_rows(if is_new { "inserted" } else { "duplicate" }, 1);
                Ok(Ok(()))
            }
            Err(error) if error.kind == ErrorKind::DatabaseUnavailable => Err(error),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn write_apart(&self, entries: &[Entry]) -> Result<Vec<(usize, Error)>, Error> {
        let mut refused = Vec::new();
        for (at, entry) in entries.chunks(1).enumerate() {
            match self.write_once(entry).await {
                Ok(()) => {}
                Err(error) if error.kind == ErrorKind::DatabaseUnavailable => return Err(error),
                Err(error) => refused.push((at, error)),
            }
        }
        Ok(refused)
    }

    async fn write_once(&self, entries: &[Entry]) -> Result<(), Error> {
        let written =
            self.database.run(store::write(self.database.pool(), &self.users, entries)).await?;
        self.tell(entries, &written);
        Ok(())
    }

    fn tell(&self, entries: &[Entry], written: &[Written]) {
        let (mut inserted, mut duplicate, mut fenced) = (0, 0, 0);
        for (entry, written) in entries.iter().zip(written) {
            if written.fenced {
                fenced += 1;
                entry.cursor.set_fenced();
                continue;
            }
            if written.billed_ms > 0 {
                inserted += 1;
                let seconds = written.billed_ms as f64 / 1000.0;
                log_patterns::usage_logged(written.user_id, seconds);
            } else if entry.until_ms > entry.from_ms {
                duplicate += 1;
            }
            entry.cursor.set_written(entry.until_ms);
        }
        self.queue.count_rows("inserted", inserted);
        self.queue.count_rows("duplicate", duplicate);
        self.queue.count_rows("fenced", fenced);
    }
}
