//! Raw audio: a byte is a place in time.

use std::collections::VecDeque;

use super::{MAX_BYTES, MAX_SECONDS};
use crate::model::{AudioChunk, RawFormat};

/// Samples after the last final.
#[derive(Debug)]
pub struct Ring {
    format: RawFormat,
    chunks: VecDeque<AudioChunk>,
    /// Offset in the session of the first kept byte.
    start_bytes: u64,
    kept_bytes: u64,
    bound_bytes: u64,
    /// How many of `chunks` were handed to the present connection.
    sent: usize,
}

impl Ring {
    pub(super) fn new(format: RawFormat, origin_ms: u64) -> Self {
        let rate = format.bytes_per_second().unwrap_or(MAX_BYTES);
        Self {
            format,
            chunks: VecDeque::new(),
            start_bytes: format.ms_to_bytes(origin_ms).unwrap_or(0),
            kept_bytes: 0,
            bound_bytes: (rate * MAX_SECONDS).min(MAX_BYTES),
            sent: 0,
        }
    }

    pub(super) fn bytes_per_second(&self) -> Option<u64> {
        self.format.bytes_per_second()
    }

    pub(super) fn has_room(&self) -> bool {
        self.kept_bytes < self.bound_bytes
    }

    pub(super) fn push(&mut self, chunk: AudioChunk) -> Option<u64> {
        self.kept_bytes += chunk.bytes.len() as u64;
        self.chunks.push_back(chunk);
        self.end_ms()
    }

    pub(super) fn end_ms(&self) -> Option<u64> {
        self.format.bytes_to_ms(self.start_bytes + self.kept_bytes)
    }

    pub(super) fn unsent(&self) -> Option<&AudioChunk> {
        self.chunks.get(self.sent)
    }

    pub(super) fn mark_sent(&mut self) {
        self.sent += 1;
    }

    pub(super) fn cover(&mut self, ms: u64) {
        let Some(until) = self.format.ms_to_bytes(ms) else { return };
        while let Some(first) = self.chunks.front() {
            let length = first.bytes.len() as u64;
            // What is still to be sent is kept, whatever a provider claims to have heard.
            if self.sent == 0 || self.start_bytes + length > until {
                break;
            }
            self.chunks.pop_front();
            self.start_bytes += length;
            self.kept_bytes -= length;
            self.sent -= 1;
        }
    }

    pub(super) fn rewind(&mut self, ms: u64) -> Option<u64> {
        self.sent = self.chunks.len();
        self.cover(ms);
        self.sent = 0;
        self.trim_front(self.format.ms_to_bytes(ms)?);
        self.format.bytes_to_ms(self.start_bytes)
    }

    /// Cuts the chunk that straddles `until`, which stands between two samples.
    fn trim_front(&mut self, until: u64) {
        let cut = until.saturating_sub(self.start_bytes);
        if let Some(first) = self.chunks.front_mut()
            && cut > 0
            && cut < first.bytes.len() as u64
        {
            first.bytes = first.bytes.slice(cut as usize..);
            self.start_bytes += cut;
            self.kept_bytes -= cut;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    fn chunk(seq: u64, bytes: Vec<u8>) -> AudioChunk {
        AudioChunk { seq, bytes: bytes.into(), received_at: Instant::now() }
    }

    proptest! {
        /// Whatever was covered, a new connection gets exactly the rest, from a whole sample on.
        #[test]
        fn a_rewind_gives_every_byte_after_the_cover(
            sizes in prop::collection::vec(1_usize..5_000, 1..40),
            covered in 0_u64..2_000,
            rewound in 0_u64..500,
        ) {
            let raw = RawFormat::DEFAULT;
            let mut ring = Ring::new(raw, 0);
            let mut all = Vec::new();
            for (seq, size) in sizes.iter().enumerate() {
                let bytes: Vec<u8> = (0..*size).map(|at| (all.len() + at) as u8).collect();
                all.extend_from_slice(&bytes);
                ring.push(chunk(seq as u64, bytes));
                ring.mark_sent();
            }
            let total_ms = raw.bytes_to_ms(all.len() as u64).expect("raw");
            let first = covered.min(total_ms);
            ring.cover(first);
            let cover = (first + rewound).min(total_ms);
            let origin_ms = ring.rewind(cover).expect("raw audio can always be rewound");
            let mut replayed = Vec::new();
            while let Some(chunk) = ring.unsent() {
                replayed.extend_from_slice(&chunk.bytes);
                ring.mark_sent();
            }
            let from = raw.ms_to_bytes(cover).expect("raw") as usize;
            prop_assert_eq!(&replayed[..], &all[from.min(all.len())..]);
            if !replayed.is_empty() {
                prop_assert_eq!(origin_ms, cover);
            }
        }
    }

    #[test]
    fn is_bounded_by_its_time() {
        let mut ring = Ring::new(RawFormat::DEFAULT, 0);
        for seq in 0..30 {
            assert!(ring.has_room());
            ring.push(chunk(seq, vec![0; 32_000]));
        }
        assert!(!ring.has_room());
    }
}
