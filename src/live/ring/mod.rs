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
/// Most that is kept of any audio, in bytes.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The session's audio after the last final, in order, part of it sent to the provider.
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
    /// An empty ring for that audio, which begins there in the session where it is raw.
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

    /// Bytes of one second, for raw audio.
    pub fn bytes_per_second(&self) -> Option<u64> {
        match self {
            Self::Raw(ring) => ring.bytes_per_second(),
            Self::Cut(_) | Self::Whole(_) => None,
        }
    }

    /// Whether more audio may be taken in.
    pub fn has_room(&self) -> bool {
        match self {
            Self::Raw(ring) => ring.has_room(),
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

    /// The next audio that the present connection has not got.
    pub fn unsent(&self) -> Option<&AudioChunk> {
        match self {
            Self::Raw(ring) => ring.unsent(),
            Self::Cut(ring) => ring.unsent(),
            Self::Whole(ring) => ring.unsent(),
        }
    }

    /// The audio of [`Self::unsent`] was handed over.
    pub fn mark_sent(&mut self) {
        match self {
            Self::Raw(ring) => ring.mark_sent(),
            Self::Cut(ring) => ring.mark_sent(),
            Self::Whole(ring) => ring.mark_sent(),
        }
    }

    /// Whether everything was handed over.
    pub fn all_sent(&self) -> bool {
        self.unsent().is_none()
    }

    /// Where the audio so far ends, in milliseconds, where a byte is a place in time.
    pub fn end_ms(&self) -> Option<u64> {
        match self {
            Self::Raw(ring) => ring.end_ms(),
            Self::Cut(_) | Self::Whole(_) => None,
        }
    }

    /// Whether a connection that begins at `ms` would have nothing to send.
    pub fn is_covered(&mut self, ms: u64) -> bool {
        matches!(self, Self::Raw(_)) && self.rewind(ms).is_some() && self.all_sent()
    }

    /// Lets go of what ends at or before `ms` of session audio.
    pub fn cover(&mut self, ms: u64) {
        match self {
            Self::Raw(ring) => ring.cover(ms),
            Self::Cut(ring) => ring.cover(ms),
            Self::Whole(_) => {}
        }
    }

    /// Gets ready for a new connection: everything after `ms` is to be sent again.
    ///
    /// Returns where the new connection's audio begins in the session, in milliseconds, or `None`
    /// where the audio that it would need is gone.
    pub fn rewind(&mut self, ms: u64) -> Option<u64> {
        match self {
            Self::Raw(ring) => ring.rewind(ms),
            Self::Cut(ring) => ring.rewind(ms),
            Self::Whole(ring) => ring.rewind(),
        }
    }
}
