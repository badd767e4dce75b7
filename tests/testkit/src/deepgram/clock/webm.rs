//! Time of a WebM or Matroska stream, from the time codes of its blocks.

const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_A966;
const TIMECODE_SCALE: u32 = 0x002A_D7B1;
const CLUSTER: u32 = 0x1F43_B675;
const CLUSTER_TIMECODE: u32 = 0xE7;
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;
const SIMPLE_BLOCK: u32 = 0xA3;

/// Walks elements as they arrive.
#[derive(Debug)]
pub(crate) struct Webm {
    buffer: Vec<u8>,
    /// Bytes of an element that is not read, still to come.
    skip: u64,
    scale_ns: u64,
    cluster: u64,
    last_us: u64,
    heard_us: u64,
}

impl Default for Webm {
    fn default() -> Self {
        Self {
            buffer: Vec::new(),
            skip: 0,
            scale_ns: 1_000_000,
            cluster: 0,
            last_us: 0,
            heard_us: 0,
        }
    }
}

impl Webm {
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> u64 {
        self.buffer.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let skipped = self.skip.min((self.buffer.len() - at) as u64);
            self.skip -= skipped;
            at += skipped as usize;
            match self.element(at) {
                Some(next) => at = next,
                None => break,
            }
        }
        self.buffer.drain(..at);
        self.heard_us
    }

    /// Reads the element at `at`; where to go on, or `None` when more bytes are needed.
    fn element(&mut self, at: usize) -> Option<usize> {
        let (id, id_bytes) = number(self.buffer.get(at..)?, true)?;
        let (size, size_bytes) = number(self.buffer.get(at + id_bytes..)?, false)?;
        let body = at + id_bytes + size_bytes;
        match id as u32 {
            // Their children are read one by one; their own sizes may be unknown.
            SEGMENT | INFO | CLUSTER | BLOCK_GROUP => return Some(body),
            TIMECODE_SCALE | CLUSTER_TIMECODE => {
                let content = self.buffer.get(body..body + size as usize)?;
                let value = content.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
                if id as u32 == TIMECODE_SCALE {
                    self.scale_ns = value;
                } else {
                    self.cluster = value;
                }
            }
            SIMPLE_BLOCK | BLOCK => {
                let content = self.buffer.get(body..body + 4.min(size as usize))?;
                if let [_, high, low, _] = content {
                    self.note_block(i16::from_be_bytes([*high, *low]));
                }
            }
            _ => {}
        }
        self.skip = size;
        Some(body)
    }

    /// A block's own length is not written down: it is taken to be that of the one before.
    fn note_block(&mut self, offset: i16) {
        let ticks = self.cluster.saturating_add_signed(i64::from(offset));
        let start_us = ticks.saturating_mul(self.scale_ns) / 1000;
        let length_us = start_us.saturating_sub(self.last_us).min(120_000);
        self.last_us = start_us;
        self.heard_us = self.heard_us.max(start_us + length_us);
    }
}

/// An EBML number and its length in bytes; an id keeps its length marker.
fn number(bytes: &[u8], is_id: bool) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    if length > 8 {
        return Some((0, 1));
    }
    let rest = bytes.get(1..length)?;
    let head = if is_id { u64::from(first) } else { u64::from(first) & ((1 << (8 - length)) - 1) };
    Some((rest.iter().fold(head, |value, byte| value << 8 | u64::from(*byte)), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(offset: i16) -> Vec<u8> {
        let mut block = vec![0xA3, 0x98, 0x81];
        block.extend(offset.to_be_bytes());
        block.extend([0; 21]);
        block
    }

    #[test]
    fn block_time_codes_are_time() {
        let mut bytes = vec![0x1A, 0x45, 0xDF, 0xA3, 0x84, 1, 2, 3, 4];
        bytes.extend([0x18, 0x53, 0x80, 0x67, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        for cluster in [0_u16, 1000] {
            bytes.extend([0x1F, 0x43, 0xB6, 0x75, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
            bytes.extend([0xE7, 0x82]);
            bytes.extend(cluster.to_be_bytes());
            bytes.extend((0..50).flat_map(|index| block(index * 20)));
        }
        for cut in [1, 100, 1 << 16] {
            let mut webm = Webm::default();
            let heard = bytes.chunks(cut).map(|chunk| webm.feed(chunk)).last();
            assert_eq!(heard, Some(2_000_000), "cut {cut}");
        }
    }
}
