//! MPEG audio: frames follow one another, and any of them may come first.

use bytes::{Buf, BytesMut};

use super::{MAX_PIECE_BYTES, Piece, Unreadable};
use crate::model::mpeg::Frame;

/// An ID3v2 tag's header (<https://id3.org/id3v2.4.0-structure> §3.1).
const TAG_HEADER_BYTES: usize = 10;

enum Step {
    Piece(Piece),
    Moved,
    /// More bytes are needed.
    More,
}

/// Follows one stream of frames.
#[derive(Debug, Default)]
pub struct Cutter {
    buffer: BytesMut,
    elapsed_us: u64,
    skip: usize,
    skipped_bytes: usize,
}

impl Cutter {
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Piece>, Unreadable> {
        self.buffer.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        loop {
            match self.step()? {
                Step::Piece(piece) => pieces.push(piece),
                Step::Moved => {}
                Step::More => return Ok(pieces),
            }
        }
    }

    fn step(&mut self) -> Result<Step, Unreadable> {
        if self.skip > 0 {
            let count = self.skip.min(self.buffer.len());
            self.buffer.advance(count);
            self.skip -= count;
        }
        if self.skip > 0 || self.buffer.len() < TAG_HEADER_BYTES {
            return Ok(Step::More);
        }
        if self.buffer.starts_with(b"ID3") {
            let size =
                self.buffer[6..10].iter().fold(0, |size, byte| size << 7 | usize::from(*byte));
            self.skip = TAG_HEADER_BYTES + size;
            return Ok(Step::Moved);
        }
        let Some(frame) = Frame::read(&self.buffer) else { return self.resync() };
        if self.buffer.len() < frame.length {
            return Ok(Step::More);
        }
        let bytes = self.buffer.split_to(frame.length).freeze();
        let piece = Piece { start_us: self.elapsed_us, bytes };
        self.elapsed_us += frame.samples * 1_000_000 / frame.hertz;
        Ok(Step::Piece(piece))
    }

    fn resync(&mut self) -> Result<Step, Unreadable> {
        self.buffer.advance(1);
        self.skipped_bytes += 1;
        if self.skipped_bytes > MAX_PIECE_BYTES { Err(Unreadable) } else { Ok(Step::Moved) }
    }
}
