//! Deepgram on a port of this machine: for compose files, load tests and SDK conformance.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use testkit::deepgram::{Config, Script, Simulator};

/// Speaks Deepgram's live and recorded API. Words come from a script tied to audio time.
#[derive(Parser)]
#[command(name = "deepgram-simulator")]
struct Arguments {
    /// Port to listen on; 0 takes a free one, which is printed.
    #[arg(long, default_value_t = 8089)]
    port: u16,
    /// Address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// A transcripts.json to speak from; without it: w0001 w0002 …, a word every 250 ms.
    #[arg(long)]
    transcript: Option<PathBuf>,
    /// Which clip of the transcript live streams speak; default: the first.
    #[arg(long, requires = "transcript")]
    clip: Option<String>,
    /// Repeat the clip every so many milliseconds.
    #[arg(long, requires = "transcript")]
    repeat_ms: Option<u64>,
    /// Speak the marks found in numbered audio.
    #[arg(long, conflicts_with = "transcript")]
    numbered: bool,
    /// Pause after that many counted words; 0 never pauses.
    #[arg(long, default_value_t = 0)]
    pause_every: u32,
    /// Length of such a pause.
    #[arg(long, default_value_t = 1000)]
    pause_ms: u64,
    /// A key to let in; repeatable. Without it any key is let in.
    #[arg(long)]
    key: Vec<String>,
    /// Delay of every message.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Audio between interims.
    #[arg(long, default_value_t = 1000)]
    interim_ms: u64,
    /// Wait for audio or text before a stream is closed with 1011.
    #[arg(long, default_value_t = 10_000)]
    idle_ms: u64,
    /// Streams at once before 429.
    #[arg(long)]
    max_streams: Option<usize>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let config = read(&arguments)?;
    let simulator = Simulator::start(config).await?;
    writeln!(std::io::stdout(), "listening on {}", simulator.base_url())?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn read(arguments: &Arguments) -> anyhow::Result<Config> {
    let config = Config {
        address: SocketAddr::new(arguments.host, arguments.port),
        script: script(arguments)?,
        keys: (!arguments.key.is_empty()).then(|| arguments.key.clone()),
        latency: Duration::from_millis(arguments.latency_ms),
        interim_every: Duration::from_millis(arguments.interim_ms.max(10)),
        idle_timeout: Duration::from_millis(arguments.idle_ms),
        max_streams: arguments.max_streams,
        // A long-lived process remembers little.
        kept_audio_bytes: 0,
        kept_entries: 0,
        kept_records: 1000,
        ..Config::default()
    };
    match &arguments.transcript {
        Some(path) => config.with_recordings(path),
        None => Ok(config),
    }
}

fn script(arguments: &Arguments) -> anyhow::Result<Script> {
    if arguments.numbered {
        return Ok(Script::numbered_audio());
    }
    let Some(path) = &arguments.transcript else {
        let pause = Duration::from_millis(arguments.pause_ms);
        return Ok(match arguments.pause_every {
            0 => Script::counting(),
            words => Script::counting_with_pauses(words, pause),
        });
    };
    let script = Script::load(path, arguments.clip.as_deref())?;
    Ok(match arguments.repeat_ms {
        Some(period) => script.repeated_every(Duration::from_millis(period)),
        None => script,
    })
}
