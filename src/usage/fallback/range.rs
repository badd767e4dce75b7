//! A range of a session's audio with all that its row needs, as text that cannot be forged.

use std::sync::Arc;

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use crate::{
    auth::{Purpose, Secrets},
    usage::{
        SessionStart,
        legs::Legs,
        meter::{Cursor, Entry},
    },
};

/// An entry as another process reads it.
#[derive(Debug, Serialize, Deserialize)]
struct Range {
    start: SessionStart,
    started_at: NaiveDateTime,
    at: NaiveDateTime,
    from_ms: u64,
    until_ms: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<(u64, u64)>,
    #[serde(default, skip_serializing_if = "Legs::is_empty")]
    legs: Legs,
    finished: bool,
}

/// Seals and opens entries; cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::usage) struct Sealed {
    pub(super) secrets: Secrets,
    /// What they are sealed for: usage of the replicas with one prefix in Redis.
    pub(super) name: Arc<str>,
}

impl Sealed {
    /// The entry as sealed text; fails for no entry that we make.
    pub(in crate::usage) fn seal(&self, entry: &Entry) -> serde_json::Result<String> {
        let range = Range {
            start: entry.cursor.start.clone(),
            started_at: entry.cursor.started_at,
            at: entry.at,
            from_ms: entry.from_ms,
            until_ms: entry.until_ms,
            skipped: entry.skipped.clone(),
            legs: entry.legs.clone(),
            finished: entry.finished,
        };
        self.secrets.seal(Purpose::Usage, &self.name, &range)
    }

    /// The entry, if the text was sealed by one of us and its range is one.
    pub(in crate::usage) fn open(&self, sealed: &str) -> Option<Entry> {
        let range: Range = self.secrets.open(Purpose::Usage, &self.name, sealed)?;
        let bounds = (range.from_ms, range.until_ms);
        if bounds.0 > bounds.1 || bounds.1 > i64::MAX.cast_unsigned() {
            return None;
        }
        let Range { start, started_at, at, skipped, legs, finished, .. } = range;
        let cursor = Cursor::restored(start.storable(), started_at, at, bounds, finished);
        cursor.skip(&skipped);
        cursor.join(&legs);
        Some(Arc::new(cursor).take())
    }
}
