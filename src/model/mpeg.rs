//! Frame headers of MPEG audio, layer III (ISO 11172-3 §2.4.2.3, ISO 13818-3).

/// What a frame header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of the whole frame.
    pub length: usize,
    /// Samples of one channel.
    pub samples: u64,
    /// Samples a second.
    pub hertz: u64,
}

const HEADER_BYTES: usize = 4;
const KBPS_V1: [usize; 16] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0];
const KBPS_V2: [usize; 16] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0];
const HERTZ: [usize; 3] = [44_100, 48_000, 32_000];

impl Frame {
    /// Reads the header that opens `bytes`.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let &[sync, version_layer, rates, ..] = bytes else { return None };
        if sync != 0xFF || version_layer & 0xE6 != 0xE2 {
            return None;
        }
        let (table, divisor, samples) = match (version_layer >> 3) & 3 {
            3 => (KBPS_V1, 1, 1152),
            2 => (KBPS_V2, 2, 576),
            0 => (KBPS_V2, 4, 576),
            _ => return None,
        };
        let kbps = table[usize::from(rates >> 4)];
        let hertz = HERTZ.get(usize::from((rates >> 2) & 3))? / divisor;
        let length = samples / 8 * kbps * 1000 / hertz + usize::from((rates >> 1) & 1);
        (kbps > 0).then_some(Self { length, samples: samples as u64, hertz: hertz as u64 })
    }
}

/// How many bytes hold the first frame and the next header; 0 if no frame opens `bytes`.
pub fn decisive_bytes(bytes: &[u8]) -> usize {
    Frame::read(bytes).map_or(0, |first| first.length + HEADER_BYTES)
}

/// Whether two consecutive frames stand where the first says.
///
/// A single sync word is not enough: raw PCM near silence holds `FF FB` by chance.
pub fn is_audio(bytes: &[u8]) -> bool {
    let Some(first) = Frame::read(bytes) else { return false };
    bytes.get(first.length..).is_some_and(|next| Frame::read(next).is_some())
}
