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
    /// The chunk after the last that was let go of, and where it begins.
    next: (u64, u64),
}

#[derive(Debug)]
struct Placed {
    seq: u64,
    end_ms: u64,
    received_at: Instant,
}

impl Timeline {
    /// The timeline of a session that goes on with the chunk of that number, which begins there.
    pub fn from(seq: u64, start_ms: u64) -> Self {
        Self { next: (seq, start_ms), acked_seq: seq.checked_sub(1), ..Self::default() }
    }

    /// The chunk in which `ms` lies, or the one to come after all, and where it begins.
    pub fn chunk_at(&self, ms: u64) -> (u64, u64) {
        let count = self.chunks.partition_point(|chunk| chunk.end_ms <= ms);
        match count.checked_sub(1).and_then(|last| self.chunks.get(last)) {
            Some(last) => (last.seq + 1, last.end_ms),
            None => self.next,
        }
    }

    /// Notes a chunk that ends at `end_ms`; where that is unknown, as in a container, its time of
    /// arrival stands for it. Returns where the chunk was placed.
    pub fn place(&mut self, chunk: &AudioChunk, end_ms: Option<u64>) -> u64 {
        let first = *self.first_received.get_or_insert(chunk.received_at);
        let end_ms = end_ms.unwrap_or_else(|| {
            u64::try_from((chunk.received_at - first).as_millis()).unwrap_or(u64::MAX)
        });
        if self.chunks.len() == BOUND {
            self.let_go();
        }
        let (seq, received_at) = (chunk.seq, chunk.received_at);
        self.chunks.push_back(Placed { seq, end_ms, received_at });
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
            self.acked_seq = Some(chunk.seq);
            self.let_go();
        }
        self.acked_seq
    }

    fn let_go(&mut self) {
        if let Some(chunk) = self.chunks.pop_front() {
            self.next = (chunk.seq + 1, chunk.end_ms);
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
            timeline.place(&chunk, Some((seq + 1) * 100));
        }
        assert_eq!(timeline.chunk_at(0), (0, 0));
        assert_eq!(timeline.chunk_at(199), (1, 100));
        assert_eq!(timeline.chunk_at(200), (2, 200));
        assert_eq!(timeline.acknowledge(99), None);
        assert_eq!(timeline.acknowledge(250), Some(1));
        assert_eq!(timeline.acknowledge(250), Some(1));
        assert!(timeline.age_of(300).is_some());
        assert_eq!(timeline.acknowledge(500), Some(4));
        assert!(timeline.age_of(500).is_none());
        assert_eq!(timeline.chunk_at(500), (5, 500));
    }

    #[test]
    fn goes_on_where_another_owner_left_it() {
        let mut timeline = Timeline::from(7, 700);
        assert_eq!((timeline.acknowledge(650), timeline.chunk_at(750)), (Some(6), (7, 700)));
        let chunk = AudioChunk { seq: 7, bytes: Bytes::new(), received_at: Instant::now() };
        timeline.place(&chunk, Some(800));
        assert_eq!(timeline.chunk_at(799), (7, 700));
        assert_eq!(timeline.chunk_at(800), (8, 800));
    }
}
