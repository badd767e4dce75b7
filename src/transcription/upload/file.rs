//! A file on its way to disk; its beginning is kept beside it.

use std::path::{Path, PathBuf};

use axum::body::Bytes;
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
}

/// One that is coming.
pub(super) struct Saving {
    file: File,
    path: PathBuf,
    bytes: u64,
    head: Vec<u8>,
}

impl Saving {
    pub(super) async fn create(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("upload");
        let mut file = File::create(&path).await.map_err(|error| scratch::full(&error))?;
        file.set_max_buf_size(WRITE_BYTES);
        Ok(Self { file, path, bytes: 0, head: Vec::new() })
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) async fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        let missing = HEAD_BYTES.saturating_sub(self.head.len()).min(piece.len());
        self.head.extend_from_slice(&piece[..missing]);
        self.bytes += piece.len() as u64;
        self.file.write_all(piece).await.map_err(|error| scratch::full(&error))
    }

    pub(super) async fn finish(mut self) -> Result<Saved, Error> {
        self.file.flush().await.map_err(|error| scratch::full(&error))?;
        let (path, bytes) = (self.path, self.bytes);
        Ok(Saved { path, bytes, head: self.head.into() })
    }
}
