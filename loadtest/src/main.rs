//! Drives a running service with live streams, open loop, and reports percentiles.

mod audio;
mod door;
mod measure;
mod report;
mod scenario;
mod socketio;
mod stream;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::audio::Audio;
use crate::measure::Measures;
use crate::report::Report;
use crate::scenario::Scenario;
use crate::stream::Stream;

/// Drives a running service with live streams and reports percentiles.
///
/// Chunk k of a stream is due at its start plus k chunk lengths, whatever the service does, and
/// every latency counts from that moment. Exits with 1 when a stream failed.
#[derive(Debug, Parser)]
struct Arguments {
    /// Address of the service, http:// or https://
    #[arg(long)]
    url: String,
    /// Credential of every stream: a JWT or an API key
    #[arg(long, default_value = "")]
    token: String,
    /// What to do, see loadtest/scenarios/
    #[arg(long, default_value = "loadtest/scenarios/steady.toml")]
    scenario: PathBuf,
    /// Number of streams, in place of the scenario's
    #[arg(long)]
    streams: Option<u32>,
    /// Seconds of audio per stream, in place of the scenario's
    #[arg(long)]
    seconds: Option<u64>,
    /// Print one JSON object in place of the table
    #[arg(long)]
    json: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut scenario = Scenario::read(&arguments.scenario)?;
    scenario.streams = arguments.streams.unwrap_or(scenario.streams);
    scenario.seconds = arguments.seconds.unwrap_or(scenario.seconds);
    scenario.check()?;
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a crypto provider is already installed"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(run(&arguments, scenario))?;
    print(&report, arguments.json).context("cannot write the report")?;
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs all streams to their end.
async fn run(arguments: &Arguments, scenario: Scenario) -> Result<Report> {
    let audio = Arc::new(Audio::load(scenario.wav.as_deref(), scenario.chunk_ms)?);
    let measures = Arc::new(Measures::new()?);
    let scenario = Arc::new(scenario);
    let began = Instant::now();
    let mut streams = JoinSet::new();
    for number in 0..scenario.streams {
        let stream = Stream {
            url: arguments.url.clone(),
            token: arguments.token.clone(),
            scenario: Arc::clone(&scenario),
            audio: Arc::clone(&audio),
            measures: Arc::clone(&measures),
        };
        let offset_ms = scenario.ramp_ms * u64::from(number) / u64::from(scenario.streams);
        let start = began + Duration::from_millis(offset_ms);
        streams.spawn(async move {
            tokio::time::sleep_until(start).await;
            stream.run().await
        });
    }
    let mut outcomes = Vec::new();
    while let Some(joined) = streams.join_next().await {
        outcomes
            .push(joined.context("a stream's task died")?.map_err(|error| format!("{error:#}")));
    }
    Ok(Report::new(&scenario, &outcomes, &measures, began.elapsed()))
}

fn print(report: &Report, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, report)?;
        writeln!(out)
    } else {
        write!(out, "{report}")
    }
}
