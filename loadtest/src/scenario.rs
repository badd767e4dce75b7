//! What a load test does, read from a TOML file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The way into the service.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DoorKind {
    /// Socket.IO over a WebSocket.
    Socketio,
    /// The raw WebSocket at `/audio-stream`.
    Raw,
}

/// One scenario file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// Names the run in the report.
    pub(crate) name: String,
    /// The way into the service.
    pub(crate) door: DoorKind,
    /// How many streams run at once.
    pub(crate) streams: u32,
    /// Over how many ms the streams start.
    pub(crate) ramp_ms: u64,
    /// Seconds of audio per stream.
    pub(crate) seconds: u64,
    /// Milliseconds of audio per chunk.
    pub(crate) chunk_ms: u64,
    /// The `lang` of every stream.
    pub(crate) language: String,
    /// Audio to loop; without it, a tone.
    pub(crate) wav: Option<PathBuf>,
    /// Finals a stream must have received.
    pub(crate) min_finals: u64,
    /// How long the service may take to greet, in ms.
    pub(crate) connect_deadline_ms: u64,
    /// How long the service may take from `stop_streaming` to `streaming_stopped`, in ms.
    pub(crate) stop_deadline_ms: u64,
    /// Payload of `start_streaming`, which is sent only when this is present.
    pub(crate) options: Option<serde_json::Value>,
}

impl Scenario {
    /// Reads a scenario; its `wav` is relative to the file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read scenario {}", path.display()))?;
        let mut scenario: Self = toml::from_str(&text)
            .with_context(|| format!("scenario {} is not valid", path.display()))?;
        if let (Some(wav), Some(folder)) = (&scenario.wav, path.parent()) {
            scenario.wav = Some(folder.join(wav));
        }
        Ok(scenario)
    }

    /// Refuses numbers that make no run.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(self.streams > 0, "streams must be at least 1");
        ensure!(self.seconds > 0, "seconds must be at least 1");
        ensure!((10..=1000).contains(&self.chunk_ms), "chunk_ms must be 10 to 1000");
        Ok(())
    }

    /// Chunks of one stream.
    pub(crate) fn chunk_count(&self) -> u64 {
        self.seconds * 1000 / self.chunk_ms
    }

    /// Time from a stream's first chunk to the moment chunk `index` is due.
    pub(crate) fn due(&self, index: u64) -> Duration {
        Duration::from_millis(index * self.chunk_ms)
    }

    /// The last chunk that holds audio up to `end_ms`.
    pub(crate) fn chunk_ending_at(&self, end_ms: u64) -> u64 {
        (end_ms.saturating_sub(1) / self.chunk_ms).min(self.chunk_count().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_scenario_is_valid() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/steady.toml");
        let scenario = Scenario::read(Path::new(path)).unwrap();
        scenario.check().unwrap();
        assert_eq!(scenario.chunk_count(), 300);
    }

    #[test]
    fn an_end_belongs_to_the_chunk_that_reaches_it() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/steady.toml");
        let scenario = Scenario::read(Path::new(path)).unwrap();
        assert_eq!(scenario.chunk_ending_at(0), 0);
        assert_eq!(scenario.chunk_ending_at(100), 0);
        assert_eq!(scenario.chunk_ending_at(101), 1);
        assert_eq!(scenario.chunk_ending_at(1_000_000), 299);
    }
}
