//! A container that can be begun again: its pieces are kept, and written after its head.
//!
//! The first connection gets the client's bytes as they came. A later one gets the init segment and
//! the pieces after the last final, their times counted from its own start.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;

use super::MAX_BYTES;
use crate::{
    media::cut::{Cutter, Piece},
    model::AudioChunk,
};

/// Pieces after the last final, and what is to be sent.
#[derive(Debug)]
pub struct Ring {
    cutter: Cutter,
    pieces: VecDeque<Piece>,
    kept_bytes: u64,
    unsent: VecDeque<AudioChunk>,
    unsent_bytes: u64,
    last: Option<(u64, Instant)>,
    sent_any: bool,
    /// Where the present connection's audio begins, once it is not the first.
    origin_us: Option<u64>,
    /// The stream was not what it promised: it goes on as it is, and cannot be begun again.
    unreadable: bool,
}

impl Ring {
    pub(super) fn new(cutter: Cutter) -> Self {
        Self {
            cutter,
            pieces: VecDeque::new(),
            kept_bytes: 0,
            unsent: VecDeque::new(),
            unsent_bytes: 0,
            last: None,
            sent_any: false,
            origin_us: None,
            unreadable: false,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.kept_bytes + self.unsent_bytes < MAX_BYTES
    }

    pub(super) fn push(&mut self, chunk: AudioChunk) -> Option<u64> {
        self.last = Some((chunk.seq, chunk.received_at));
        let pieces = if self.unreadable { Vec::new() } else { self.cut(&chunk) };
        match self.origin_us {
            None => self.queue(chunk),
            Some(origin_us) => {
                let rewritten = pieces.iter().map(|piece| self.cutter.write(piece, origin_us));
                let rewritten = rewritten.collect::<Vec<_>>().concat();
                self.queue(AudioChunk { bytes: rewritten.into(), ..chunk });
            }
        }
        for piece in pieces {
            self.kept_bytes += piece.kept_bytes() as u64;
            self.pieces.push_back(piece);
        }
        self.pieces.back().map(|piece| piece.start_us / 1000)
    }

    fn cut(&mut self, chunk: &AudioChunk) -> Vec<Piece> {
        self.cutter.feed(&chunk.bytes).unwrap_or_else(|_| {
            tracing::debug!("a container could not be followed: it cannot be begun again");
            self.unreadable = true;
            Vec::new()
        })
    }

    fn queue(&mut self, chunk: AudioChunk) {
        if !chunk.bytes.is_empty() {
            self.unsent_bytes += chunk.bytes.len() as u64;
            self.unsent.push_back(chunk);
        }
    }

    pub(super) fn unsent(&self) -> Option<&AudioChunk> {
        self.unsent.front()
    }

    pub(super) fn mark_sent(&mut self) {
        self.sent_any = true;
        if let Some(sent) = self.unsent.pop_front() {
            self.unsent_bytes -= sent.bytes.len() as u64;
        }
    }

    /// A piece ends where the next begins.
    pub(super) fn cover(&mut self, ms: u64) {
        while self.pieces.get(1).is_some_and(|next| next.start_us <= ms * 1000) {
            let first = self.pieces.pop_front();
            self.kept_bytes -= first.map_or(0, |first| first.kept_bytes() as u64);
        }
    }

    pub(super) fn rewind(&mut self, ms: u64) -> Option<u64> {
        if !self.sent_any {
            return Some(0);
        }
        if self.unreadable {
            return None;
        }
        self.cover(ms);
        let origin_us = self.pieces.front().map_or(ms * 1000, |piece| piece.start_us);
        self.origin_us = Some(origin_us);
        self.unsent.clear();
        self.unsent_bytes = 0;
        let (seq, received_at) = self.last?;
        let mut bytes: Vec<Bytes> = vec![self.cutter.head()];
        bytes.extend(self.pieces.iter().map(|piece| self.cutter.write(piece, origin_us)));
        self.queue(AudioChunk { seq, bytes: bytes.concat().into(), received_at });
        Some(origin_us / 1000)
    }
}
