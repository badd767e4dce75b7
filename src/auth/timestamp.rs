//! Times of the database as clients read them: ISO 8601, UTC, microseconds, `Z`.

use chrono::NaiveDateTime;
use serde::{Serialize, Serializer};

use crate::model::Clock;

/// Writes a time of the database, which has no zone and means UTC.
#[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
pub fn write<S: Serializer>(at: &Option<NaiveDateTime>, to: S) -> Result<S::Ok, S::Error> {
    at.map(|at| Clock.format(at.and_utc())).serialize(to)
}
