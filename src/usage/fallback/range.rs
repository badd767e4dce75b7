//! A range of a session's audio with all that its row needs, as text that cannot be forged.

use std::sync::Arc;

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use crate::{
    auth::{Purpose, Secrets},
    usage::{
        Act, Course, Mark, SessionStart, Taken,
        meter::{Cursor, Entry},
    },
};

/// An entry as another process reads it.
#[derive(Debug, Serialize, Deserialize)]
struct Range {
    start: SessionStart,
    started_at: NaiveDateTime,
    at: NaiveDateTime,
    fence: u64,
    until_ms: u64,
    course: Course,
    mark: Option<Mark>,
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
            fence: entry.cursor.fence,
            until_ms: entry.until_ms,
            course: entry.course.clone(),
            mark: entry.mark.clone(),
            finished: entry.finished,
        };
        self.secrets.seal(Purpose::Usage, &self.name, &range)
    }

    /// An act as sealed text, which no range is taken for.
    pub(in crate::usage) fn seal_act(
        &self,
        act: &Act,
        at: NaiveDateTime,
    ) -> serde_json::Result<String> {
        self.secrets.seal(Purpose::Usage, &self.name_of_acts(), &(act, at))
    }

    /// The act, if the text was sealed by one of us.
    pub(in crate::usage) fn open_act(&self, sealed: &str) -> Option<(Act, NaiveDateTime)> {
        self.secrets.open(Purpose::Usage, &self.name_of_acts(), sealed)
    }

    fn name_of_acts(&self) -> String {
        format!("{}:act", self.name)
    }

    /// The entry, if the text was sealed by one of us and its range is one.
    pub(in crate::usage) fn open(&self, sealed: &str) -> Option<Entry> {
        let range: Range = self.secrets.open(Purpose::Usage, &self.name, sealed)?;
        let Range { start, started_at, at, fence, until_ms, course, mark, finished } = range;
        let is_range = course.billed_ms() <= until_ms && until_ms <= i64::MAX.cast_unsigned();
        if !is_range || !course.is_sound() {
            return None;
        }
        let taken = Taken { fence, course, covered_ms: until_ms };
        let cursor = Cursor::restored(start.storable(), taken, started_at, at);
        cursor.set_mark(mark);
        cursor.set_finished(finished);
        Some(Arc::new(cursor).take())
    }
}
