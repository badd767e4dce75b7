//! Whole files through supervised ffmpeg children: to 16 kHz mono samples, counted or cut into
//! pieces.

mod child;
mod cutter;
mod piece;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use self::{
    child::Decoding,
    cutter::{Cutter, Step},
    piece::Writer,
};
use super::Kind;

/// Bytes of a second of a piece.
pub const BYTES_PER_SECOND: u64 = 32_000;
/// How long a file may wait for its turn.
const TURN: Duration = Duration::from_secs(60);

/// Why a file cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FileError {
    /// ffmpeg is not there, or cannot be run.
    #[error("ffmpeg cannot be run: {0}")]
    Unusable(String),
    /// It is not what its first bytes say, or has no sound.
    #[error("the audio is not decodable: {0}")]
    Undecodable(String),
    /// It sounds longer than is allowed.
    #[error("the audio is longer than {} minutes", .0.as_secs() / 60)]
    TooLong(Duration),
    /// Too many others are worked on.
    #[error("too many files are being decoded")]
    Busy,
    /// It took too long.
    #[error("the audio took too long to decode")]
    Late,
}

/// Decodes files, so many at once. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Files {
    program: Arc<Path>,
    turns: Arc<Semaphore>,
    longest: Duration,
}

/// A part of a recording as a WAV file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it is.
    pub path: PathBuf,
    /// Where it begins, in milliseconds of the recording.
    pub start_ms: u64,
    /// Where it ends.
    pub end_ms: u64,
    /// Its size.
    pub bytes: u64,
}

impl Files {
    /// So many children of that program at once, and no recording that is longer.
    pub fn new(program: impl Into<PathBuf>, children: usize, longest: Duration) -> Self {
        let turns = Arc::new(Semaphore::new(children.max(1)));
        Self { program: program.into().into(), turns, longest }
    }

    /// How long it sounds, in milliseconds, whatever its header says.
    pub async fn duration_ms(&self, path: &Path, kind: Kind) -> Result<u64, FileError> {
        let _turn = self.turn().await?;
        let mut decoding = Decoding::start(&self.program, path, kind)?;
        let mut samples = 0;
        while let Some(portion) = decoding.samples().await? {
            samples += portion.len() as u64;
            self.check(samples)?;
        }
        Ok(samples / 16)
    }

    /// Cuts it into WAV files of at most that length in that folder; they tile the recording.
    pub async fn cut(
        &self,
        path: &Path,
        kind: Kind,
        longest: Duration,
        folder: &Path,
    ) -> Result<Vec<Piece>, FileError> {
        let _turn = self.turn().await?;
        let mut decoding = Decoding::start(&self.program, path, kind)?;
        let longest_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        let mut cutter = Cutter::new(longest_ms);
        let mut cutting = Cutting { folder, pieces: Vec::new(), writer: None };
        while let Some(portion) = decoding.samples().await? {
            for step in cutter.push(&portion) {
                cutting.take(step).await?;
            }
            self.check(cutter.samples() as u64)?;
        }
        for step in cutter.finish() {
            cutting.take(step).await?;
        }
        Ok(cutting.pieces)
    }

    fn check(&self, samples: u64) -> Result<(), FileError> {
        let sounds = Duration::from_millis(samples / 16);
        if sounds > self.longest { Err(FileError::TooLong(self.longest)) } else { Ok(()) }
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, FileError> {
        let turn = timeout(TURN, self.turns.acquire()).await.map_err(|_| FileError::Busy)?;
        // Nobody closes it.
        turn.map_err(|_| FileError::Busy)
    }
}

struct Cutting<'a> {
    folder: &'a Path,
    pieces: Vec<Piece>,
    writer: Option<Writer>,
}

impl Cutting<'_> {
    async fn take(&mut self, step: Step) -> Result<(), FileError> {
        match step {
            Step::Write(samples) => {
                let mut writer = match self.writer.take() {
                    Some(writer) => writer,
                    None => {
                        let start_ms = self.pieces.last().map_or(0, |piece| piece.end_ms);
                        Writer::create(self.folder, self.pieces.len(), start_ms).await?
                    }
                };
                writer.write(&samples).await?;
                self.writer = Some(writer);
            }
            Step::End => {
                if let Some(writer) = self.writer.take() {
                    self.pieces.push(writer.finish().await?);
                }
            }
        }
        Ok(())
    }
}
