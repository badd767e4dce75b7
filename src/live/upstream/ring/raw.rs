//! Raw audio: a byte is a place in time.

use std::collections::VecDeque;

use super::{Cursor, MAX_BYTES, MAX_SECONDS, SPARE_SECONDS};
use crate::model::{AudioChunk, RawFormat};

/// Samples that somebody still needs; there may be holes between them.
#[derive(Debug)]
pub struct Ring {
    format: RawFormat,
    kept: VecDeque<Kept>,
    kept_bytes: u64,
    /// Offset in the session of the byte to come.
    end_bytes: u64,
    bound_bytes: u64,
    spare_bytes: u64,
}

#[derive(Debug)]
struct Kept {
    /// Offset in the session of its first byte.
    at: u64,
    chunk: AudioChunk,
}

impl Kept {
    fn end(&self) -> u64 {
        self.at + self.chunk.bytes.len() as u64
    }
}

impl Ring {
    pub(super) fn new(format: RawFormat, origin_ms: u64) -> Self {
        let rate = format.bytes_per_second().unwrap_or(MAX_BYTES);
        let bound_bytes = (rate * MAX_SECONDS).min(MAX_BYTES);
        Self {
            format,
            kept: VecDeque::new(),
            kept_bytes: 0,
            end_bytes: format.ms_to_bytes(origin_ms).unwrap_or(0),
            bound_bytes,
            spare_bytes: (rate * SPARE_SECONDS).min(MAX_BYTES - bound_bytes),
        }
    }

    pub(super) fn bytes_per_second(&self) -> Option<u64> {
        self.format.bytes_per_second()
    }

    pub(super) const fn has_room(&self, overtaking: bool) -> bool {
        self.kept_bytes < self.bound_bytes + if overtaking { self.spare_bytes } else { 0 }
    }

    pub(super) fn push(&mut self, chunk: AudioChunk) -> Option<u64> {
        let kept = Kept { at: self.end_bytes, chunk };
        self.kept_bytes += kept.chunk.bytes.len() as u64;
        self.end_bytes = kept.end();
        self.kept.push_back(kept);
        self.end_ms()
    }

    pub(super) fn end_ms(&self) -> Option<u64> {
        self.ms_of(self.end_bytes)
    }

    pub(super) fn ms_of(&self, bytes: u64) -> Option<u64> {
        self.format.bytes_to_ms(bytes)
    }

    pub(super) fn begin(&self, ms: u64, back_ms: u64) -> Option<Cursor> {
        let (at, before) = (self.offset(ms)?, self.offset(ms.saturating_sub(back_ms))?);
        let at_bytes = if self.holds(before, at) { before } else { at };
        Some(Cursor { origin_ms: self.ms_of(at_bytes)?, at_bytes })
    }

    pub(super) fn next(&self, cursor: &Cursor, limit_ms: Option<u64>) -> Option<AudioChunk> {
        let from = cursor.at_bytes;
        let kept = self.kept.get(self.index_of(from)).filter(|kept| kept.at <= from)?;
        let limit = limit_ms.and_then(|ms| self.offset(ms)).unwrap_or(u64::MAX);
        let until = kept.end().min(limit);
        let range = (from - kept.at) as usize..(until.checked_sub(kept.at)?) as usize;
        let bytes = (range.start < range.end).then(|| kept.chunk.bytes.slice(range))?;
        Some(AudioChunk { bytes, ..kept.chunk.clone() })
    }

    pub(super) fn keep(&mut self, needed: &[(u64, u64)]) {
        let offset = |ms: u64| self.format.ms_to_bytes(ms).unwrap_or(0);
        let needed: Vec<_> =
            needed.iter().map(|(from, until)| (offset(*from), offset(*until))).collect();
        let is_needed =
            |kept: &Kept| needed.iter().any(|(from, until)| kept.end() > *from && kept.at < *until);
        while let Some(kept) = self.kept.pop_front_if(|kept| !is_needed(kept)) {
            self.kept_bytes -= kept.chunk.bytes.len() as u64;
        }
        // Holes are made by several ranges only.
        if needed.len() > 1 {
            self.kept.retain(|kept| is_needed(kept));
            self.kept_bytes = self.kept.iter().map(|kept| kept.chunk.bytes.len() as u64).sum();
        }
    }

    pub(super) fn let_go(&mut self, ms: u64) -> Option<u64> {
        let at = self.index_of(self.offset(ms)?);
        let gone = self.kept.remove(at)?;
        self.kept_bytes -= gone.chunk.bytes.len() as u64;
        self.first_ms_at(gone.end())
    }

    pub(super) fn seam_ms(&self) -> Option<u64> {
        self.first_ms_at(self.end_bytes)
    }

    /// The first moment that begins at or after that offset.
    fn first_ms_at(&self, bytes: u64) -> Option<u64> {
        let frames = bytes.div_ceil(self.format.frame_bytes()?);
        Some((frames * 1000).div_ceil(u64::from(self.format.sample_rate)))
    }

    fn offset(&self, ms: u64) -> Option<u64> {
        self.format.ms_to_bytes(ms)
    }

    /// The first chunk that ends after that offset.
    fn index_of(&self, offset: u64) -> usize {
        self.kept.partition_point(|kept| kept.end() <= offset)
    }

    /// Whether every byte between two offsets is there, of those that have come.
    fn holds(&self, from: u64, until: u64) -> bool {
        let (mut reached, until) = (from, until.min(self.end_bytes));
        for kept in self.kept.range(self.index_of(from)..) {
            if kept.at > reached || reached >= until {
                break;
            }
            reached = kept.end();
        }
        reached >= until
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

    fn read(ring: &Ring, mut cursor: Cursor, limit_ms: Option<u64>) -> Vec<u8> {
        let mut read = Vec::new();
        while let Some(chunk) = ring.next(&cursor, limit_ms) {
            cursor.at_bytes += chunk.bytes.len() as u64;
            read.extend_from_slice(&chunk.bytes);
        }
        read
    }

    proptest! {
        /// Whatever was covered, a new connection gets exactly the rest, from a whole sample on.
        #[test]
        fn every_byte_that_is_needed_is_kept(
            sizes in prop::collection::vec(1_usize..5_000, 1..40),
            origin in 0_u64..3_000,
            (from, until, newer) in (0_u64..2_000, 0_u64..1_000, 0_u64..1_000),
        ) {
            let raw = RawFormat::DEFAULT;
            let mut ring = Ring::new(raw, origin);
            let mut all = Vec::new();
            for (seq, size) in sizes.iter().enumerate() {
                let bytes: Vec<u8> = (0..*size).map(|at| (all.len() + at) as u8).collect();
                all.extend_from_slice(&bytes);
                ring.push(chunk(seq as u64, bytes));
            }
            let (from, until) = (origin + from, origin + from + until);
            let newer = until + newer;
            ring.keep(&[(from, until), (newer, u64::MAX)]);
            let at = |ms: u64| (raw.ms_to_bytes(ms - origin).expect("raw") as usize).min(all.len());
            let first = ring.begin(from, 0).expect("raw audio can always be begun");
            prop_assert_eq!(read(&ring, first, Some(until)), &all[at(from)..at(until)]);
            let second = ring.begin(newer, 0).expect("raw audio can always be begun");
            prop_assert_eq!(read(&ring, second, None), &all[at(newer)..]);
            prop_assert_eq!(second.origin_ms, newer);
            let kept: u64 = ring.kept.iter().map(|kept| kept.chunk.bytes.len() as u64).sum();
            prop_assert_eq!(kept, ring.kept_bytes);
        }
    }

    #[test]
    fn is_bounded_by_its_time() {
        let mut ring = Ring::new(RawFormat::DEFAULT, 0);
        for seq in 0..30 {
            assert!(ring.has_room(false));
            ring.push(chunk(seq, vec![0; 32_000]));
        }
        assert!(!ring.has_room(false) && ring.has_room(true));
        assert_eq!(ring.let_go(500), Some(1000));
        assert_eq!(ring.let_go(1000), Some(2000));
        assert!(ring.has_room(false));
    }

    #[test]
    fn goes_back_only_over_audio_that_is_there() {
        let mut ring = Ring::new(RawFormat::DEFAULT, 0);
        for seq in 0..4 {
            ring.push(chunk(seq, vec![0; 32_000]));
        }
        assert_eq!(ring.begin(2000, 500).map(|cursor| cursor.origin_ms), Some(1500));
        ring.keep(&[(2000, u64::MAX)]);
        assert_eq!(ring.begin(2000, 500).map(|cursor| cursor.origin_ms), Some(2000));
    }
}
