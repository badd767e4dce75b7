//! How far a session has come: what it took, what it said, and where another owner goes on. Pure.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    bookmark::Bookmark,
    said::Said,
    timeline::{Place, Timeline},
};
use crate::model::{AudioChunk, AudioFormat, RawFormat, Segment};

/// The cursors of one session.
#[derive(Debug)]
pub struct Progress {
    format: AudioFormat,
    /// Where the next chunk begins, in bytes of raw session audio.
    position_bytes: u64,
    /// Chunks on the audio's timeline.
    pub timeline: Timeline,
    /// The number of the last final, or of the last thing numbered like one.
    pub last_n: u64,
    /// Up to where audio came in, in milliseconds of session audio.
    pub received_ms: u64,
    /// Numbers that speakers were given.
    pub speakers: u32,
    /// Audio that has no transcript, in milliseconds, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Bytes that the owner before is done with, at the beginning of what comes.
    excess_bytes: u64,
    /// What each channel has said, where each is transcribed by itself: they are covered together.
    said: Option<Said>,
}

impl Progress {
    /// Goes on from where a session stands, with that audio on so many channels that are billed.
    pub fn from(stands: &Bookmark, format: AudioFormat, channels: u16) -> Self {
        let covered_bytes = match format {
            AudioFormat::Raw(raw) => raw.ms_to_bytes(stands.covered_ms).unwrap_or(0),
            AudioFormat::Container(_) => 0,
        };
        let next = Place {
            seq: stands.next_seq,
            start_ms: stands.next_seq_ms,
            start_bytes: stands.next_seq_bytes,
        };
        Self {
            format,
            timeline: Timeline::from(next),
            position_bytes: stands.next_seq_bytes,
            last_n: stands.n,
            received_ms: stands.covered_ms,
            speakers: stands.speakers,
            lost: stands.lost.iter().cloned().collect(),
            excess_bytes: covered_bytes.saturating_sub(stands.next_seq_bytes),
            said: (channels > 1).then(|| Said::resumed(channels, &stands.said_ms)),
        }
    }

    /// Cuts off a chunk what the owner before is done with.
    pub fn trim(&mut self, chunk: &mut AudioChunk) {
        let cut = self.excess_bytes.min(chunk.bytes.len() as u64);
        self.excess_bytes -= cut;
        self.position_bytes += cut;
        chunk.bytes = chunk.bytes.slice(cut as usize..);
    }

    /// Notes a chunk, which ends there where it is in a container and that is known; returns where it
    /// was placed.
    pub fn take(&mut self, chunk: &AudioChunk, end_ms: Option<u64>) -> u64 {
        self.position_bytes += chunk.bytes.len() as u64;
        let measured_ms = self.raw().and_then(|raw| raw.bytes_to_ms(self.position_bytes));
        let end_ms = self.timeline.place(chunk, measured_ms.or(end_ms), self.position_bytes);
        self.received_ms = self.received_ms.max(end_ms);
        end_ms
    }

    /// The part of a segment that was not said by an owner before.
    pub fn unsaid(&mut self, segment: Segment) -> Option<Segment> {
        match &mut self.said {
            Some(said) => said.unsaid(segment),
            None => Some(segment),
        }
    }

    /// Notes who spoke.
    pub fn hear(&mut self, segment: &Segment) {
        let speakers = segment.words.iter().filter_map(|word| word.speaker);
        let count = speakers.max().map_or(0, |last| last.saturating_add(1));
        self.speakers = self.speakers.max(count);
    }

    /// Notes so much audio that has no transcript, in milliseconds.
    pub fn lose(&mut self, lost_ms: u64, reason: &str) {
        let lost = self.lost.entry(reason.to_owned()).or_default();
        *lost = lost.saturating_add(lost_ms);
    }

    /// Where the session stands once everything up to `covered_ms` is told.
    pub fn bookmark(&self, replica: Uuid, covered_ms: u64) -> Bookmark {
        let Place { seq, start_ms, start_bytes } = self.timeline.chunk_at(covered_ms);
        Bookmark {
            replica,
            covered_ms,
            n: self.last_n,
            said_ms: self.said.as_ref().map_or_else(Vec::new, |said| said.until_ms().to_vec()),
            // A header lies before the first audio, and is needed again with it.
            next_seq: if start_ms == 0 { 0 } else { seq },
            next_seq_ms: start_ms,
            next_seq_bytes: if start_ms == 0 { 0 } else { start_bytes },
            format: self.raw(),
            speakers: self.speakers,
            lost: self.lost.clone().into_iter().collect(),
            ..Bookmark::default()
        }
    }

    fn raw(&self) -> Option<RawFormat> {
        match self.format {
            AudioFormat::Raw(raw) if raw.frame_bytes().is_some() => Some(raw),
            _ => None,
        }
    }
}
