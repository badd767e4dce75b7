//! The model directory: which files it must hold, and that they are the right ones.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::model::{Error, ErrorKind};

const ENCODER: (&str, &str) =
    ("encoder_model.ort", "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221");
const DECODER: (&str, &str) = (
    "decoder_model_merged.ort",
    "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
);
const TOKENIZER: (&str, &str) =
    ("tokenizer.bin", "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d");
const VAD: (&str, &str) = (
    "silero_vad_16k_op15.onnx",
    "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
);
/// Not checked by hash: it differs by machine, and any ONNX Runtime from 1.21 on will do.
const RUNTIME: &str = "libonnxruntime.so.1";

/// What the model directory holds, read and checked.
pub(super) struct ModelFiles {
    pub(super) encoder: Vec<u8>,
    pub(super) decoder: Vec<u8>,
    pub(super) tokenizer: Vec<u8>,
    pub(super) vad: Vec<u8>,
    pub(super) runtime: PathBuf,
}

impl ModelFiles {
    /// Reads every file; the error names the directory and how to mend it.
    pub(super) fn read(directory: &Path) -> Result<Self, Error> {
        let runtime = directory.join(RUNTIME);
        if !runtime.is_file() {
            return Err(unusable(directory, &format!("{RUNTIME} is missing")));
        }
        Ok(Self {
            encoder: read(directory, ENCODER)?,
            decoder: read(directory, DECODER)?,
            tokenizer: read(directory, TOKENIZER)?,
            vad: read(directory, VAD)?,
            runtime,
        })
    }
}

/// The one sentence that an operator gets.
pub(super) fn unusable(directory: &Path, why: &str) -> Error {
    let directory = directory.display();
    let text = format!(
        "the speech model in {directory} cannot be used: {why}; run `make speech-model` or set \
         ASR_MODEL_DIR"
    );
    Error::new(ErrorKind::ProviderUnavailable, text)
}

fn read(directory: &Path, (name, sha256): (&str, &str)) -> Result<Vec<u8>, Error> {
    let bytes = std::fs::read(directory.join(name))
        .map_err(|error| unusable(directory, &format!("{name} is missing")).because(error))?;
    if is_hash(&Sha256::digest(&bytes), sha256) {
        return Ok(bytes);
    }
    Err(unusable(directory, &format!("{name} is damaged (its SHA-256 differs)")))
}

fn is_hash(digest: &[u8], sha256: &str) -> bool {
    let pairs = sha256.as_bytes().chunks_exact(2);
    let wanted = pairs.map(|pair| {
        let pair = std::str::from_utf8(pair).unwrap_or_default();
        u8::from_str_radix(pair, 16).ok()
    });
    wanted.eq(digest.iter().map(|byte| Some(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_directory_is_named_with_its_cure() {
        let error = ModelFiles::read(Path::new("/nonexistent/model")).err().unwrap();
        assert!(error.detail.contains("/nonexistent/model"), "{error}");
        assert!(error.detail.contains("libonnxruntime.so.1 is missing"), "{error}");
        assert!(error.detail.contains("make speech-model"), "{error}");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let directory = std::env::temp_dir().join(format!("speech-model-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        for name in [RUNTIME, ENCODER.0] {
            std::fs::write(directory.join(name), b"no model").unwrap();
        }
        let error = ModelFiles::read(&directory).err().unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(error.detail.contains("encoder_model.ort is damaged"), "{error}");
    }
}
