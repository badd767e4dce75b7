//! Raw audio of any encoding and channel count to mono samples between -1 and 1.

use crate::model::{Encoding, RawFormat};

/// Most channels that are mixed down.
pub const MAX_CHANNELS: u16 = 8;

/// Decodes a stream of raw audio; chunks need not end on a whole sample.
#[derive(Debug)]
pub struct PcmDecoder {
    encoding: Encoding,
    sample_bytes: usize,
    frame_bytes: usize,
    // The start of a frame whose rest has not come yet; shorter than one frame.
    rest: Vec<u8>,
}

impl PcmDecoder {
    /// A decoder, or `None` where the encoding is compressed or the channels are not 1 to 8.
    pub fn new(format: RawFormat) -> Option<Self> {
        let sample_bytes = format.encoding.bytes_per_sample()? as usize;
        let channels = (1..=MAX_CHANNELS).contains(&format.channels).then_some(format.channels)?;
        let frame_bytes = sample_bytes * usize::from(channels);
        Some(Self { encoding: format.encoding, sample_bytes, frame_bytes, rest: Vec::new() })
    }

    /// Appends the samples that `bytes` complete, all channels mixed to their mean.
    pub fn push(&mut self, mut bytes: &[u8], mono: &mut Vec<f32>) {
        if !self.rest.is_empty() {
            let missing = (self.frame_bytes - self.rest.len()).min(bytes.len());
            self.rest.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if self.rest.len() < self.frame_bytes {
                return;
            }
            mono.push(self.mix(&self.rest));
            self.rest.clear();
        }
        let frames = bytes.chunks_exact(self.frame_bytes);
        self.rest.extend_from_slice(frames.remainder());
        mono.reserve(frames.len());
        for frame in frames {
            mono.push(self.mix(frame));
        }
    }

    fn mix(&self, frame: &[u8]) -> f32 {
        let mut sum = 0.0;
        for sample in frame.chunks_exact(self.sample_bytes) {
            sum += decode(self.encoding, sample);
        }
        sum * self.sample_bytes as f32 / self.frame_bytes as f32
    }
}

/// Of so many samples one is looked at to tell how loud audio is; no number of channels shares a
/// factor with it, so that all of them are heard.
const LOOKED_AT: usize = 23;

/// The mean power of raw audio between 0 and 1, from a part of its samples; nothing where the encoding
/// is compressed. What is no whole sample at the end is left out.
pub fn power(encoding: Encoding, bytes: &[u8]) -> Option<f32> {
    let samples = bytes.chunks_exact(encoding.bytes_per_sample()? as usize).step_by(LOOKED_AT);
    let (mut sum, mut count) = (0.0, 0.0);
    for sample in samples {
        let value = decode(encoding, sample);
        sum += value * value;
        count += 1.0;
    }
    (count > 0.0).then(|| sum / count)
}

fn decode(encoding: Encoding, sample: &[u8]) -> f32 {
    match *sample {
        [low, high] => f32::from(i16::from_le_bytes([low, high])) / 32_768.0,
        [a, b, c, d] => {
            let value = f32::from_le_bytes([a, b, c, d]);
            if value.is_finite() { value.clamp(-1.0, 1.0) } else { 0.0 }
        }
        [byte] if encoding == Encoding::Mulaw => f32::from(mulaw(byte)) / 32_768.0,
        [byte] => f32::from(alaw(byte)) / 32_768.0,
        _ => 0.0,
    }
}

/// ITU-T G.711 §3, µ-law: inverted bits; sign, three bits of segment, four of step.
fn mulaw(byte: u8) -> i16 {
    let bits = !byte;
    let step = (i16::from(bits & 0x0F) << 3) + 0x84;
    let magnitude = (step << ((bits >> 4) & 7)) - 0x84;
    if bits & 0x80 == 0 { magnitude } else { -magnitude }
}

/// ITU-T G.711 §2, A-law: even bits inverted; a set sign bit means positive.
fn alaw(byte: u8) -> i16 {
    let bits = byte ^ 0x55;
    let step = i16::from(bits & 0x0F) << 4;
    let magnitude = match (bits >> 4) & 7 {
        0 => step + 8,
        segment => (step + 0x108) << (segment - 1),
    };
    if bits & 0x80 == 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode_all(format: RawFormat, chunks: &[&[u8]]) -> Vec<f32> {
        let mut mono = Vec::new();
        let mut decoder = PcmDecoder::new(format).unwrap();
        for chunk in chunks {
            decoder.push(chunk, &mut mono);
        }
        mono
    }

    #[test]
    fn g711_follows_the_tables_of_the_standard() {
        for (byte, value) in [(0x00, -32_124), (0x80, 32_124), (0xFF, 0), (0x7F, 0), (0xEF, 132)] {
            assert_eq!(mulaw(byte), value, "{byte:#x}");
        }
        for (byte, value) in [(0x55, -8), (0xD5, 8), (0x2A, -32_256), (0xAA, 32_256), (0x45, -264)]
        {
            assert_eq!(alaw(byte), value, "{byte:#x}");
        }
    }

    #[test]
    fn channels_are_mixed_to_their_mean() {
        let format = RawFormat { channels: 2, ..RawFormat::DEFAULT };
        let frame = [0x00, 0x40, 0x00, 0x00];
        assert_eq!(decode_all(format, &[&frame]), [0.25]);
    }

    #[test]
    fn floats_that_are_no_audio_become_silence() {
        let format = RawFormat { encoding: Encoding::Linear32, ..RawFormat::DEFAULT };
        let bytes = [f32::NAN, f32::INFINITY, 9.0, -0.5].map(f32::to_le_bytes).concat();
        assert_eq!(decode_all(format, &[&bytes]), [0.0, 0.0, 1.0, -0.5]);
    }

    #[test]
    fn compressed_encodings_and_odd_channels_are_not_taken() {
        let compressed = RawFormat { encoding: Encoding::Opus, ..RawFormat::DEFAULT };
        assert!(PcmDecoder::new(compressed).is_none());
        for channels in [0, 9] {
            assert!(PcmDecoder::new(RawFormat { channels, ..RawFormat::DEFAULT }).is_none());
        }
    }

    proptest! {
        #[test]
        fn chunks_may_be_cut_anywhere(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            cut in 0_usize..64,
        ) {
            let format = RawFormat { channels: 3, ..RawFormat::DEFAULT };
            let cut = cut.min(bytes.len());
            let parts: Vec<&[u8]> = vec![&bytes[..cut], &bytes[cut..]];
            prop_assert_eq!(decode_all(format, &parts), decode_all(format, &[&bytes]));
        }
    }
}
