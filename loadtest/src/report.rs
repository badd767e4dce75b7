//! The figures of a run, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::measure::{Measures, Time};
use crate::scenario::Scenario;

/// Ticks a second in `/proc/self/stat`.
const TICKS_PER_SECOND: f64 = 100.0;

/// One kind of time, in ms.
#[derive(Debug, Serialize)]
pub(crate) struct Percentiles {
    count: u64,
    p50: f64,
    p90: f64,
    p95: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

/// All figures of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    scenario: String,
    streams: u32,
    failed: usize,
    failures: BTreeMap<String, u64>,
    seconds: f64,
    chunk_ms: u64,
    chunks_sent: u64,
    interims: u64,
    finals: u64,
    finals_out_of_order: u64,
    without_end_ms: u64,
    errors: BTreeMap<String, u64>,
    times_ms: BTreeMap<&'static str, Percentiles>,
    generator_cpu_seconds: f64,
    generator_late: bool,
}

impl Report {
    /// Sums a run up.
    pub(crate) fn new(
        scenario: &Scenario,
        outcomes: &[Result<(), String>],
        measures: &Measures,
        elapsed: Duration,
    ) -> Self {
        let mut failures = BTreeMap::new();
        for reason in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            *failures.entry(reason.clone()).or_default() += 1;
        }
        let times_ms: BTreeMap<_, _> = Time::ALL
            .iter()
            .map(|(time, name, _)| (*name, percentiles(&measures.histogram(*time))))
            .collect();
        let late_ms = millis(measures.histogram(Time::Lateness).value_at_quantile(0.99));
        let counts = measures.counts().clone();
        Self {
            scenario: scenario.name.clone(),
            streams: scenario.streams,
            failed: outcomes.iter().filter(|outcome| outcome.is_err()).count(),
            failures,
            seconds: elapsed.as_secs_f64(),
            chunk_ms: scenario.chunk_ms,
            chunks_sent: counts.chunks,
            interims: counts.interims,
            finals: counts.finals,
            finals_out_of_order: counts.finals_out_of_order,
            without_end_ms: counts.without_end_ms,
            errors: counts.errors,
            times_ms,
            generator_cpu_seconds: cpu_seconds().unwrap_or_default(),
            generator_late: late_ms > scenario.chunk_ms as f64,
        }
    }

    /// Whether every stream went through.
    pub(crate) fn passed(&self) -> bool {
        self.failed == 0
    }
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

fn percentiles(times: &Histogram<u64>) -> Percentiles {
    let at = |quantile| millis(times.value_at_quantile(quantile));
    Percentiles {
        count: times.len(),
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        p999: at(0.999),
        max: millis(times.max()),
    }
}

/// Processor time of this process so far.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The fields after the name in parentheses; user and system ticks are the 12th and 13th.
    let ticks: f64 = stat
        .rsplit(')')
        .next()?
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    Some(ticks / TICKS_PER_SECOND)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} streams, {} failed, {:.1} s, generator {:.1} CPU-s",
            self.scenario, self.streams, self.failed, self.seconds, self.generator_cpu_seconds
        )?;
        writeln!(
            f,
            "{} chunks of {} ms up; {} interims, {} finals ({} out of order, {} without end_ms) down",
            self.chunks_sent,
            self.chunk_ms,
            self.interims,
            self.finals,
            self.finals_out_of_order,
            self.without_end_ms
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "{:<20}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "ms", "count", "p50", "p90", "p95", "p99", "p99.9", "max"
        )?;
        for (_, name, label) in Time::ALL {
            let Some(row) = self.times_ms.get(name).filter(|row| row.count > 0) else { continue };
            writeln!(
                f,
                "{label:<20}{:>9}{:>9.1}{:>9.1}{:>9.1}{:>9.1}{:>9.1}{:>9.1}",
                row.count, row.p50, row.p90, row.p95, row.p99, row.p999, row.max
            )?;
        }
        for (reason, count) in &self.failures {
            writeln!(f, "failed {count}: {reason}")?;
        }
        for (message, count) in &self.errors {
            writeln!(f, "error event {count}: {message}")?;
        }
        if self.generator_late {
            writeln!(
                f,
                "the generator itself was late: the latencies are not the service's alone"
            )?;
        }
        Ok(())
    }
}
