//! A piece of a recording on its way to disk, as a WAV file of 16 kHz mono samples.

use std::{
    io::SeekFrom,
    path::{Path, PathBuf},
};

use tokio::{
    fs::File,
    io::{AsyncSeekExt, AsyncWriteExt},
};

use super::{FileError, Piece};

const HEADER_BYTES: u64 = 44;
const RATE: u32 = 16_000;

/// A piece that is being written.
pub(super) struct Writer {
    file: File,
    path: PathBuf,
    start_ms: u64,
    samples: u64,
}

impl Writer {
    pub(super) async fn create(
        folder: &Path,
        number: usize,
        start_ms: u64,
    ) -> Result<Self, FileError> {
        let path = folder.join(format!("piece-{number}.wav"));
        let mut file = File::create(&path).await.map_err(|error| unkept(&error))?;
        file.write_all(&header(0)).await.map_err(|error| unkept(&error))?;
        Ok(Self { file, path, start_ms, samples: 0 })
    }

    pub(super) async fn write(&mut self, samples: &[i16]) -> Result<(), FileError> {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.samples += samples.len() as u64;
        self.file.write_all(&bytes).await.map_err(|error| unkept(&error))
    }

    pub(super) async fn finish(mut self) -> Result<Piece, FileError> {
        let data = self.samples * 2;
        let header = header(u32::try_from(data).unwrap_or(u32::MAX));
        let written = async {
            self.file.seek(SeekFrom::Start(0)).await?;
            self.file.write_all(&header).await?;
            self.file.flush().await
        };
        written.await.map_err(|error| unkept(&error))?;
        let (path, start_ms) = (self.path, self.start_ms);
        Ok(Piece {
            path,
            start_ms,
            end_ms: start_ms + self.samples / 16,
            bytes: data + HEADER_BYTES,
        })
    }
}

fn unkept(error: &std::io::Error) -> FileError {
    FileError::Unusable(format!("its output cannot be kept: {error}"))
}

/// A RIFF header of linear samples.
fn header(data: u32) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_BYTES as usize);
    header.extend_from_slice(b"RIFF");
    header.extend_from_slice(&data.saturating_add(36).to_le_bytes());
    header.extend_from_slice(b"WAVEfmt ");
    for number in [16_u32, 0x0001_0001, RATE, RATE * 2, 0x0010_0002] {
        header.extend_from_slice(&number.to_le_bytes());
    }
    header.extend_from_slice(b"data");
    header.extend_from_slice(&data.to_le_bytes());
    header
}
