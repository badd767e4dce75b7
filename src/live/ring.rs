//! Audio that no final covers yet, kept for a new connection.

use std::collections::VecDeque;

use crate::model::{AudioChunk, AudioFormat, RawFormat};

/// Longest audio that is kept, in seconds at the session's byte rate.
const MAX_SECONDS: u64 = 30;
/// Most that is kept of any audio, in bytes.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The session's audio after the last final, in order, part of it sent to the provider.
///
/// Raw audio is cut where the finals end. Compressed audio has no such place: the whole stream is
/// kept while it fits, because only from its start can it be decoded again.
#[derive(Debug)]
pub struct Ring {
    raw: Option<RawFormat>,
    chunks: VecDeque<AudioChunk>,
    /// Offset in the session of the first kept byte.
    start_bytes: u64,
    kept_bytes: u64,
    bound_bytes: u64,
    /// How many of `chunks` were handed to the present connection.
    sent: usize,
    whole: bool,
}

impl Ring {
    /// An empty ring for that audio.
    pub fn new(format: AudioFormat) -> Self {
        let raw = match format {
            AudioFormat::Raw(raw) if raw.frame_bytes().is_some() => Some(raw),
            _ => None,
        };
        let bound_bytes = raw
            .and_then(|raw| raw.bytes_per_second())
            .map_or(MAX_BYTES, |rate| (rate * MAX_SECONDS).min(MAX_BYTES));
        Self {
            raw,
            chunks: VecDeque::new(),
            start_bytes: 0,
            kept_bytes: 0,
            bound_bytes,
            sent: 0,
            whole: true,
        }
    }

    /// Bytes of one second, for raw audio.
    pub fn bytes_per_second(&self) -> Option<u64> {
        self.raw?.bytes_per_second()
    }

    /// Whether more audio may be taken in.
    pub fn has_room(&self) -> bool {
        // Compressed audio that does not fit any more is forgotten, not refused.
        self.kept_bytes < self.bound_bytes || (self.raw.is_none() && self.sent > 0)
    }

    /// Takes in the next audio; returns where it ends, in milliseconds, for raw audio.
    pub fn push(&mut self, chunk: AudioChunk) -> Option<u64> {
        self.kept_bytes += chunk.bytes.len() as u64;
        self.chunks.push_back(chunk);
        if self.raw.is_none() {
            self.forget();
        }
        self.raw?.bytes_to_ms(self.start_bytes + self.kept_bytes)
    }

    /// The next audio that the present connection has not got.
    pub fn unsent(&self) -> Option<&AudioChunk> {
        self.chunks.get(self.sent)
    }

    /// The audio of [`Self::unsent`] was handed over.
    pub fn mark_sent(&mut self) {
        self.sent += 1;
    }

    /// Whether everything was handed over.
    pub fn all_sent(&self) -> bool {
        self.sent >= self.chunks.len()
    }

    /// Lets go of what ends at or before `ms` of session audio.
    pub fn cover(&mut self, ms: u64) {
        let Some(until) = self.raw.and_then(|raw| raw.ms_to_bytes(ms)) else { return };
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

    /// Gets ready for a new connection: everything after `ms` is to be sent again.
    ///
    /// Returns where the new connection's audio begins in the session, in milliseconds, or `None`
    /// where the audio that it would need is gone.
    pub fn rewind(&mut self, ms: u64) -> Option<u64> {
        self.sent = self.chunks.len();
        self.cover(ms);
        self.sent = 0;
        let Some(raw) = self.raw else {
            return self.whole.then_some(0);
        };
        self.trim_front(raw.ms_to_bytes(ms)?);
        raw.bytes_to_ms(self.start_bytes)
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

    fn forget(&mut self) {
        while self.kept_bytes > self.bound_bytes && self.sent > 0 {
            if let Some(first) = self.chunks.pop_front() {
                self.kept_bytes -= first.bytes.len() as u64;
                self.start_bytes += first.bytes.len() as u64;
            }
            self.sent -= 1;
            self.whole = false;
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
            let mut ring = Ring::new(AudioFormat::Raw(raw));
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
    fn compressed_audio_is_replayed_whole_or_not_at_all() {
        let mut ring = Ring::new(AudioFormat::Container(crate::model::Container::WebM));
        ring.push(chunk(0, vec![1; 10]));
        ring.mark_sent();
        ring.cover(1_000);
        assert_eq!(ring.rewind(1_000), Some(0));
        assert_eq!(ring.unsent().map(|chunk| chunk.bytes.len()), Some(10));
        ring.mark_sent();
        for seq in 1..10 {
            ring.push(chunk(seq, vec![0; 1024 * 1024]));
            ring.mark_sent();
        }
        assert!(ring.has_room());
        assert_eq!(ring.rewind(1_000), None);
    }

    #[test]
    fn raw_audio_is_bounded_by_its_time() {
        let mut ring = Ring::new(AudioFormat::Raw(RawFormat::DEFAULT));
        for seq in 0..30 {
            assert!(ring.has_room());
            ring.push(chunk(seq, vec![0; 32_000]));
        }
        assert!(!ring.has_room());
    }
}
