//! Writes usage that waits in Redis to Postgres, whichever replica left it there.

use std::time::Duration;

use tracing::{error, info, warn};
use uuid::Uuid;

use super::{
    range::Sealed,
    waiting::{Found, Waiting},
};
use crate::{
    backoff::Backoff,
    lifecycle::Shutdown,
    model::Error,
    usage::{meter::Entry, writer::Writer},
};

/// How often a replica looks whether anything waits.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest pause while Postgres is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// How long a drainer that says nothing keeps the others off. One that is merely slow, and is
/// overtaken, does no harm: what both write is billed once.
const CLAIM: Duration = Duration::from_secs(10);
/// Entries of one transaction.
const BATCH: i64 = 250;

/// What brings usage from Redis to Postgres. One replica at a time does.
#[derive(Debug)]
pub(in crate::usage) struct Drain {
    waiting: Waiting,
    sealed: Sealed,
    writer: Writer,
    who: String,
}

/// What became of a look at the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// Nothing waits, or another drains.
    Nothing,
    /// There may be more.
    Drained,
}

impl Drain {
    pub(in crate::usage) fn new(waiting: Waiting, sealed: Sealed, writer: Writer) -> Self {
        Self { waiting, sealed, writer, who: Uuid::new_v4().to_string() }
    }

    /// Runs until the replica drains; what is left, another writes, or the next to start.
    pub(in crate::usage) async fn run(self, shutdown: Shutdown) {
        let mut schema = self.writer.database.watch_schema();
        let work = async {
            // Without the schema nothing can be written.
            let _seen = schema.wait_for(|seen| *seen).await.is_ok();
            self.work().await;
        };
        shutdown.soft().run_until_cancelled(Box::pin(work)).await;
    }

    async fn work(&self) {
        let mut backoff = Backoff::new(LOOK_EVERY, LONGEST_PAUSE);
        loop {
            match self.step().await {
                Ok(Looked::Drained) => backoff.reset(),
                Ok(Looked::Nothing) => {
                    backoff.reset();
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Err(error) => {
                    warn!(?error, "waiting usage could not be written");
                    tokio::time::sleep(LOOK_EVERY / 2 + backoff.next_delay()).await;
                }
            }
        }
    }

    /// Writes the oldest entries, then takes them out.
    pub(super) async fn step(&self) -> Result<Looked, Error> {
        let claim_ms = CLAIM.as_millis() as i64;
        let found = match self.waiting.claim(&self.who, claim_ms, BATCH).await {
            Ok(found) if !found.is_empty() => found,
            // A Redis that is away holds nothing that could be had.
            Ok(_) => return Ok(Looked::Nothing),
            Err(error) => {
                tracing::debug!(?error, "waiting usage could not be looked for");
                return Ok(Looked::Nothing);
            }
        };
        let settled = self.settle(found).await;
        if settled.is_err() {
            // It ends by itself too.
            let _released = self.waiting.release().await.is_ok();
        }
        settled.map(|()| Looked::Drained)
    }

    async fn settle(&self, found: Vec<Found>) -> Result<(), Error> {
        let (mut entries, mut parked) = (Vec::new(), Vec::new());
        let mut drained = Vec::new();
        for Found { id, text } in found {
            if let Some(entry) = self.sealed.open(&text) {
                entries.push((id, entry));
            } else if let Some((act, at)) = self.sealed.open_act(&text) {
                match self.writer.write_act(&act, at).await? {
                    Ok(()) => drained.push(id),
                    Err(error) => {
                        warn!(?error, id, "a waiting act is refused");
                        parked.push((id, "the database refused it"));
                    }
                }
            } else {
                parked.push((id, "it is not sealed by this service"));
            }
        }
        for round in rounds(entries) {
            let (ids, entries): (Vec<String>, Vec<Entry>) = round.into_iter().unzip();
            let refused = self.writer.write(&entries).await?;
            for (at, id) in ids.into_iter().enumerate() {
                match refused.iter().find(|refused| refused.0 == at) {
                    None => drained.push(id),
                    Some((_, error)) => {
                        warn!(?error, id, "waiting usage is refused");
                        parked.push((id, "the database refused it"));
                    }
                }
            }
        }
        self.take_out(drained, &parked).await
    }

    /// Takes out what is written, and moves what cannot be out of the way.
    async fn take_out(
        &self,
        drained: Vec<String>,
        parked: &[(String, &'static str)],
    ) -> Result<(), Error> {
        let queue = &self.writer.queue;
        let count = drained.len();
        self.waiting.remove(drained).await.map_err(crate::redis::unavailable)?;
        queue.count_fallback("drained", count);
        self.waiting.park(parked).await.map_err(crate::redis::unavailable)?;
        queue.count_fallback("parked", parked.len());
        for (id, why) in parked {
            error!(id, "waiting usage is parked: {why}");
        }
        if count > 0 {
            info!(entries = count, "waiting usage is written");
        }
        Ok(())
    }
}

/// Entries by rounds, in each of which a session is once, in the order of the sessions' ids.
fn rounds(mut entries: Vec<(String, Entry)>) -> Vec<Vec<(String, Entry)>> {
    let session = |entry: &(String, Entry)| entry.1.cursor.start.session_id.0;
    entries.sort_by_key(session);
    let mut rounds: Vec<Vec<(String, Entry)>> = Vec::new();
    let (mut last, mut round) = (None, 0);
    for entry in entries {
        round = if last == Some(session(&entry)) { round + 1 } else { 0 };
        last = Some(session(&entry));
        if rounds.len() == round {
            rounds.push(Vec::new());
        }
        rounds[round].push(entry);
    }
    rounds
}
