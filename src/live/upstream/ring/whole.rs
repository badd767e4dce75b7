//! Compressed audio that only decodes from its start.

use std::collections::VecDeque;

use super::MAX_BYTES;
use crate::model::AudioChunk;

/// The whole stream, while it fits; then only what is not sent yet.
#[derive(Debug, Default)]
pub struct Ring {
    chunks: VecDeque<AudioChunk>,
    kept_bytes: u64,
    sent: usize,
    cut_short: bool,
}

impl Ring {
    /// What does not fit any more is forgotten rather than refused, once it was sent.
    pub(super) fn has_room(&self) -> bool {
        self.kept_bytes < MAX_BYTES || self.sent > 0
    }

    pub(super) fn push(&mut self, chunk: AudioChunk) {
        self.kept_bytes += chunk.bytes.len() as u64;
        self.chunks.push_back(chunk);
        while self.kept_bytes > MAX_BYTES && self.sent > 0 {
            let first = self.chunks.pop_front();
            self.kept_bytes -= first.map_or(0, |first| first.bytes.len() as u64);
            self.sent -= 1;
            self.cut_short = true;
        }
    }

    pub(super) fn unsent(&self) -> Option<&AudioChunk> {
        self.chunks.get(self.sent)
    }

    pub(super) fn mark_sent(&mut self) {
        self.sent += 1;
    }

    pub(super) fn rewind(&mut self) -> Option<u64> {
        self.sent = 0;
        (!self.cut_short).then_some(0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn chunk(seq: u64, length: usize) -> AudioChunk {
        AudioChunk { seq, bytes: vec![0; length].into(), received_at: Instant::now() }
    }

    #[test]
    fn is_replayed_whole_or_not_at_all() {
        let mut ring = Ring::default();
        ring.push(chunk(0, 10));
        ring.mark_sent();
        assert_eq!(ring.rewind(), Some(0));
        assert_eq!(ring.unsent().map(|chunk| chunk.bytes.len()), Some(10));
        ring.mark_sent();
        for seq in 1..10 {
            ring.push(chunk(seq, 1024 * 1024));
            ring.mark_sent();
        }
        assert!(ring.has_room());
        assert_eq!(ring.rewind(), None);
    }
}
