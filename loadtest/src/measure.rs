//! What all streams measured together: histograms in microseconds, and counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

/// Longer times are recorded as this one.
const LONGEST_MICROS: u64 = 600_000_000;

/// The times that are measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Time {
    /// From opening the connection to `connected`.
    Connect,
    /// From a chunk's due time to its acknowledgement.
    Accepted,
    /// From the due time of the last audio an interim covers to its arrival.
    Interim,
    /// The same for a final.
    Final,
    /// From `stop_streaming` to `streaming_stopped`.
    Stop,
    /// From a chunk's due time to the moment the generator began to send it.
    Lateness,
}

impl Time {
    /// All of them, with their names in JSON and in the table.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Connect, "connect", "connect"),
        (Self::Accepted, "accepted", "chunk accepted"),
        (Self::Interim, "interim", "audio to interim"),
        (Self::Final, "final", "audio to final"),
        (Self::Stop, "stop", "stop"),
        (Self::Lateness, "lateness", "generator lateness"),
    ];
}

/// Plain counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Chunks handed to the connection.
    pub(crate) chunks: u64,
    /// Interim transcripts received.
    pub(crate) interims: u64,
    /// Final transcripts received.
    pub(crate) finals: u64,
    /// Finals whose number was not the one after the last.
    pub(crate) finals_out_of_order: u64,
    /// Transcripts that do not say which audio they cover.
    pub(crate) without_end_ms: u64,
    /// `error` events by their message.
    pub(crate) errors: BTreeMap<String, u64>,
}

/// Shared by all streams: a histogram per stream would cost more memory than the streams.
#[derive(Debug)]
pub(crate) struct Measures {
    times: Vec<Mutex<Histogram<u64>>>,
    counts: Mutex<Counts>,
}

impl Measures {
    /// Empty.
    pub(crate) fn new() -> Result<Self> {
        let histogram = Histogram::new_with_bounds(1, LONGEST_MICROS, 3)
            .map_err(|error| anyhow::anyhow!("{error:?}"))
            .context("the histogram's bounds are wrong")?;
        let times = Time::ALL.iter().map(|_| Mutex::new(histogram.clone())).collect();
        Ok(Self { times, counts: Mutex::default() })
    }

    /// Adds one time.
    pub(crate) fn record(&self, time: Time, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(LONGEST_MICROS);
        self.histogram(time).saturating_record(micros.clamp(1, LONGEST_MICROS));
    }

    /// The times of one kind.
    pub(crate) fn histogram(&self, time: Time) -> MutexGuard<'_, Histogram<u64>> {
        self.times[time as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counts, to read or to raise.
    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
