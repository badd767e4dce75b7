//! Cuts a container stream into pieces with a time, so that it can begin again in its middle.

mod mp3;
mod ogg;
mod webm;

use bytes::Bytes;

use crate::model::Container;

/// Bytes of an element or page that are waited for; more means that it is no such stream.
const MAX_PIECE_BYTES: usize = 1024 * 1024;

/// A piece of audio that can be decoded once the head was.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Where it begins, in microseconds of the stream.
    pub start_us: u64,
    bytes: Bytes,
}

impl Piece {
    /// Bytes that it keeps in memory.
    pub fn kept_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// The stream is not what its first bytes promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// Follows one stream.
#[derive(Debug)]
pub enum Cutter {
    /// Matroska and WebM.
    WebM(webm::Cutter),
    /// Opus or Vorbis in Ogg.
    Ogg(ogg::Cutter),
    /// MPEG audio, layer III.
    Mp3(mp3::Cutter),
}

impl Cutter {
    /// A cutter for that container, if it can be cut.
    pub fn of(container: Container) -> Option<Self> {
        match container {
            Container::WebM => Some(Self::WebM(webm::Cutter::default())),
            Container::Ogg => Some(Self::Ogg(ogg::Cutter::default())),
            Container::Mp3 => Some(Self::Mp3(mp3::Cutter::default())),
            Container::Wav | Container::Flac | Container::Mp4 => None,
        }
    }

    /// Takes in the next bytes and returns the pieces that they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Piece>, Unreadable> {
        match self {
            Self::WebM(cutter) => cutter.feed(bytes),
            Self::Ogg(cutter) => cutter.feed(bytes),
            Self::Mp3(cutter) => cutter.feed(bytes),
        }
    }

    /// What a new stream begins with: the init segment.
    pub fn head(&mut self) -> Bytes {
        match self {
            Self::WebM(cutter) => cutter.head(),
            Self::Ogg(cutter) => cutter.head(),
            Self::Mp3(_) => Bytes::new(),
        }
    }

    /// A piece as part of a stream that begins at `origin_us`.
    pub fn write(&mut self, piece: &Piece, origin_us: u64) -> Bytes {
        match self {
            Self::WebM(cutter) => cutter.write(piece, origin_us),
            Self::Ogg(cutter) => cutter.write(piece, origin_us),
            Self::Mp3(_) => piece.bytes.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
