//! Audio joined and cut into messages of a length that AssemblyAI takes.

use bytes::{Bytes, BytesMut};

use crate::model::{Encoding, RawFormat};

/// Shortest audio of a message, in milliseconds; less is refused.
const LEAST_MS: u64 = 50;
/// Longest audio of a message, in milliseconds.
const MOST_MS: u64 = 1_000;

/// Regroups audio of one stream.
#[derive(Debug)]
pub(super) struct Packer {
    frame_bytes: usize,
    least_bytes: usize,
    most_bytes: usize,
    silence: u8,
    waiting: BytesMut,
}

impl Packer {
    /// For such audio.
    pub(super) fn new(raw: RawFormat) -> Self {
        let bytes = |ms| raw.ms_to_bytes(ms).unwrap_or(1) as usize;
        Self {
            frame_bytes: raw.frame_bytes().unwrap_or(1).max(1) as usize,
            least_bytes: bytes(LEAST_MS),
            most_bytes: bytes(MOST_MS),
            silence: if raw.encoding == Encoding::Mulaw { 0xFF } else { 0 },
            waiting: BytesMut::new(),
        }
    }

    /// Takes audio; returns the messages that it completes, each of whole samples.
    pub(super) fn pack(&mut self, audio: &[u8]) -> Vec<Bytes> {
        self.waiting.extend_from_slice(audio);
        let mut messages = Vec::new();
        while self.waiting.len() >= self.least_bytes {
            let length = self.waiting.len().min(self.most_bytes);
            messages.push(self.cut(length - length % self.frame_bytes));
        }
        messages
    }

    /// What waits for more, with silence up to the shortest length; then nothing waits.
    pub(super) fn rest(&mut self) -> Option<Bytes> {
        let length = self.waiting.len() - self.waiting.len() % self.frame_bytes;
        self.waiting.truncate(length);
        if length == 0 {
            return None;
        }
        self.waiting.resize(self.least_bytes, self.silence);
        Some(self.cut(self.least_bytes))
    }

    /// Bytes that wait for more.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.waiting.len() as u64
    }

    fn cut(&mut self, length: usize) -> Bytes {
        self.waiting.split_to(length).freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rest_is_filled_with_silence() {
        let mulaw = RawFormat { encoding: Encoding::Mulaw, sample_rate: 8_000, channels: 1 };
        let mut packer = Packer::new(mulaw);
        assert_eq!(packer.pack(&[1; 399]), Vec::<Bytes>::new());
        let rest = packer.rest().expect("a message");
        assert_eq!((rest.len(), rest[398], rest[399]), (400, 1, 0xFF));
        assert_eq!(packer.rest(), None);
    }

    proptest! {
        #[test]
        fn messages_hold_the_audio_in_order_and_in_length(
            cuts in proptest::collection::vec(0_usize..50_000, 0..20),
            sample_rate in 8_000_u32..=48_000,
            mulaw: bool,
        ) {
            let encoding = if mulaw { Encoding::Mulaw } else { Encoding::Linear16 };
            let raw = RawFormat { encoding, sample_rate, channels: 1 };
            let audio: Vec<u8> = (0..cuts.iter().sum()).map(|at: usize| at as u8).collect();
            let mut packer = Packer::new(raw);
            let (mut messages, mut rest) = (Vec::new(), &audio[..]);
            for cut in cuts {
                let (chunk, later) = rest.split_at(cut);
                messages.extend(packer.pack(chunk));
                rest = later;
            }
            messages.extend(packer.rest());
            for message in &messages {
                let ms = raw.bytes_to_ms(message.len() as u64).expect("raw audio");
                prop_assert!((LEAST_MS..=MOST_MS).contains(&ms), "{} ms", ms);
                prop_assert_eq!(message.len() as u64 % raw.frame_bytes().expect("raw audio"), 0);
            }
            let sent = messages.concat();
            let whole = audio.len() - audio.len() % raw.frame_bytes().expect("raw audio") as usize;
            prop_assert_eq!(&sent[..whole], &audio[..whole]);
            prop_assert!(sent.len() < whole + packer.least_bytes);
        }
    }
}
