//! Audio as it arrives: chunks, raw encodings with their byte rate, and containers.

use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::mpeg;

/// Encodings of raw (header-less) audio, named as Deepgram names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encoding {
    /// Signed 16-bit little-endian PCM.
    Linear16,
    /// 32-bit little-endian floating-point PCM.
    Linear32,
    /// G.711 µ-law, one byte a sample.
    Mulaw,
    /// G.711 A-law, one byte a sample.
    Alaw,
    /// FLAC frames.
    Flac,
    /// Opus packets.
    Opus,
    /// Opus in Ogg pages.
    OggOpus,
    /// Adaptive multi-rate, 8 kHz.
    AmrNb,
    /// Adaptive multi-rate, 16 kHz.
    AmrWb,
    /// Speex packets.
    Speex,
    /// G.729 frames.
    G729,
}

impl Encoding {
    /// Every encoding, in the order in which errors list them.
    pub const ALL: [Self; 11] = [
        Self::Linear16,
        Self::Linear32,
        Self::Mulaw,
        Self::Alaw,
        Self::Flac,
        Self::Opus,
        Self::OggOpus,
        Self::AmrNb,
        Self::AmrWb,
        Self::Speex,
        Self::G729,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Linear16 => "linear16",
            Self::Linear32 => "linear32",
            Self::Mulaw => "mulaw",
            Self::Alaw => "alaw",
            Self::Flac => "flac",
            Self::Opus => "opus",
            Self::OggOpus => "ogg-opus",
            Self::AmrNb => "amr-nb",
            Self::AmrWb => "amr-wb",
            Self::Speex => "speex",
            Self::G729 => "g729",
        }
    }

    /// The encoding of that name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.as_str() == name)
    }

    /// Bytes that one sample of one channel takes; `None` where the encoding is compressed.
    pub const fn bytes_per_sample(self) -> Option<u32> {
        match self {
            Self::Linear16 => Some(2),
            Self::Linear32 => Some(4),
            Self::Mulaw | Self::Alaw => Some(1),
            _ => None,
        }
    }
}

/// Raw audio: an encoding, its sample rate in hertz and its interleaved channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawFormat {
    /// How samples are written.
    pub encoding: Encoding,
    /// Samples a second of one channel, in hertz.
    pub sample_rate: u32,
    /// Interleaved channels, at least one.
    pub channels: u16,
}

impl RawFormat {
    /// What the original assumed of every client: 16 kHz mono linear16.
    pub const DEFAULT: Self =
        Self { encoding: Encoding::Linear16, sample_rate: 16_000, channels: 1 };

    /// Bytes of one sample of all channels; `None` where the encoding is compressed.
    pub fn frame_bytes(&self) -> Option<u64> {
        let sample = self.encoding.bytes_per_sample()?;
        Some(u64::from(sample) * u64::from(self.channels))
    }

    /// Bytes of one second; `None` where the encoding is compressed.
    pub fn bytes_per_second(&self) -> Option<u64> {
        Some(self.frame_bytes()? * u64::from(self.sample_rate))
    }

    /// Milliseconds of audio, rounded down, in the first `bytes` bytes of the stream.
    pub fn bytes_to_ms(&self, bytes: u64) -> Option<u64> {
        let rate = self.bytes_per_second().filter(|rate| *rate > 0)?;
        Some(bytes.saturating_mul(1000) / rate)
    }

    /// The offset of the first whole frame at or after `ms` milliseconds.
    pub fn ms_to_bytes(&self, ms: u64) -> Option<u64> {
        let frame = self.frame_bytes()?;
        let frames = ms.saturating_mul(u64::from(self.sample_rate)).div_ceil(1000);
        Some(frames.saturating_mul(frame))
    }
}

/// Enough for every container but MPEG audio, which is told by its second frame.
const LONGEST_MAGIC_BYTES: usize = 12;

/// Container formats that carry their own description of the audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// Matroska or WebM, as browsers' MediaRecorder writes it.
    WebM,
    /// Ogg (Opus, Vorbis, FLAC).
    Ogg,
    /// RIFF WAVE.
    Wav,
    /// MPEG audio, with or without an ID3 tag.
    Mp3,
    /// Native FLAC.
    Flac,
    /// ISO media (MP4, M4A), as Safari's MediaRecorder writes it.
    Mp4,
}

impl Container {
    /// The usual file extension, which is also its name in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebM => "webm",
            Self::Ogg => "ogg",
            Self::Wav => "wav",
            Self::Mp3 => "mp3",
            Self::Flac => "flac",
            Self::Mp4 => "mp4",
        }
    }

    /// How many of a stream's first bytes decide what it is, as far as these can tell.
    pub fn decisive_bytes(first: &[u8]) -> usize {
        mpeg::decisive_bytes(first).max(LONGEST_MAGIC_BYTES)
    }

    /// Decides by the first bytes of a stream; `None` means raw audio.
    ///
    /// Magic numbers: EBML (RFC 8794 §11.2.1), OggS (RFC 3533 §6), RIFF/WAVE, ID3v2 or an MPEG
    /// audio frame header, fLaC (RFC 9639 §6), `ftyp` at offset 4 (ISO 14496-12).
    pub fn sniff(first: &[u8]) -> Option<Self> {
        match first {
            [0x1A, 0x45, 0xDF, 0xA3, ..] => Some(Self::WebM),
            [b'O', b'g', b'g', b'S', ..] => Some(Self::Ogg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some(Self::Wav),
            [b'I', b'D', b'3', ..] => Some(Self::Mp3),
            [b'f', b'L', b'a', b'C', ..] => Some(Self::Flac),
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some(Self::Mp4),
            _ if mpeg::is_audio(first) => Some(Self::Mp3),
            _ => None,
        }
    }
}

/// What a session's audio is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioFormat {
    /// Header-less samples.
    Raw(RawFormat),
    /// A container that describes itself.
    Container(Container),
}

/// One message of audio from a client.
#[derive(Clone, Debug)]
pub struct AudioChunk {
    /// Position in the session, from 0, without holes.
    pub seq: u64,
    /// The audio.
    pub bytes: Bytes,
    /// When the doorway took it from the socket.
    pub received_at: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sniffs_containers_and_leaves_pcm_alone() {
        assert_eq!(Container::sniff(b"RIFF\0\0\0\0WAVEfmt "), Some(Container::Wav));
        assert_eq!(Container::sniff(&[0x1A, 0x45, 0xDF, 0xA3, 0]), Some(Container::WebM));
        assert_eq!(Container::sniff(b"OggS\0\x02"), Some(Container::Ogg));
        assert_eq!(Container::sniff(b"ID3\x04"), Some(Container::Mp3));
        assert_eq!(Container::sniff(&[0xFF, 0xFB, 0x90, 0x00, 0, 0, 0, 0]), None);
        assert_eq!(Container::sniff(&[0xFF; 640]), None);
        assert_eq!(Container::sniff(&[]), None);
    }

    #[test]
    fn two_mpeg_frames_in_a_row_are_mp3() {
        let mut bytes = vec![0_u8; 417 + 4];
        bytes[..4].copy_from_slice(&[0xFF, 0xFB, 0x90, 0x00]);
        bytes[417..].copy_from_slice(&[0xFF, 0xFB, 0x90, 0x00]);
        assert_eq!(Container::sniff(&bytes), Some(Container::Mp3));
        assert_eq!(Container::decisive_bytes(&bytes[..4]), 417 + 4);
        assert_eq!(Container::decisive_bytes(&[0; 640]), 12);
    }

    #[test]
    fn bytes_and_milliseconds_agree() {
        let format = RawFormat::DEFAULT;
        assert_eq!(format.bytes_to_ms(3200), Some(100));
        assert_eq!(format.ms_to_bytes(100), Some(3200));
        let stereo = RawFormat { channels: 2, sample_rate: 44_100, ..format };
        assert_eq!(stereo.ms_to_bytes(1), Some(45 * 4));
    }
}
