//! How a simulator behaves when no fault is asked for.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::script::Script;
use crate::speech::sha256_hex;

/// How a simulator behaves. `Config::default()` is the real service without its delays.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one. Default `127.0.0.1:0`.
    pub address: SocketAddr,
    /// What is said. Default: `w0001 w0002 …`, one word every 250 ms.
    pub script: Script,
    /// Recorded files known by the SHA-256 of their bytes, for `POST /v1/listen`.
    pub recordings: Vec<(String, Script)>,
    /// Keys that are let in; `None` lets any in. Default `None`.
    pub keys: Option<Vec<String>>,
    /// Audio between interims. Default 1 s.
    pub interim_every: Duration,
    /// Audio after which speech is cut into a final. Default 4 s.
    pub longest_segment: Duration,
    /// Wait for audio or text before NET-0001. Default 10 s.
    pub idle_timeout: Duration,
    /// Whether keep-alives alone, without ever any audio, do not save a stream. Default false.
    pub audio_required: bool,
    /// Delay of every message. Default none.
    pub latency: Duration,
    /// Streams at once; the next is refused with 429. Default unlimited.
    pub max_streams: Option<usize>,
    /// Bytes of audio that a record keeps; the rest is only counted and hashed. Default 16 MiB.
    pub kept_audio_bytes: usize,
    /// Text messages, finals and requests that are kept for each record. Default 10 000.
    pub kept_entries: usize,
    /// Ended connections and requests that are remembered. Default 10 000.
    pub kept_records: usize,
    /// Size of the sockets' receive buffer, so that back-pressure shows early.
    pub receive_buffer_bytes: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            script: Script::counting(),
            recordings: Vec::new(),
            keys: None,
            interim_every: Duration::from_secs(1),
            longest_segment: Duration::from_secs(4),
            idle_timeout: Duration::from_secs(10),
            audio_required: false,
            latency: Duration::ZERO,
            max_streams: None,
            kept_audio_bytes: 16 * 1024 * 1024,
            kept_entries: 10_000,
            kept_records: 10_000,
            receive_buffer_bytes: None,
        }
    }
}

impl Config {
    /// The default with another script.
    pub fn speaking(script: Script) -> Self {
        Self { script, ..Self::default() }
    }

    /// The same, knowing every clip beside that `transcripts.json` by its bytes.
    pub fn with_recordings(mut self, transcripts: &Path) -> anyhow::Result<Self> {
        for (path, script) in Script::load_all(transcripts)? {
            let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
            self.recordings.push((sha256_hex(&bytes), script));
        }
        Ok(self)
    }
}
