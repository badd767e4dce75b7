//! Brings what waits in the refuge to its rooms, whichever replica left it there.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{info, warn};
use uuid::Uuid;

use super::store::{self, Record};
use crate::{
    model::{Error, ErrorKind, SessionId},
    postgres::Database,
    rooms::{
        Label, Position, RoomName, Text,
        history::{Appended, Claim, History},
    },
    telemetry::{Metrics, metrics::label},
};

/// How often a replica looks whether anything waits.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often it looks whether anything has waited for too long, which is so only where Redis was away
/// for all that time.
const SWEEP_EVERY: u32 = 300;
/// Records that are read at once, and those that one script adds.
const BATCH: i64 = 500;
const PAGE: usize = 200;
/// How long the owner of a session may take to fill a room again that has lost what was before.
const OWNER: Duration = Duration::from_secs(10);

/// What brings records to their rooms. Two that do at once do no harm: rooms take each once.
pub(super) struct Drain {
    pub(super) database: Database,
    pub(super) history: History,
    pub(super) metrics: Metrics,
    /// Owners of sessions whose room lacks what was said before, since when.
    pub(super) lacking: HashMap<(Uuid, u64), Instant>,
}

impl Drain {
    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        // It fails only where nobody can tell any more.
        drop(self.database.watch_schema().wait_for(|seen| *seen).await);
        let mut round: u32 = 0;
        loop {
            // Not all replicas at once.
            tokio::time::sleep(LOOK_EVERY.mul_f64(rand::random_range(0.75..1.25))).await;
            if round.is_multiple_of(SWEEP_EVERY) {
                self.sweep().await;
            }
            round = round.wrapping_add(1);
            if !self.history.is_there().await {
                continue;
            }
            if let Err(error) = Box::pin(self.step()).await {
                warn!(?error, "finals that wait could not be brought to their rooms");
            }
        }
    }

    async fn sweep(&self) {
        let pool = self.database.pool();
        match self.database.run(store::delete_expired(pool, self.history.life())).await {
            Ok(0) => {}
            Ok(records) => self.count("expired", records),
            Err(error) => tracing::debug!(?error, "finals that wait could not be swept"),
        }
    }

    /// Brings what waits to its rooms, the oldest sessions first.
    async fn step(&mut self) -> Result<(), Error> {
        let pool = self.database.pool();
        let records = self.database.run(store::list_waiting(pool, BATCH)).await?;
        let is_cut = records.len() as i64 == BATCH;
        let mut owners = records
            .chunk_by(|one, next| one.session == next.session && one.fence == next.fence)
            .peekable();
        let is_there = |owner: &(Uuid, u64)| records.iter().any(|record| record.owner() == *owner);
        self.lacking.retain(|owner, _| is_there(owner));
        let mut drained = 0;
        while let Some(records) = owners.next() {
            let is_whole = !is_cut || owners.peek().is_some();
            drained += self.bring(records, is_whole).await?;
        }
        if drained > 0 {
            info!(finals = drained, "finals that waited for their rooms are there");
        }
        Ok(())
    }

    /// Brings what one owner of a session left, of which that may be all; how many records went.
    async fn bring(&mut self, records: &[Record], is_whole: bool) -> Result<u64, Error> {
        let pages = records.len().div_ceil(PAGE);
        for (at, page) in records.chunks(PAGE).enumerate() {
            let is_last = is_whole && at + 1 == pages;
            if !self.bring_page(page, is_last).await? {
                return Ok(0);
            }
        }
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(0) };
        let pool = self.database.pool();
        let deleting = store::delete_records(pool, first.session, first.fence, last.n);
        let deleted = self.database.run(deleting).await?;
        self.count("drained", deleted);
        Ok(deleted)
    }

    /// Whether these can be deleted.
    async fn bring_page(&mut self, records: &[Record], is_last: bool) -> Result<bool, Error> {
        let Some(first) = records.first() else { return Ok(true) };
        let Ok(room) = first.room.parse::<RoomName>() else { return Ok(true) };
        let session = SessionId(first.session);
        let account = first.account.clone();
        // An owner that took over by Postgres alone could not tell the room what is void there.
        let base = Some(first.n.saturating_sub(1));
        let claim = Claim { room, account, session, fence: first.fence, base };
        let text = |record: &Record| {
            Arc::new(Text { label: Label { session, n: record.n }, body: record.body.clone() })
        };
        let finals: Vec<Arc<Text>> = records.iter().map(text).collect();
        let mark = first.mark.as_ref().filter(|_| is_last);
        // An owner that lives fills the room again; where none does, the hole is told.
        let lacks = self.lacking.get(&first.owner());
        let holed = lacks.is_some_and(|since| since.elapsed() > OWNER);
        match self.history.append(&claim, Position::default(), holed, &finals, mark).await {
            Ok(Appended::Missing(_)) => {
                self.lacking.entry(first.owner()).or_insert_with(Instant::now);
                Ok(false)
            }
            Ok(Appended::Stored { .. } | Appended::Known(_)) => Ok(true),
            // A later owner may just be reading it here.
            Ok(Appended::Fenced { told }) => Ok(told),
            Err(error) if error.kind == ErrorKind::Forbidden => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn count(&self, outcome: &'static str, records: u64) {
        self.metrics.room_finals.add(records, &[label("outcome", outcome)]);
    }
}
