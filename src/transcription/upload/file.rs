//! A file on its way to disk; its beginning is kept beside it.

use std::path::{Path, PathBuf};

use axum::body::Bytes;
use sha2::{Digest, Sha256};
use tokio::{fs::File, io::AsyncWriteExt};

use crate::{model::Error, transcription::scratch};

/// What is kept of the beginning, which says what the file is.
const HEAD_BYTES: usize = 64 * 1024;
/// What is written at once.
const WRITE_BYTES: usize = 64 * 1024;

/// A file that has come whole.
#[derive(Clone, Debug)]
pub struct Saved {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its first bytes.
    pub head: Bytes,
    /// SHA-256 of it, where that was asked for.
    pub digest: Option<[u8; 32]>,
}

/// One that is coming.
pub struct Saving {
    file: File,
    path: PathBuf,
    bytes: u64,
    head: Vec<u8>,
    digest: Option<Sha256>,
}

impl Saving {
    /// A new file in that folder, told apart from others where that is asked for.
    pub async fn create(folder: &Path, digest: bool) -> Result<Self, Error> {
        let path = folder.join("upload");
        let mut file = File::create(&path).await.map_err(|error| scratch::full(&error))?;
        file.set_max_buf_size(WRITE_BYTES);
        let digest = digest.then(Sha256::new);
        Ok(Self { file, path, bytes: 0, head: Vec::new(), digest })
    }

    /// Its size by now.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a piece.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        let missing = HEAD_BYTES.saturating_sub(self.head.len()).min(piece.len());
        self.head.extend_from_slice(&piece[..missing]);
        self.bytes += piece.len() as u64;
        if let Some(digest) = &mut self.digest {
            digest.update(piece);
        }
        self.file.write_all(piece).await.map_err(|error| scratch::full(&error))
    }

    /// All of it has come.
    pub async fn finish(mut self) -> Result<Saved, Error> {
        self.file.flush().await.map_err(|error| scratch::full(&error))?;
        let (path, bytes) = (self.path, self.bytes);
        let digest = self.digest.map(|digest| digest.finalize().into());
        Ok(Saved { path, bytes, head: self.head.into(), digest })
    }
}
