//! Recorded speech: reading it, pacing it, and judging a transcript of it.

mod accuracy;
mod ffmpeg;
mod pace;
mod wav;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use accuracy::{normalize, word_error_rate};
pub use ffmpeg::ffmpeg;
pub use pace::{Pace, Paced};
pub use wav::Wav;

/// The path of a file under `tests/fixtures/audio`, such as `jfk.wav`.
pub fn fixture_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/audio").join(name)
}

/// SHA-256 in hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
