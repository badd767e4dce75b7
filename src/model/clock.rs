//! The one place that reads the wall clock, so that tests and lints can find it.

use chrono::{DateTime, SecondsFormat, Utc};

/// Reads the wall clock. Durations are measured with [`std::time::Instant`] instead.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// The present time in UTC.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that the ban points to")]
    pub fn now(self) -> DateTime<Utc> {
        Utc::now()
    }

    /// The present time in milliseconds since 1970.
    pub fn now_ms(self) -> u64 {
        self.now().timestamp_millis().unsigned_abs()
    }

    /// The present time as clients read it: ISO 8601, UTC, microseconds, `Z`.
    pub fn timestamp(self) -> String {
        self.format(self.now())
    }

    /// A time as clients read it.
    pub fn format(self, time: DateTime<Utc>) -> String {
        time.to_rfc3339_opts(SecondsFormat::Micros, true)
    }
}
