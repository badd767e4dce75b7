//! How far finals were passed on, so that text of a new connection is passed on once.

use super::splice;
use crate::model::Segment;

/// The end of the last final of each channel, in milliseconds of session audio.
///
/// Channels that are transcribed each by itself have their finals one after the other: when a
/// connection breaks in between, the audio is sent again for all of them.
#[derive(Debug, Default)]
pub struct Said {
    until_ms: Vec<u64>,
}

impl Said {
    /// Nothing yet, on that many channels.
    pub fn new(channels: u16) -> Self {
        Self { until_ms: vec![0; usize::from(channels.max(1))] }
    }

    /// As another left it; nothing yet, where that is not of so many channels.
    pub fn resumed(channels: u16, until_ms: &[u64]) -> Self {
        let fresh = Self::new(channels);
        if until_ms.len() == fresh.until_ms.len() {
            return Self { until_ms: until_ms.to_vec() };
        }
        fresh
    }

    /// The end of the last final of each channel.
    pub fn until_ms(&self) -> &[u64] {
        &self.until_ms
    }

    /// The part of a segment that its channel has not said yet; a final is said from now on.
    pub fn unsaid(&mut self, segment: Segment) -> Option<Segment> {
        let until_ms = self.until_ms.get_mut(usize::from(segment.channel.0))?;
        let segment = splice::after(segment, *until_ms)?;
        if segment.is_final {
            *until_ms = segment.end_ms.max(*until_ms);
        }
        Some(segment)
    }

    /// Everything before `ms` is said on every channel, be it silence.
    pub fn cover(&mut self, ms: u64) {
        for until_ms in &mut self.until_ms {
            *until_ms = ms.max(*until_ms);
        }
    }
}
