//! Audio as bytes: WAV headers, samples, sample rates, and containers through ffmpeg.

pub mod cut;
mod ffmpeg;
pub mod files;
mod kind;
pub mod pcm;
#[cfg(feature = "local-speech")]
pub mod resample;
pub mod wav;

pub use ffmpeg::{Ffmpeg, MediaError, Transcode};
pub use files::{FileError, Files, Piece};
pub use kind::Kind;

/// Samples a second that speech models hear, in hertz.
pub const SPEECH_HERTZ: u32 = 16_000;
