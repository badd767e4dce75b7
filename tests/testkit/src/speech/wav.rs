//! WAV files as raw PCM.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};

/// The PCM of a WAV file.
#[derive(Clone, Debug)]
pub struct Wav {
    /// Samples a second of one channel, in hertz.
    pub sample_rate: u32,
    /// Interleaved channels.
    pub channels: u16,
    /// Bits of one sample.
    pub bits: u16,
    /// The samples, little-endian, without the header.
    pub pcm: Vec<u8>,
}

impl Wav {
    /// Reads a clip under `tests/fixtures/audio`.
    pub fn fixture(name: &str) -> anyhow::Result<Self> {
        Self::read(&super::fixture_path(name))
    }

    /// Reads a file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        Self::parse(&bytes).with_context(|| path.display().to_string())
    }

    /// Reads a file's bytes.
    pub fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        ensure!(
            bytes.len() > 12 && bytes.starts_with(b"RIFF") && &bytes[8..12] == b"WAVE",
            "no WAV"
        );
        let mut format = None;
        let mut at = 12;
        while let Some(chunk) = bytes.get(at..at + 8) {
            let length = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]) as usize;
            let body = bytes.get(at + 8..).unwrap_or_default();
            let body = &body[..length.min(body.len())];
            match &chunk[..4] {
                b"fmt " => format = Some(body),
                b"data" => return Self::from_parts(format.context("no format")?, body),
                _ => {}
            }
            at += 8 + length + length % 2;
        }
        anyhow::bail!("no data")
    }

    fn from_parts(format: &[u8], pcm: &[u8]) -> anyhow::Result<Self> {
        ensure!(format.len() >= 16, "short format");
        Ok(Self {
            channels: u16::from_le_bytes([format[2], format[3]]),
            sample_rate: u32::from_le_bytes([format[4], format[5], format[6], format[7]]),
            bits: u16::from_le_bytes([format[14], format[15]]),
            pcm: pcm.to_vec(),
        })
    }

    /// Bytes of one second.
    pub fn bytes_per_second(&self) -> usize {
        self.sample_rate as usize * usize::from(self.channels) * usize::from(self.bits / 8)
    }

    /// How long it lasts.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.pcm.len() as f64 / self.bytes_per_second().max(1) as f64)
    }

    /// Chunks of that length; the last may be shorter.
    pub fn chunks(&self, length: Duration) -> impl Iterator<Item = &[u8]> {
        let frame = (usize::from(self.channels) * usize::from(self.bits / 8)).max(1);
        let bytes = (self.bytes_per_second() as f64 * length.as_secs_f64()) as usize;
        self.pcm.chunks((bytes / frame * frame).max(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_are_read() {
        let wav = Wav::fixture("jfk.wav").unwrap();
        assert_eq!((wav.sample_rate, wav.channels, wav.bits), (16_000, 1, 16));
        assert_eq!(wav.duration().as_secs(), 11);
        assert_eq!(wav.chunks(Duration::from_millis(100)).count(), 110);
        assert!(Wav::parse(b"RIFF....WAVEnothing").is_err());
    }
}
