//! The embedded speech engine: English speech to text in this process, by Moonshine and Silero.
//!
//! ```text
//! commands ► intake (decode, resample, ffmpeg) ► fresh samples ► voice activity ► segmenter
//!                                                                 (worker)          │
//! events ◄ voice ◄ words ◄ recognition ◄ recogniser (worker) ◄ utterances ◄─────────┘
//! ```
//!
//! One task a stream holds all its state; the models live on a pool of threads that take voice
//! activity first, then finals, then partials, of which each stream has at most one waiting.

mod engine;
mod files;
mod intake;
mod jobs;
mod pool;
mod recogniser;
pub mod recorded;
mod recording;
mod runtime;
mod segmenter;
mod stream;
#[cfg(test)]
mod tests;
mod tokenizer;
mod vad;
mod voice;
mod words;

use crate::model::{AudioFormat, Encoding};
pub use engine::{Engine, LocalConfig};

/// The provider's name.
pub const PROVIDER: &str = "local";
/// The model's name.
pub const MODEL: &str = "moonshine-tiny-en";
/// Encodings of raw audio that it takes; containers are ffmpeg's business.
pub const ENCODINGS: [Encoding; 6] = [
    Encoding::Linear16,
    Encoding::Linear32,
    Encoding::Mulaw,
    Encoding::Alaw,
    Encoding::Flac,
    Encoding::OggOpus,
];

/// Whether it takes such audio.
pub fn takes(format: AudioFormat) -> bool {
    match format {
        AudioFormat::Raw(raw) => ENCODINGS.contains(&raw.encoding),
        AudioFormat::Container(_) => true,
    }
}
