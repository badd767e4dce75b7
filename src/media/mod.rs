//! Audio as bytes: WAV headers, samples, sample rates, and containers through ffmpeg.

pub mod cut;
mod ffmpeg;
pub mod pcm;
#[cfg(feature = "local-speech")]
pub mod resample;
pub mod wav;

pub use ffmpeg::{Ffmpeg, MediaError, Transcode};

/// Samples a second that speech models hear, in hertz.
pub const SPEECH_HERTZ: u32 = 16_000;
