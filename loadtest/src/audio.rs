//! The audio a stream sends: a looped WAV file or a tone, cut in chunks.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use tokio_tungstenite::tungstenite::Bytes;

const SAMPLE_RATE_HZ: u64 = 16_000;
const BYTES_PER_SAMPLE: u64 = 2;
const TONE_HZ: f64 = 220.0;
const TONE_SECONDS: u64 = 1;

/// Chunks of 16 kHz mono 16-bit PCM, used in a circle.
#[derive(Debug)]
pub(crate) struct Audio {
    chunks: Vec<Bytes>,
}

impl Audio {
    /// Reads the WAV file, or makes a tone.
    pub(crate) fn load(wav: Option<&Path>, chunk_ms: u64) -> Result<Self> {
        let samples = match wav {
            Some(path) => {
                let file = std::fs::read(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                samples_of(&file).with_context(|| path.display().to_string())?.to_vec()
            }
            None => tone(),
        };
        let chunk_bytes = usize::try_from(SAMPLE_RATE_HZ * BYTES_PER_SAMPLE * chunk_ms / 1000)?;
        let repeats = chunk_bytes.div_ceil(samples.len().max(1));
        let chunks: Vec<Bytes> =
            samples.repeat(repeats).chunks_exact(chunk_bytes).map(Bytes::copy_from_slice).collect();
        ensure!(!chunks.is_empty(), "the audio is empty");
        Ok(Self { chunks })
    }

    /// Chunk `index` of the endless loop.
    pub(crate) fn chunk(&self, index: u64) -> Bytes {
        let index = index % self.chunks.len() as u64;
        usize::try_from(index).ok().and_then(|at| self.chunks.get(at)).cloned().unwrap_or_default()
    }
}

fn tone() -> Vec<u8> {
    (0..SAMPLE_RATE_HZ * TONE_SECONDS)
        .flat_map(|at| {
            let phase = at as f64 / SAMPLE_RATE_HZ as f64 * TONE_HZ * std::f64::consts::TAU;
            ((phase.sin() * 8000.0) as i16).to_le_bytes()
        })
        .collect()
}

/// The data part of a WAV file of the one form the service takes without being told.
fn samples_of(file: &[u8]) -> Result<&[u8]> {
    ensure!(file.len() > 12 && &file[..4] == b"RIFF" && &file[8..12] == b"WAVE", "not a WAV file");
    let mut rest = &file[12..];
    let mut format_checked = false;
    while let Some((header, body)) = rest.split_at_checked(8) {
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let part = &body[..length.min(body.len())];
        match &header[..4] {
            b"fmt " => {
                check_format(part)?;
                format_checked = true;
            }
            b"data" if format_checked => return Ok(part),
            _ => {}
        }
        rest = body.get(length + length % 2..).unwrap_or_default();
    }
    bail!("the WAV file has no data part")
}

fn check_format(part: &[u8]) -> Result<()> {
    // Channels at 2, sample rate at 4, bits per sample at 14.
    ensure!(part.len() >= 16, "the WAV file's format part is cut short");
    let rate_hz = u32::from_le_bytes([part[4], part[5], part[6], part[7]]);
    let form = (part[2], u64::from(rate_hz), part[14]);
    ensure!(form == (1, SAMPLE_RATE_HZ, 16), "wants mono, 16000 Hz, 16 bits; has {form:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(channels: u8, data: &[u8]) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0".to_vec();
        file.extend([channels, 0, 0x80, 0x3e, 0, 0, 0, 0x7d, 0, 0, 2, 0, 16, 0]);
        file.extend(b"LIST\x03\0\0\0abc\0data");
        file.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        file.extend(data);
        file
    }

    #[test]
    fn samples_are_found_behind_other_parts() {
        assert_eq!(samples_of(&wav(1, &[1, 2, 3, 4])).unwrap(), &[1, 2, 3, 4]);
    }

    #[test]
    fn other_forms_are_refused() {
        assert!(samples_of(&wav(2, &[1, 2])).is_err());
        assert!(samples_of(b"ID3").is_err());
        assert!(samples_of(&wav(1, &[])[..40]).is_err());
    }

    #[test]
    fn a_tone_is_cut_in_whole_chunks_and_loops() {
        let audio = Audio::load(None, 100).unwrap();
        assert_eq!(audio.chunk(0).len(), 3200);
        assert_eq!(audio.chunk(3), audio.chunk(13));
        assert_ne!(audio.chunk(0), Bytes::from(vec![0; 3200]));
    }
}
