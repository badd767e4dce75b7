//! Measures the embedded engine on this machine; takes minutes and judges nothing:
//! `cargo bench --bench speech`.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    reason = "a measurement shares the tests' session, and stops where it cannot go on"
)]

#[path = "../tests/it/local_engine/audio.rs"]
mod audio;
#[path = "../tests/it/local_engine/session.rs"]
mod session;

use std::time::{Duration, Instant};

use audio_transcription_api::model::{AudioFormat, RawFormat};
use bytes::Bytes;

use self::{
    audio::{LIBRIVOX, fixture, raw, synthetic},
    session::{Feed, Heard, engine, listen, raw_options},
};

/// About 25 s of speech with pauses.
fn speech() -> Bytes {
    let pause = synthetic(1, |_| 0.0);
    let names = ["jfk.wav"].iter().chain(&LIBRIVOX);
    names
        .flat_map(|name| [raw(&fixture(name)).1, pause.clone()])
        .collect::<Vec<_>>()
        .concat()
        .into()
}

/// A figure of `/proc/self/status` in MB.
fn memory_mb(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// CPU seconds of this process so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

/// Milliseconds from the moment when the audio up to `end_ms` was fed to the event.
fn lag_ms(begun: Instant, at: Instant, end_ms: u64) -> u128 {
    (at - begun).as_millis().saturating_sub(u128::from(end_ms))
}

fn percentile(lags: &mut [u128], share: f64) -> u128 {
    lags.sort_unstable();
    lags[((lags.len() - 1) as f64 * share) as usize]
}

fn report(streams: usize, begun: Instant, heard: &[Heard]) {
    let lags = |is_final| -> Vec<u128> {
        let segments = heard.iter().flat_map(|heard| heard.segments(is_final));
        segments.map(|(at, segment)| lag_ms(begun, at, segment.end_ms)).collect()
    };
    let (mut finals, mut interims) = (lags(true), lags(false));
    println!(
        "{streams} streams: finals {} p50 {} ms p95 {} ms max {} ms after their end; interims {} \
         p50 {} ms p95 {} ms",
        finals.len(),
        percentile(&mut finals, 0.5),
        percentile(&mut finals, 0.95),
        percentile(&mut finals, 1.0),
        interims.len(),
        percentile(&mut interims, 0.5),
        percentile(&mut interims, 0.95),
    );
}

#[tokio::main]
async fn main() {
    let before = memory_mb("VmRSS");
    let begun = Instant::now();
    let (engine, metrics) = engine(2, 64);
    println!("load {:?}, RSS {before} MB before, {} MB after", begun.elapsed(), memory_mb("VmRSS"));
    let audio = speech();
    let seconds = audio.len() as f64 / 32_000.0;
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    engine.transcribe(audio.clone(), AudioFormat::Raw(RawFormat::DEFAULT)).await.unwrap();
    println!(
        "recording of {seconds:.1} s: {:?}, {:.3} CPU seconds a second, RSS {} MB",
        begun.elapsed(),
        (cpu_seconds() - cpu) / seconds,
        memory_mb("VmRSS")
    );
    for streams in [1, 2, 4, 8, 12, 16, 24] {
        let (begun, cpu) = (Instant::now(), cpu_seconds());
        let running = (0..streams).map(|_| {
            let stream = engine.open(&raw_options()).unwrap();
            listen(stream, audio.clone(), Feed::REAL_TIME)
        });
        let heard = futures_util::future::join_all(running).await;
        let took = begun.elapsed();
        let heard: Vec<Heard> = heard.into_iter().map(|(heard, _)| heard).collect();
        report(streams, begun, &heard);
        let used = (cpu_seconds() - cpu) / took.as_secs_f64();
        println!("  {used:.2} cores, RSS {} MB, {took:?}", memory_mb("VmRSS"));
        assert!(took < Duration::from_secs(120));
    }
    let text = metrics.render().unwrap();
    println!("{:?}", text.lines().find(|line| line.starts_with("partials_dropped")));
}
