//! The embedded engine on a recording that fits into memory.

use std::time::Duration;

use tokio::time::timeout;

use super::{Engine, MODEL};
use crate::{
    model::{AudioFormat, Container, Segment},
    providers::{
        ErrorClass, ProviderError,
        recorded::{RecordedOptions, Recording, Stretch, Transcription},
    },
};

/// Pieces that are held in memory.
pub const LONGEST: Duration = Duration::from_secs(600);

/// Reads a WAV file and says what was heard in it; it hears English only.
pub async fn transcribe(
    engine: &Engine,
    recording: &Recording,
    options: &RecordedOptions,
    total: Duration,
) -> Result<Transcription, ProviderError> {
    if options.language.as_deref().is_some_and(|language| !language.starts_with("en")) {
        let detail = "the local engine hears English only";
        return Err(ProviderError::new(ErrorClass::Language, "language", detail));
    }
    let unread = |error: std::io::Error| {
        ProviderError::new(ErrorClass::BadRequest, "unsendable", format!("cannot be read: {error}"))
    };
    let audio = tokio::fs::read(&recording.path).await.map_err(unread)?;
    let heard = engine.transcribe(audio.into(), AudioFormat::Container(Container::Wav));
    let late = || ProviderError::new(ErrorClass::Timeout, "timeout", "no answer in time");
    let segments = timeout(total, heard).await.map_err(|_| late())??;
    Ok(told(segments, recording.duration_ms))
}

fn told(segments: Vec<Segment>, duration_ms: Option<u64>) -> Transcription {
    let texts: Vec<&str> = segments.iter().map(|segment| segment.transcript.trim()).collect();
    let texts: Vec<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    let transcript = texts.join(" ");
    let weight: usize = segments.iter().map(|segment| segment.transcript.len()).sum();
    let share = |segment: &Segment| f64::from(segment.confidence) * segment.transcript.len() as f64;
    let sure = segments.iter().map(share).sum::<f64>() / weight.max(1) as f64;
    let stretches = segments.iter().filter(|segment| !segment.transcript.trim().is_empty());
    Transcription {
        transcript,
        confidence: (weight > 0).then_some(sure),
        language: Some("en".to_owned()),
        model: MODEL.to_owned(),
        duration_ms: duration_ms.or_else(|| segments.last().map(|last| last.end_ms)),
        segments: stretches.map(stretch).collect(),
        words: segments.into_iter().flat_map(|segment| segment.words).collect(),
        ..Transcription::default()
    }
}

fn stretch(segment: &Segment) -> Stretch {
    Stretch {
        text: segment.transcript.trim().to_owned(),
        start_ms: segment.start_ms,
        end_ms: segment.end_ms,
        speaker: None,
        confidence: Some(f64::from(segment.confidence)),
    }
}
