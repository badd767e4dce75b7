//! Audio of the tests: recorded speech, and sounds that are not speech.

use std::path::{Path, PathBuf};

use audio_transcription_api::{
    media::wav::{self, WavHeader},
    model::RawFormat,
};
use bytes::Bytes;

pub(crate) const LIBRIVOX: [&str; 3] = [
    "librivox_austen/sense_and_sensibility_01_austen_64kb-0870.wav",
    "librivox_austen/sense_and_sensibility_01_austen_64kb-0880.wav",
    "librivox_austen/sense_and_sensibility_01_austen_64kb-0930.wav",
];

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/audio").join(name)
}

/// The reference text of a recording.
pub(crate) fn transcript(name: &str) -> String {
    let text = std::fs::read_to_string(fixture("transcripts.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let entry = all.as_array().unwrap().iter().find(|entry| entry["file"] == name);
    entry.unwrap()["transcript"].as_str().unwrap().to_owned()
}

/// The samples of a WAV file and what they are.
pub(crate) fn raw(path: &Path) -> (RawFormat, Bytes) {
    let bytes = Bytes::from(std::fs::read(path).unwrap());
    let header = wav::parse_header(&bytes);
    let WavHeader::Complete { format, data_offset } = header else { panic!("{header:?}") };
    let length = wav::declared_data_bytes(&bytes, data_offset).unwrap();
    (format, bytes.slice(data_offset..(data_offset + length).min(bytes.len())))
}

/// A recording as ffmpeg writes it with `args`.
pub(crate) fn encoded(name: &str, args: &[&str]) -> Bytes {
    let recording = std::fs::read(fixture(name)).unwrap();
    testkit::speech::ffmpeg(&recording, args).unwrap().into()
}

/// `seconds` of 16 kHz linear16 made by `sample`, which gets the time in seconds.
pub(crate) fn synthetic(seconds: u32, mut sample: impl FnMut(f32) -> f32) -> Bytes {
    let samples = (0..seconds * 16_000).map(|at| sample(at as f32 / 16_000.0));
    samples.flat_map(|value| ((value * 32_767.0) as i16).to_le_bytes()).collect()
}

/// Noise of the given loudness, between 0 and 1; the same at every run.
pub(crate) fn noise(seconds: u32, loudness: f32) -> Bytes {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    synthetic(seconds, move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / 8_388_608.0 - 1.0) * loudness
    })
}

/// Word errors and reference words: the least edits between the two texts.
pub(crate) fn word_errors(reference: &str, heard: &str) -> (usize, usize) {
    let (reference, heard) = (spoken(reference), spoken(heard));
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (at, wanted) in reference.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (place, word) in heard.iter().enumerate() {
            let substituted = diagonal + usize::from(word != wanted);
            diagonal = row[place + 1];
            row[place + 1] = substituted.min(diagonal + 1).min(row[place] + 1);
        }
    }
    (row[heard.len()], reference.len())
}

/// Lower-case words without punctuation, titles spelled out.
fn spoken(text: &str) -> Vec<String> {
    let letters = text.to_lowercase().replace('-', " ");
    let letters: String =
        letters.chars().filter(|letter| letter.is_alphanumeric() || *letter == ' ').collect();
    letters.split_whitespace().map(|word| word.replace("mr", "mister")).collect()
}
