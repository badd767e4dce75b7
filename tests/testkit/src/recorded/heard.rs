//! What is said in one recording, and what of it is in a piece.

use memchr::memmem;

/// Samples of a millisecond.
const PER_MS: usize = 16;
/// Bytes by which a piece is found: longer than any pause that is the same as another.
const NEEDLE_BYTES: usize = 64_000;
/// Where the samples of a WAV file begin at the latest.
const HEADER_BYTES: usize = 1_024;

/// A word where it is said, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// In lower case.
    pub word: String,
    /// Where it begins.
    pub start_ms: u64,
    /// Where it ends.
    pub end_ms: u64,
}

/// A recording of 16 kHz mono samples and its words, in order.
#[derive(Clone, Debug, Default)]
pub struct Speech {
    /// Its samples, little-endian.
    pub pcm: Vec<u8>,
    /// Its words.
    pub words: Vec<Spoken>,
}

/// What is in a piece, on its own timeline.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) words: Vec<Spoken>,
    pub(super) duration_ms: u64,
}

impl Speech {
    /// How long it is, in milliseconds.
    pub fn duration_ms(&self) -> u64 {
        (self.pcm.len() / 2 / PER_MS) as u64
    }

    /// The recording as a WAV file.
    pub fn wav(&self) -> Vec<u8> {
        let bytes = u32::try_from(self.pcm.len()).unwrap_or(u32::MAX - 36);
        let mut wav = b"RIFF".to_vec();
        wav.extend((bytes + 36).to_le_bytes());
        wav.extend(b"WAVEfmt ");
        for number in [16_u32, 0x0001_0001, 16_000, 32_000, 0x0010_0002] {
            wav.extend(number.to_le_bytes());
        }
        wav.extend(b"data");
        wav.extend(bytes.to_le_bytes());
        wav.extend(&self.pcm);
        wav
    }

    /// What is in the file: in a WAV file what is found there, in another all of it. Words that are
    /// cut are not understood.
    pub(super) fn hear(&self, file: &[u8]) -> Heard {
        let whole = (0, self.duration_ms());
        let (from_ms, until_ms) = match file {
            [b'R', b'I', b'F', b'F', ..] => {
                samples(file).and_then(|pcm| self.place(pcm)).unwrap_or((0, 0))
            }
            _ => whole,
        };
        let inside = |word: &&Spoken| word.start_ms >= from_ms && word.end_ms <= until_ms;
        let moved = |word: &Spoken| Spoken {
            word: word.word.clone(),
            start_ms: word.start_ms - from_ms,
            end_ms: word.end_ms - from_ms,
        };
        let words = self.words.iter().filter(inside).map(moved).collect();
        Heard { words, duration_ms: until_ms - from_ms }
    }

    /// Where in the recording these samples lie, in milliseconds.
    fn place(&self, pcm: &[u8]) -> Option<(u64, u64)> {
        let needle = &pcm[..pcm.len().min(NEEDLE_BYTES)];
        let at = memmem::find_iter(&self.pcm, needle).find(|at| at % 2 == 0)?;
        let ms = |bytes: usize| (bytes / 2 / PER_MS) as u64;
        Some((ms(at), ms(at + pcm.len())))
    }
}

impl Heard {
    pub(super) fn text(&self) -> String {
        let words: Vec<&str> = self.words.iter().map(|word| word.word.as_str()).collect();
        words.join(" ")
    }
}

/// The samples of a WAV file.
fn samples(file: &[u8]) -> Option<&[u8]> {
    let head = &file[..file.len().min(HEADER_BYTES)];
    let at = memmem::find(head, b"data")? + 8;
    file.get(at..)
}

/// Milliseconds as seconds.
pub(super) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
