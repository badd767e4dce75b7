//! Numbered audio: every 20 ms say which tenant, session and frame they are, so that what arrived
//! can be compared as a set instead of being listened to.

use std::collections::VecDeque;

/// Milliseconds of audio in one frame.
pub const FRAME_MS: u64 = 20;

const MAGIC: [u8; 8] = *b"\x7fNUMBR\x81\x80";
const HEADER_BYTES: usize = MAGIC.len() + 2 + 2 + 4 + 4;

/// Who a frame of audio is and where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Whose audio it is.
    pub tenant: u16,
    /// Which of the tenant's sessions.
    pub session: u16,
    /// The frame's number in its session, from 0.
    pub number: u32,
}

impl Mark {
    /// The word that a recogniser says for this frame.
    pub fn word(self) -> String {
        format!("f{:04}-{:04}-{:08}", self.tenant, self.session, self.number)
    }

    /// Reads such a word back.
    pub fn parse(word: &str) -> Option<Self> {
        let mut parts = word.strip_prefix('f')?.split('-');
        let tenant = parts.next()?.parse().ok()?;
        let session = parts.next()?.parse().ok()?;
        let number = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self { tenant, session, number })
    }

    fn header(self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..10].copy_from_slice(&self.tenant.to_le_bytes());
        header[10..12].copy_from_slice(&self.session.to_le_bytes());
        header[12..16].copy_from_slice(&self.number.to_le_bytes());
        header[16..].copy_from_slice(&self.checksum().to_le_bytes());
        header
    }

    fn checksum(self) -> u32 {
        let mixed = u32::from(self.tenant) << 16 | u32::from(self.session);
        (mixed ^ self.number.rotate_left(7)).wrapping_mul(0x9E37_79B1)
    }

    fn from_header(header: &[u8]) -> Option<Self> {
        let two = |at: usize| Some(u16::from_le_bytes(header.get(at..at + 2)?.try_into().ok()?));
        let four = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let mark = Self { tenant: two(8)?, session: two(10)?, number: four(12)? };
        (four(16)? == mark.checksum()).then_some(mark)
    }
}

/// Makes numbered audio of one session.
#[derive(Clone, Copy, Debug)]
pub struct NumberedAudio {
    /// Whose audio it is.
    pub tenant: u16,
    /// Which of the tenant's sessions.
    pub session: u16,
    /// Bytes of one second: 32 000 for 16 kHz mono linear16. At least 1 000 and a multiple of 50.
    pub bytes_per_second: u32,
}

impl NumberedAudio {
    /// Audio of 16 kHz mono linear16.
    pub const fn linear16(tenant: u16, session: u16) -> Self {
        Self { tenant, session, bytes_per_second: 32_000 }
    }

    /// Bytes of one frame.
    pub const fn frame_bytes(&self) -> usize {
        (self.bytes_per_second / 50) as usize
    }

    /// The frame of that number: [`FRAME_MS`] of audio.
    pub fn frame(&self, number: u32) -> Vec<u8> {
        let mark = Mark { tenant: self.tenant, session: self.session, number };
        let mut frame = mark.header().to_vec();
        frame.resize(self.frame_bytes().max(HEADER_BYTES), 0);
        frame
    }

    /// Frames `first..first + count`, one after the other.
    pub fn frames(&self, first: u32, count: u32) -> Vec<u8> {
        (first..first + count).flat_map(|number| self.frame(number)).collect()
    }
}

/// Finds frames in a byte stream, wherever they begin.
#[derive(Debug)]
pub(crate) struct Reader {
    frame_bytes: usize,
    buffer: VecDeque<u8>,
    dropped_bytes: u64,
}

impl Reader {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        let frame_bytes = (bytes_per_second / 50) as usize;
        let frame_bytes = frame_bytes.max(HEADER_BYTES);
        Self { frame_bytes, buffer: VecDeque::new(), dropped_bytes: 0 }
    }

    /// Bytes that are done with: all but the tail in which a frame may yet become whole.
    pub(crate) const fn consumed_bytes(&self) -> u64 {
        self.dropped_bytes
    }

    /// Takes in bytes; gives back the whole frames now seen, each with its first byte's offset.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Vec<(Mark, u64)> {
        self.buffer.extend(bytes);
        let mut found = Vec::new();
        let window = self.buffer.make_contiguous();
        let mut at = 0;
        while at + HEADER_BYTES <= window.len() {
            if !window[at..].starts_with(&MAGIC) {
                at += next_magic(&window[at + 1..]) + 1;
                continue;
            }
            match Mark::from_header(&window[at..at + HEADER_BYTES]) {
                None => at += 1,
                Some(_) if at + self.frame_bytes > window.len() => break,
                Some(mark) => {
                    found.push((mark, self.dropped_bytes + at as u64));
                    at += self.frame_bytes;
                }
            }
        }
        self.buffer.drain(..at.min(self.buffer.len()));
        self.dropped_bytes += at as u64;
        found
    }
}

/// Bytes until the next byte that may begin a frame.
fn next_magic(window: &[u8]) -> usize {
    window.iter().position(|byte| *byte == MAGIC[0]).unwrap_or(window.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_at_any_offset_and_in_any_cut() {
        let audio = NumberedAudio::linear16(3, 9);
        let mut bytes = vec![0x7f; 101];
        bytes.extend(audio.frames(5, 4));
        for cut in [1, 7, 640, 5000] {
            let mut reader = Reader::new(32_000);
            let found: Vec<_> = bytes.chunks(cut).flat_map(|chunk| reader.read(chunk)).collect();
            let numbers: Vec<_> = found.iter().map(|(mark, _)| mark.number).collect();
            assert_eq!(numbers, [5, 6, 7, 8], "cut {cut}");
            assert_eq!(found[1].1, 101 + 640, "cut {cut}");
        }
    }

    #[test]
    fn a_cut_frame_is_lost_and_the_next_is_found() {
        let bytes = NumberedAudio::linear16(1, 1).frames(0, 3);
        let found = Reader::new(32_000).read(&bytes[2..]);
        assert_eq!(found.iter().map(|(mark, _)| mark.number).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn words_are_read_back() {
        let mark = Mark { tenant: 1, session: 2, number: 345 };
        assert_eq!(Mark::parse(&mark.word()), Some(mark));
        assert_eq!(Mark::parse("f0001-0002"), None);
    }
}
