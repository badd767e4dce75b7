//! Where acts go while Postgres is away: to the stream in Redis, and to the disk while Redis is away.

use std::sync::Arc;

use chrono::NaiveDateTime;
use tokio::sync::Mutex;

use super::Act;
use crate::usage::fallback::{Scratch, Sealed, Waiting};

/// Both places. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Refuge {
    waiting: Waiting,
    sealed: Sealed,
    scratch: Scratch,
    /// Acts whose records are on the disk; the files go when there is none left.
    on_disk: Arc<Mutex<usize>>,
}

impl Refuge {
    pub(super) fn new(waiting: Waiting, sealed: Sealed, scratch: Scratch) -> Self {
        Self { waiting, sealed, scratch, on_disk: Arc::default() }
    }

    /// Leaves the act in Redis, from where any replica writes it; whether it is there.
    pub(super) async fn leave(&self, act: &Act, at: NaiveDateTime) -> bool {
        let Ok(sealed) = self.sealed.seal_act(act, at) else { return false };
        match self.waiting.append(vec![(None, sealed)]).await {
            Ok(ids) => ids.iter().any(Option::is_some),
            Err(error) => {
                tracing::debug!(?error, "an act could not be left in redis");
                false
            }
        }
    }

    /// Writes the act to the disk; whether it is there.
    pub(super) async fn keep(&self, act: &Act, at: NaiveDateTime) -> bool {
        if !self.scratch.is_on() {
            return false;
        }
        let Ok(sealed) = self.sealed.seal_act(act, at) else { return false };
        // Held over the write, so that nobody clears the files between.
        let mut on_disk = self.on_disk.lock().await;
        let kept = self.scratch.append(vec![sealed]).await.is_ok();
        *on_disk += usize::from(kept);
        kept
    }

    /// An act of the disk is elsewhere now.
    pub(super) async fn done(&self) {
        let mut on_disk = self.on_disk.lock().await;
        *on_disk = on_disk.saturating_sub(1);
        if *on_disk == 0
            && let Err(error) = self.scratch.clear().await
        {
            // What is written again is billed once.
            tracing::warn!(%error, "files of acts could not be removed");
        }
    }

    /// What killed processes left on this disk.
    pub(super) async fn restore(&self) -> Vec<(Act, NaiveDateTime)> {
        if !self.scratch.is_on() {
            return Vec::new();
        }
        let mut on_disk = self.on_disk.lock().await;
        let records = self.scratch.restore().await.unwrap_or_default();
        let acts: Vec<_> =
            records.iter().filter_map(|record| self.sealed.open_act(record)).collect();
        if acts.len() < records.len() {
            let unreadable = records.len() - acts.len();
            tracing::error!(unreadable, "acts on the disk are not sealed by this service");
        }
        *on_disk += acts.len();
        acts
    }
}
