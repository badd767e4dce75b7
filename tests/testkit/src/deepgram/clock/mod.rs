//! How much audio a stream's bytes are worth.

mod mp3;
mod ogg;
mod wav;
mod webm;

use std::time::Instant;

pub(crate) use wav::Wav;

/// Bytes that are enough to tell what a container is.
const SNIFF_BYTES: usize = 12;

/// Tells audio time from bytes.
///
/// Raw audio counts by its byte rate, WAV by its header, Ogg by granule positions, WebM by block
/// time codes, MP3 by its frames. What cannot be read without a decoder (FLAC, MP4, raw Opus,
/// Speex, AMR, G.729) counts by the wall clock since the first byte, as live audio would.
#[derive(Debug)]
pub(crate) struct AudioClock {
    kind: Kind,
    channels: u64,
}

#[derive(Debug)]
enum Kind {
    Raw { bytes: u64, bytes_per_second: u64 },
    Unknown(Vec<u8>),
    Wav(Wav),
    Ogg(ogg::Ogg),
    Webm(webm::Webm),
    Mp3(mp3::Mp3),
    Wall(Option<Instant>),
    Undecodable,
}

impl AudioClock {
    /// A clock for raw audio of a fixed rate.
    pub(crate) fn raw(bytes_per_second: u64, channels: u64) -> Self {
        Self { kind: Kind::Raw { bytes: 0, bytes_per_second: bytes_per_second.max(1) }, channels }
    }

    /// A clock for audio that says itself what it is.
    pub(crate) fn container() -> Self {
        Self { kind: Kind::Unknown(Vec::new()), channels: 1 }
    }

    /// A clock for compressed audio without a container.
    pub(crate) fn wall() -> Self {
        Self { kind: Kind::Wall(None), channels: 1 }
    }

    /// Channels of the audio, where known.
    pub(crate) fn channels(&self) -> u64 {
        match &self.kind {
            Kind::Wav(wav) => wav.channels().unwrap_or(1),
            _ => self.channels,
        }
    }

    /// Whether the bytes turned out not to be audio.
    pub(crate) fn is_undecodable(&self) -> bool {
        match &self.kind {
            Kind::Wav(wav) => wav.is_broken(),
            kind => matches!(kind, Kind::Undecodable),
        }
    }

    /// Whether it can only count by the wall clock.
    pub(crate) const fn is_wall(&self) -> bool {
        matches!(self.kind, Kind::Wall(_))
    }

    /// Takes in bytes; microseconds of audio received so far.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> u64 {
        if let Kind::Unknown(seen) = &mut self.kind {
            seen.extend_from_slice(bytes);
            if seen.len() < SNIFF_BYTES {
                return 0;
            }
            let seen = std::mem::take(seen);
            self.kind = sniff(&seen);
            return self.feed_kind(&seen);
        }
        self.feed_kind(bytes)
    }

    fn feed_kind(&mut self, fed: &[u8]) -> u64 {
        match &mut self.kind {
            Kind::Raw { bytes, bytes_per_second } => {
                *bytes += fed.len() as u64;
                *bytes * 1_000_000 / *bytes_per_second
            }
            Kind::Wav(wav) => wav.feed(fed),
            Kind::Ogg(ogg) => ogg.feed(fed),
            Kind::Webm(webm) => webm.feed(fed),
            Kind::Mp3(mp3) => mp3.feed(fed),
            Kind::Wall(since) => {
                since.get_or_insert_with(Instant::now).elapsed().as_micros() as u64
            }
            Kind::Unknown(_) | Kind::Undecodable => 0,
        }
    }
}

fn sniff(bytes: &[u8]) -> Kind {
    match bytes {
        [b'R', b'I', b'F', b'F', ..] => Kind::Wav(Wav::default()),
        [b'O', b'g', b'g', b'S', ..] => Kind::Ogg(ogg::Ogg::default()),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Kind::Webm(webm::Webm::default()),
        [b'I', b'D', b'3', ..] => Kind::Mp3(mp3::Mp3::default()),
        [0xff, second, ..] if second & 0xe0 == 0xe0 => Kind::Mp3(mp3::Mp3::default()),
        [b'f', b'L', b'a', b'C', ..] | [_, _, _, _, b'f', b't', b'y', b'p', ..] => Kind::Wall(None),
        _ => Kind::Undecodable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::fixture_path;

    fn heard(clip: &str, cut: usize) -> f64 {
        let bytes = std::fs::read(fixture_path(clip)).unwrap();
        let mut clock = AudioClock::container();
        let last = bytes.chunks(cut).map(|chunk| clock.feed(chunk)).last().unwrap();
        last as f64 / 1e6
    }

    #[test]
    fn containers_are_timed_from_their_own_bytes() {
        for cut in [13, 999, 1 << 20] {
            assert!((heard("jfk.wav", cut) - 11.0).abs() < 0.01, "wav cut {cut}");
            let mp3 = heard("jfk.mp3", cut);
            assert!((mp3 - 11.0).abs() < 0.2, "mp3 cut {cut}: {mp3}");
            assert!((heard("multi/stereo_diarization.wav", cut) - 5.0).abs() < 0.01);
        }
    }

    #[test]
    fn stereo_is_noticed_and_noise_is_refused() {
        let mut clock = AudioClock::container();
        clock.feed(&std::fs::read(fixture_path("multi/stereo_diarization.wav")).unwrap());
        assert_eq!(clock.channels(), 2);
        let mut clock = AudioClock::container();
        clock.feed(b"this is not audio at all");
        assert!(clock.is_undecodable());
    }

    #[test]
    fn raw_audio_counts_bytes() {
        let mut clock = AudioClock::raw(32_000, 1);
        assert_eq!(clock.feed(&[0; 640]), 20_000);
        assert_eq!(clock.feed(&[0; 320]), 30_000);
    }
}
