//! Audio that no final covers yet, kept for a new connection.

mod cut;
mod raw;
mod whole;

use crate::{
    media::cut::Cutter,
    model::{AudioChunk, AudioFormat},
};

/// Longest raw audio that is kept, in seconds at the session's byte rate.
const MAX_SECONDS: u64 = 30;
/// What more of it is kept while newer audio overtakes a replay.
const SPARE_SECONDS: u64 = 15;
/// Most that is kept of any audio, in bytes.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// How far a connection was fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Where the connection's audio begins, in milliseconds of session audio.
    pub origin_ms: u64,
    /// The next byte of the session's raw audio that it has not got.
    at_bytes: u64,
}

/// The session's audio after the last final, in order.
///
/// Of raw audio, several connections may get parts of their own; other audio is for one connection
/// at a time.
#[derive(Debug)]
pub enum Ring {
    /// Samples: cut between any two of them.
    Raw(raw::Ring),
    /// A container that can be begun again in its middle, after its init segment.
    Cut(cut::Ring),
    /// Compressed audio that only decodes from its start: kept whole while it fits.
    Whole(whole::Ring),
}

impl Ring {
    /// An empty ring for that audio; raw audio begins at `origin_ms` of the session.
    pub fn new(format: AudioFormat, origin_ms: u64) -> Self {
        match format {
            AudioFormat::Raw(raw) if raw.frame_bytes().is_some() => {
                Self::Raw(raw::Ring::new(raw, origin_ms))
            }
            AudioFormat::Raw(_) => Self::Whole(whole::Ring::default()),
            AudioFormat::Container(container) => match Cutter::of(container) {
                Some(cutter) => Self::Cut(cut::Ring::new(cutter)),
                None => Self::Whole(whole::Ring::default()),
            },
        }
    }

    /// Whether a byte is a place in time.
    pub const fn is_raw(&self) -> bool {
        matches!(self, Self::Raw(_))
    }

    /// Bytes of one second, for raw audio.
    pub fn bytes_per_second(&self) -> Option<u64> {
        match self {
            Self::Raw(ring) => ring.bytes_per_second(),
            Self::Cut(_) | Self::Whole(_) => None,
        }
    }

    /// Whether more audio may be taken in; `overtaking` while newer audio does not wait for older.
    pub fn has_room(&self, overtaking: bool) -> bool {
        match self {
            Self::Raw(ring) => ring.has_room(overtaking),
            Self::Cut(ring) => ring.has_room(),
            Self::Whole(ring) => ring.has_room(),
        }
    }

    /// Takes in the next audio; returns where it ends in milliseconds, where that can be told.
    pub fn push(&mut self, chunk: AudioChunk) -> Option<u64> {
        match self {
            Self::Raw(ring) => ring.push(chunk),
            Self::Cut(ring) => ring.push(chunk),
            Self::Whole(ring) => {
                ring.push(chunk);
                None
            }
        }
    }

    /// Where the audio so far ends, in milliseconds, where a byte is a place in time.
    pub fn end_ms(&self) -> Option<u64> {
        match self {
            Self::Raw(ring) => ring.end_ms(),
            Self::Cut(_) | Self::Whole(_) => None,
        }
    }

    /// The first moment that belongs to audio to come, where a byte is a place in time.
    pub fn seam_ms(&self) -> Option<u64> {
        match self {
            Self::Raw(ring) => ring.seam_ms(),
            Self::Cut(_) | Self::Whole(_) => None,
        }
    }

    /// Gets ready for a new connection, which is to get everything from `ms` on, and up to `back_ms`
    /// before it where that is still there. `None` where the audio that it would need is gone.
    pub fn begin(&mut self, ms: u64, back_ms: u64) -> Option<Cursor> {
        match self {
            Self::Raw(ring) => ring.begin(ms, back_ms),
            Self::Cut(ring) => Some(Cursor { origin_ms: ring.rewind(ms)?, at_bytes: 0 }),
            Self::Whole(ring) => Some(Cursor { origin_ms: ring.rewind()?, at_bytes: 0 }),
        }
    }

    /// The next audio for a connection, before `limit_ms` where there is one.
    pub fn next(&self, cursor: &Cursor, limit_ms: Option<u64>) -> Option<AudioChunk> {
        match self {
            Self::Raw(ring) => ring.next(cursor, limit_ms),
            Self::Cut(ring) => ring.unsent().cloned(),
            Self::Whole(ring) => ring.unsent().cloned(),
        }
    }

    /// Whether a connection was fed everything before `limit_ms`, or everything.
    pub fn is_fed(&self, cursor: &Cursor, limit_ms: Option<u64>) -> bool {
        match self {
            Self::Raw(ring) => ring.next(cursor, limit_ms).is_none(),
            Self::Cut(ring) => ring.unsent().is_none(),
            Self::Whole(ring) => ring.unsent().is_none(),
        }
    }

    /// The audio of [`Self::next`], that many bytes of it, was handed over.
    pub fn fed(&mut self, cursor: &mut Cursor, bytes: usize) {
        match self {
            Self::Raw(_) => cursor.at_bytes += bytes as u64,
            Self::Cut(ring) => ring.mark_sent(),
            Self::Whole(ring) => ring.mark_sent(),
        }
    }

    /// Where the audio ends that a connection was fed, in milliseconds, where that can be told.
    pub fn fed_ms(&self, cursor: &Cursor) -> Option<u64> {
        match self {
            Self::Raw(ring) => ring.ms_of(cursor.at_bytes),
            Self::Cut(_) | Self::Whole(_) => None,
        }
    }

    /// Whether anything is there that no connection has got. Not for raw audio.
    pub fn has_unsent(&self) -> bool {
        match self {
            Self::Raw(_) => false,
            Self::Cut(ring) => ring.unsent().is_some(),
            Self::Whole(ring) => ring.unsent().is_some(),
        }
    }

    /// Lets go of what lies in none of these ranges, in milliseconds and in order.
    pub fn keep(&mut self, needed: &[(u64, u64)]) {
        match self {
            Self::Raw(ring) => ring.keep(needed),
            Self::Cut(ring) => ring.cover(needed.first().map_or(0, |first| first.0)),
            Self::Whole(_) => {}
        }
    }

    /// Lets go of the oldest raw audio after `ms`; returns where what is left begins.
    pub fn let_go(&mut self, ms: u64) -> Option<u64> {
        match self {
            Self::Raw(ring) => ring.let_go(ms),
            Self::Cut(_) | Self::Whole(_) => None,
        }
    }
}
