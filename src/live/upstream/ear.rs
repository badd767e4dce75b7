//! Whether a provider that is sent speech says anything to it.

use std::time::{Duration, Instant};

use crate::{
    media::pcm,
    model::{AudioFormat, RawFormat},
};

/// How often it is looked for an answer. Counted rather than timed: a pause of this process is no
/// silence of the provider's.
const LOOK: Duration = Duration::from_secs(1);
/// Looks in vain that are enough where interims were asked for.
const PATIENCE: u32 = 5;
/// The same where only finals come, which take their time.
const PATIENCE_FOR_FINALS: u32 = 15;
/// Less speech than this may well be none, or not enough to say anything about.
const WORTH_AN_ANSWER_MS: u64 = 1_000;
/// Audio is looked at in pieces of this length.
const PIECE_MS: u64 = 100;
/// Mean power above which a piece counts as speech: 40 dB below full scale.
const LOUD: f32 = 1e-4;

/// Listens to what a connection is sent, and notes when it was last answered.
#[derive(Debug)]
pub struct Ear {
    format: Option<RawFormat>,
    patience: u32,
    unanswered_ms: u64,
    /// When it was last looked, and how often in vain, since so much was sent that an answer is due.
    looked: Option<(Instant, u32)>,
}

impl Ear {
    /// For a connection that gets such audio; it hears nothing in what is compressed.
    pub fn new(format: AudioFormat, interims: bool) -> Self {
        let format = match format {
            AudioFormat::Raw(raw) => Some(raw),
            AudioFormat::Container(_) => None,
        };
        let patience = if interims { PATIENCE } else { PATIENCE_FOR_FINALS };
        Self { format, patience, unanswered_ms: 0, looked: None }
    }

    /// Audio was sent.
    pub fn hear(&mut self, bytes: &[u8], now: Instant) {
        if self.looked.is_none() {
            self.unanswered_ms += self.loud_ms(bytes).unwrap_or(0);
            self.looked = (self.unanswered_ms >= WORTH_AN_ANSWER_MS).then_some((now, 0));
        }
    }

    fn loud_ms(&self, bytes: &[u8]) -> Option<u64> {
        let raw = self.format?;
        let piece_bytes = raw.ms_to_bytes(PIECE_MS)?.max(1) as usize;
        let loud = |piece: &&[u8]| pcm::power(raw.encoding, piece).is_some_and(|p| p >= LOUD);
        let loud_bytes: usize = bytes.chunks(piece_bytes).filter(loud).map(<[u8]>::len).sum();
        raw.bytes_to_ms(loud_bytes as u64)
    }

    /// The provider said something, be it that there was nothing to say.
    pub fn answered(&mut self) {
        self.unanswered_ms = 0;
        self.looked = None;
    }

    /// Looks whether the provider leaves speech without an answer.
    pub fn is_ignored(&mut self, now: Instant) -> bool {
        let Some((looked, in_vain)) = &mut self.looked else { return false };
        if now >= *looked + LOOK {
            (*looked, *in_vain) = (now, *in_vain + 1);
        }
        *in_vain >= self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(amplitude: i16, ms: usize) -> Vec<u8> {
        let sample = |at: usize| if (at / 20).is_multiple_of(2) { amplitude } else { -amplitude };
        (0..ms * 16).flat_map(|at| sample(at).to_le_bytes()).collect()
    }

    /// Whether it is ignored after so many seconds, looked at all along.
    fn ignored_after(ear: &mut Ear, start: Instant, seconds: u32) -> bool {
        (0..=seconds * 10).any(|at| ear.is_ignored(start + LOOK / 10 * at))
    }

    #[test]
    fn only_speech_asks_for_an_answer() {
        let start = Instant::now();
        let format = AudioFormat::Raw(RawFormat::DEFAULT);
        let mut ear = Ear::new(format, true);
        ear.hear(&tone(100, 60_000), start);
        assert!(!ignored_after(&mut ear, start, 60), "room noise");
        ear.hear(&tone(3000, 500), start);
        assert!(!ignored_after(&mut ear, start, 60), "a cough");
        ear.hear(&tone(3000, 1_000), start);
        assert!(!ignored_after(&mut ear, start, 4) && ignored_after(&mut ear, start, 5));
        ear.answered();
        assert!(!ignored_after(&mut ear, start, 60));
        let mut deaf = Ear::new(AudioFormat::Container(crate::model::Container::Ogg), true);
        deaf.hear(&tone(3000, 10_000), start);
        assert!(!ignored_after(&mut deaf, start, 60));
    }

    #[test]
    fn a_pause_of_ours_is_no_silence_of_theirs() {
        let start = Instant::now();
        let mut ear = Ear::new(AudioFormat::Raw(RawFormat::DEFAULT), true);
        ear.hear(&tone(3000, 2_000), start);
        assert!(!ear.is_ignored(start + LOOK * 60));
        let mut patient = Ear::new(AudioFormat::Raw(RawFormat::DEFAULT), false);
        patient.hear(&tone(3000, 2_000), start);
        assert!(!ignored_after(&mut patient, start, 14) && ignored_after(&mut patient, start, 15));
    }
}
