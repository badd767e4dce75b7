//! The audio that a client keeps: chunks that were spoken and are not acknowledged yet.

use std::ops::Range;

use crate::history::FRAMES_IN_CHUNK;
use crate::numbered::FRAME_MS;

/// Frames of 20 ms in a chunk.
pub(crate) const CHUNK_FRAMES: u32 = FRAMES_IN_CHUNK;
/// Milliseconds of a chunk.
pub(crate) const CHUNK_MS: u64 = 100;

/// The chunks of one session, numbered from 0. The audio itself follows from their numbers.
///
/// Chunks are spoken on a grid; a session that begins between two points of it begins with a
/// shorter chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The frame with which chunk 0 begins.
    pub(crate) origin: u32,
    /// The oldest chunk that is kept.
    pub(crate) first: u64,
    /// The next chunk to send.
    pub(crate) next: u64,
    /// Chunks spoken.
    pub(crate) spoken: u64,
    /// How many are kept at most.
    bound: u64,
}

impl Kept {
    /// Audio from that frame on, of which frames up to `until` are spoken already.
    pub(crate) fn new(origin: u32, until: u32, bound: u64) -> Self {
        let spoken = (until / CHUNK_FRAMES).saturating_sub(origin / CHUNK_FRAMES);
        let mut kept = Self { origin, first: 0, next: 0, spoken: 0, bound };
        kept.speak(u64::from(spoken));
        kept
    }

    /// Takes in chunks; the oldest go when there is no room for them.
    pub(crate) fn speak(&mut self, chunks: u64) {
        self.spoken += chunks;
        self.first = self.first.max(self.spoken.saturating_sub(self.bound));
        self.next = self.next.max(self.first);
    }

    /// Lets go of what is durable.
    pub(crate) fn acknowledge(&mut self, seq: u64) {
        self.first = self.first.max(seq.saturating_add(1).min(self.spoken));
    }

    /// Goes on from that chunk, or from the oldest that is there.
    pub(crate) fn rewind(&mut self, seq: u64) {
        self.next = seq.clamp(self.first, self.spoken);
    }

    /// The frames of the next chunk, if one waits to be sent.
    pub(crate) fn peek(&self) -> Option<Range<u32>> {
        (self.next < self.spoken).then(|| self.start(self.next)..self.start(self.next + 1))
    }

    /// The first frame that was never sent.
    pub(crate) const fn sent_until(&self) -> u32 {
        self.start(self.next)
    }

    /// The oldest frame that is there.
    pub(crate) const fn oldest(&self) -> u32 {
        self.start(self.first)
    }

    /// Where the oldest chunk begins, in milliseconds of the session's audio.
    pub(crate) const fn oldest_ms(&self) -> u64 {
        (self.oldest() - self.origin) as u64 * FRAME_MS
    }

    const fn start(&self, seq: u64) -> u32 {
        match seq {
            0 => self.origin,
            _ => (self.origin / CHUNK_FRAMES + seq as u32) * CHUNK_FRAMES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_kept_until_they_are_acknowledged() {
        let mut kept = Kept::new(7, 10, 100);
        kept.speak(9);
        assert_eq!(kept.peek(), Some(7..10), "the first is cut to the grid");
        kept.next = 8;
        kept.acknowledge(4);
        assert_eq!((kept.first, kept.oldest(), kept.oldest_ms()), (5, 30, 460));
        kept.rewind(6);
        assert_eq!(kept.peek(), Some(35..40));
        kept.rewind(2);
        assert_eq!(kept.next, 5, "what is gone cannot be sent again");
        kept.rewind(99);
        assert_eq!((kept.peek(), kept.sent_until()), (None, 55));
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room() {
        let mut kept = Kept::new(0, 0, 3);
        kept.speak(5);
        assert_eq!((kept.first, kept.next, kept.spoken), (2, 2, 5));
        kept.acknowledge(u64::MAX);
        assert_eq!(kept.first, 5);
    }

    #[test]
    fn a_new_session_begins_with_what_is_left() {
        let whole = |kept: Kept| (kept.spoken, kept.start(kept.spoken));
        assert_eq!(whole(Kept::new(12, 40, 100)), (6, 40));
        assert_eq!(whole(Kept::new(10, 40, 100)), (6, 40));
        assert_eq!(whole(Kept::new(40, 40, 100)), (0, 40));
    }
}
