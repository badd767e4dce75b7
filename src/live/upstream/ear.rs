//! Whether a provider that is sent speech says anything to it.

use std::time::{Duration, Instant};

use crate::{
    media::pcm::PcmDecoder,
    model::{AudioFormat, RawFormat},
};

/// How long speech may stay without an answer where interims were asked for.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same where only finals come, which take their time.
const PATIENCE_FOR_FINALS: Duration = Duration::from_secs(15);
/// Less speech than this may well be none, or not enough to say anything about.
const WORTH_AN_ANSWER_MS: u64 = 1_000;
/// Samples are looked at in pieces of this length.
const PIECE_MS: u64 = 100;
/// Mean power above which a piece counts as speech: 40 dB below full scale.
const LOUD: f32 = 1e-4;

/// Listens to what a connection is sent, and notes when it was last answered.
#[derive(Debug)]
pub struct Ear {
    decoder: Option<(PcmDecoder, RawFormat)>,
    samples: Vec<f32>,
    patience: Duration,
    unanswered_ms: u64,
    /// When so much was sent that an answer is due.
    since: Option<Instant>,
}

impl Ear {
    /// For a connection that gets such audio; it hears nothing in what it cannot decode.
    pub fn new(format: AudioFormat, interims: bool) -> Self {
        let decoder = match format {
            AudioFormat::Raw(raw) => PcmDecoder::new(raw).map(|decoder| (decoder, raw)),
            AudioFormat::Container(_) => None,
        };
        let patience = if interims { PATIENCE } else { PATIENCE_FOR_FINALS };
        Self { decoder, samples: Vec::new(), patience, unanswered_ms: 0, since: None }
    }

    /// Audio was sent.
    pub fn hear(&mut self, bytes: &[u8], now: Instant) {
        let Some((decoder, raw)) = &mut self.decoder else { return };
        self.samples.clear();
        decoder.push(bytes, &mut self.samples);
        let hertz = u64::from(raw.sample_rate).max(1);
        let piece = (hertz * PIECE_MS / 1000).max(1) as usize;
        let loud = self.samples.chunks(piece).filter(|piece| power(piece) >= LOUD);
        let loud_ms = loud.map(|piece| piece.len() as u64 * 1000 / hertz).sum::<u64>();
        self.unanswered_ms += loud_ms;
        if self.unanswered_ms >= WORTH_AN_ANSWER_MS {
            self.since.get_or_insert(now);
        }
    }

    /// The provider said something, be it that there was nothing to say.
    pub fn answered(&mut self) {
        self.unanswered_ms = 0;
        self.since = None;
    }

    /// Whether the provider leaves speech without an answer.
    pub fn is_ignored(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now >= since + self.patience)
    }
}

fn power(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(amplitude: i16, ms: usize) -> Vec<u8> {
        let sample = |at: usize| if at / 20 % 2 == 0 { amplitude } else { -amplitude };
        (0..ms * 16).flat_map(|at| sample(at).to_le_bytes()).collect()
    }

    #[test]
    fn only_speech_asks_for_an_answer() {
        let (start, later) = (Instant::now(), Instant::now() + PATIENCE);
        let format = AudioFormat::Raw(RawFormat::DEFAULT);
        let mut ear = Ear::new(format, true);
        ear.hear(&tone(100, 60_000), start);
        assert!(!ear.is_ignored(later), "room noise");
        ear.hear(&tone(3000, 500), start - PATIENCE);
        assert!(!ear.is_ignored(later), "a cough, long ago");
        ear.hear(&tone(3000, 1_000), start);
        assert!(ear.is_ignored(later) && !ear.is_ignored(start + PATIENCE / 2));
        assert!(!Ear::new(format, false).is_ignored(later));
        ear.answered();
        assert!(!ear.is_ignored(later));
        let mut deaf = Ear::new(AudioFormat::Container(crate::model::Container::Ogg), true);
        deaf.hear(&tone(3000, 10_000), start);
        assert!(!deaf.is_ignored(later));
    }
}
