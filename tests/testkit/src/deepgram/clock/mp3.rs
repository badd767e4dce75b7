//! Time of an MPEG audio stream, from its frame headers.

/// Kilobits a second of layer III, by version 1 and by versions 2 and 2.5.
const BITRATES: [[u64; 15]; 2] = [
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];
const ID3_HEADER_BYTES: usize = 10;

/// Walks frames as they arrive.
#[derive(Debug, Default)]
pub(crate) struct Mp3 {
    buffer: Vec<u8>,
    skip: usize,
    heard_ns: u64,
}

impl Mp3 {
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> u64 {
        self.buffer.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let skipped = self.skip.min(self.buffer.len() - at);
            self.skip -= skipped;
            at += skipped;
            if self.skip > 0 || !self.step(&mut at) {
                break;
            }
        }
        self.buffer.drain(..at);
        self.heard_ns / 1000
    }

    /// Reads a tag or a frame header; false when more bytes are needed.
    fn step(&mut self, at: &mut usize) -> bool {
        let Some(window) = self.buffer.get(*at..*at + ID3_HEADER_BYTES) else { return false };
        if window.starts_with(b"ID3") {
            let size =
                window[6..10].iter().fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f));
            self.skip = ID3_HEADER_BYTES + size;
        } else if let Some((length, duration_ns)) = frame(window) {
            self.skip = length;
            self.heard_ns += duration_ns;
        } else {
            *at += 1;
        }
        true
    }
}

/// Bytes and nanoseconds of the layer III frame whose header this is.
fn frame(header: &[u8]) -> Option<(usize, u64)> {
    if header[0] != 0xff || header[1] & 0xe6 != 0xe2 {
        return None;
    }
    let version = header[1] >> 3 & 3;
    let is_one = version == 3;
    let bitrate = BITRATES[usize::from(!is_one)].get(usize::from(header[2] >> 4)).copied()? * 1000;
    let base = [44_100, 48_000, 32_000].get(usize::from(header[2] >> 2 & 3)).copied()?;
    let rate = match version {
        3 => base,
        2 => base / 2,
        0 => base / 4,
        _ => return None,
    };
    let samples: u64 = if is_one { 1152 } else { 576 };
    let length = samples / 8 * bitrate / rate + u64::from(header[2] >> 1 & 1);
    (bitrate > 0).then_some((length as usize, samples * 1_000_000_000 / rate))
}
