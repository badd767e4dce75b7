//! A recording on its way through one provider: as it is where the provider takes that, else in
//! pieces that it takes, put together again.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{failure, join::join, scratch::Folder, telling::Telling};
use crate::{
    media::{Files, Kind, Piece, files::BYTES_PER_SECOND},
    model::Error,
    providers::{
        ErrorClass, ProviderError,
        recorded::{RecordedOptions, Recording, Transcription},
        transcriber::Transcriber,
    },
};

/// Pieces of one recording that are transcribed at once.
const AT_ONCE: usize = 4;
/// What stands around the samples of a piece.
const HEADER_BYTES: u64 = 1_024;

/// A recording on disk.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What it is.
    pub kind: Kind,
    /// SHA-256 of it, where that was asked for.
    pub digest: Option<[u8; 32]>,
}

/// What came of it.
#[derive(Debug)]
pub struct Heard {
    /// What was heard; its length is known.
    pub transcription: Transcription,
    /// Pieces that it was cut into, and the length of the longest in milliseconds.
    pub pieces: (usize, u64),
}

/// How it failed.
#[derive(Debug)]
pub enum Failed {
    /// The provider could not, or would not.
    Provider(ProviderError),
    /// It cannot be done by anybody.
    Here(Error),
}

/// Transcribes it within that time.
pub async fn transcribe(
    transcriber: &Transcriber,
    source: &Source,
    options: &RecordedOptions,
    (files, folder): (&Files, &mut Folder),
    (total, telling): (Duration, Option<&Telling>),
) -> Result<Heard, Failed> {
    let begun = Instant::now();
    let here = |error| Failed::Here(failure::of_file(transcriber.name(), error));
    let whole = transcriber.takes(source.kind.media_type())
        && source.bytes <= transcriber.most_bytes()
        && transcriber.longest(options).is_none();
    if !whole {
        let pieces = cut(transcriber, source, options, (files, folder)).await?;
        let left = total.saturating_sub(begun.elapsed());
        let told = (left, telling);
        return in_pieces(transcriber, pieces, options, told).await.map_err(Failed::Provider);
    }
    let recording = recording(source);
    let heard = hear(transcriber, (0, &recording), options, (total, telling)).await;
    let mut transcription = heard.map_err(Failed::Provider)?;
    let known = transcription.duration_ms.filter(|ms| *ms > 0);
    let duration_ms = match known {
        Some(ms) => ms,
        None => files.duration_ms(&source.path, source.kind).await.map_err(here)?,
    };
    transcription.duration_ms = Some(duration_ms);
    Ok(Heard { transcription, pieces: (1, duration_ms) })
}

fn recording(source: &Source) -> Recording {
    Recording {
        path: source.path.clone(),
        bytes: source.bytes,
        file_name: format!("audio.{}", source.kind.ending()),
        media_type: source.kind.media_type(),
        duration_ms: None,
    }
}

async fn cut(
    transcriber: &Transcriber,
    source: &Source,
    options: &RecordedOptions,
    (files, folder): (&Files, &mut Folder),
) -> Result<Vec<Piece>, Failed> {
    let fits = transcriber.most_bytes().saturating_sub(HEADER_BYTES) / BYTES_PER_SECOND;
    let fits = Duration::from_secs(fits);
    let longest = transcriber.longest(options).map_or(fits, |longest| longest.min(fits));
    let path = folder.path().to_owned();
    let cut = files.cut(&source.path, source.kind, longest, &path).await;
    let pieces = cut.map_err(|error| Failed::Here(failure::of_file(transcriber.name(), error)))?;
    let bytes = pieces.iter().map(|piece| piece.bytes).sum();
    folder.grow(bytes).map_err(Failed::Here)?;
    Ok(pieces)
}

async fn in_pieces(
    transcriber: &Transcriber,
    pieces: Vec<Piece>,
    options: &RecordedOptions,
    (total, telling): (Duration, Option<&Telling>),
) -> Result<Heard, ProviderError> {
    let count = pieces.len();
    let longest_ms = pieces.iter().map(|piece| piece.end_ms - piece.start_ms).max().unwrap_or(0);
    let end_ms = pieces.last().map_or(0, |piece| piece.end_ms);
    let one = |(at, piece): (usize, Piece)| async move {
        let recording = Recording {
            path: piece.path,
            bytes: piece.bytes,
            file_name: "audio.wav".to_owned(),
            media_type: Kind::Wav.media_type(),
            duration_ms: Some(piece.end_ms - piece.start_ms),
        };
        let heard = hear(transcriber, (at, &recording), options, (total, telling)).await?;
        Ok::<_, ProviderError>((piece.start_ms, heard))
    };
    let all = stream::iter(pieces.into_iter().enumerate()).map(one).buffered(AT_ONCE).try_collect();
    let late = || ProviderError::new(ErrorClass::Timeout, "timeout", "no answer in time");
    let heard: Vec<_> = tokio::time::timeout(total, all).await.map_err(|_| late())??;
    let mut transcription = join(heard);
    transcription.duration_ms = Some(end_ms);
    Ok(Heard { transcription, pieces: (count, longest_ms) })
}

/// One piece, its words told as they come where somebody wants them.
async fn hear(
    transcriber: &Transcriber,
    (at, recording): (usize, &Recording),
    options: &RecordedOptions,
    (total, telling): (Duration, Option<&Telling>),
) -> Result<Transcription, ProviderError> {
    let Some(telling) = telling else {
        return transcriber.transcribe(recording, options, total).await;
    };
    let say = |words: &str| telling.say(at, words);
    let heard = transcriber.transcribe_aloud(recording, options, total, &say).await?;
    telling.close(at, &heard.transcript);
    Ok(heard)
}
