//! Where each chunk lies on the audio's timeline, and what a cursor on it means.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::model::AudioChunk;

/// Chunks that are remembered until they are durable; past it the oldest are let go.
const BOUND: usize = 16_384;

/// Maps between chunks and milliseconds of session audio.
#[derive(Debug, Default)]
pub struct Timeline {
    chunks: VecDeque<Placed>,
    first_received: Option<Instant>,
    acked_seq: Option<u64>,
    /// The chunk after the last that was let go of.
    next: Place,
}

/// Where a chunk begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub seq: u64,
    /// In milliseconds of session audio.
    pub start_ms: u64,
    /// In bytes of raw session audio, which a millisecond may not measure exactly.
    pub start_bytes: u64,
}

#[derive(Debug)]
struct Placed {
    end_ms: u64,
    /// Where the next one begins.
    next: Place,
    received_at: Instant,
}

impl Timeline {
    /// The timeline of a session that goes on with that chunk.
    pub fn from(next: Place) -> Self {
        Self { next, acked_seq: next.seq.checked_sub(1), ..Self::default() }
    }

    /// The chunk in which `ms` lies, or the one to come after all.
    pub fn chunk_at(&self, ms: u64) -> Place {
        let count = self.chunks.partition_point(|chunk| chunk.end_ms <= ms);
        let before = count.checked_sub(1).and_then(|last| self.chunks.get(last));
        before.map_or(self.next, |before| before.next)
    }

    /// Notes a chunk that ends at `end_ms`; where that is unknown, as in a container, its time of
    /// arrival stands for it. Returns where the chunk was placed.
    pub fn place(&mut self, chunk: &AudioChunk, end_ms: Option<u64>, end_bytes: u64) -> u64 {
        let first = *self.first_received.get_or_insert(chunk.received_at);
        let end_ms = end_ms.unwrap_or_else(|| {
            u64::try_from((chunk.received_at - first).as_millis()).unwrap_or(u64::MAX)
        });
        if self.chunks.len() == BOUND {
            self.let_go();
        }
        let next =
            Place { seq: chunk.seq.saturating_add(1), start_ms: end_ms, start_bytes: end_bytes };
        self.chunks.push_back(Placed { end_ms, next, received_at: chunk.received_at });
        end_ms
    }

    /// How long ago the last chunk that ends at or before `ms` arrived.
    pub fn age_of(&self, ms: u64) -> Option<Duration> {
        let count = self.chunks.partition_point(|chunk| chunk.end_ms <= ms);
        let last = self.chunks.get(count.checked_sub(1)?)?;
        Some(last.received_at.elapsed())
    }

    /// Everything up to `ms` is durable; returns the last chunk that is wholly so.
    pub fn acknowledge(&mut self, ms: u64) -> Option<u64> {
        while let Some(chunk) = self.chunks.front().filter(|chunk| chunk.end_ms <= ms) {
            self.acked_seq = chunk.next.seq.checked_sub(1);
            self.let_go();
        }
        self.acked_seq
    }

    fn let_go(&mut self) {
        if let Some(chunk) = self.chunks.pop_front() {
            self.next = chunk.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn acknowledges_whole_chunks_only() {
        let mut timeline = Timeline::default();
        for seq in 0..5 {
            let chunk = AudioChunk { seq, bytes: Bytes::new(), received_at: Instant::now() };
            timeline.place(&chunk, Some((seq + 1) * 100), 0);
        }
        let chunk_at = |timeline: &Timeline, ms| {
            let Place { seq, start_ms, .. } = timeline.chunk_at(ms);
            (seq, start_ms)
        };
        assert_eq!(chunk_at(&timeline, 0), (0, 0));
        assert_eq!(chunk_at(&timeline, 199), (1, 100));
        assert_eq!(chunk_at(&timeline, 200), (2, 200));
        assert_eq!(timeline.acknowledge(99), None);
        assert_eq!(timeline.acknowledge(250), Some(1));
        assert_eq!(timeline.acknowledge(250), Some(1));
        assert!(timeline.age_of(300).is_some());
        assert_eq!(timeline.acknowledge(500), Some(4));
        assert!(timeline.age_of(500).is_none());
        assert_eq!(chunk_at(&timeline, 500), (5, 500));
    }

    #[test]
    fn goes_on_where_another_owner_left_it() {
        let next = Place { seq: 7, start_ms: 700, start_bytes: 22_401 };
        let mut timeline = Timeline::from(next);
        assert_eq!((timeline.acknowledge(650), timeline.chunk_at(750)), (Some(6), next));
        let chunk = AudioChunk { seq: 7, bytes: Bytes::new(), received_at: Instant::now() };
        timeline.place(&chunk, Some(800), 25_602);
        assert_eq!(timeline.chunk_at(799), next);
        let after = Place { seq: 8, start_ms: 800, start_bytes: 25_602 };
        assert_eq!(timeline.chunk_at(800), after);
    }
}
