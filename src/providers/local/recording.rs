//! Whole recordings: a stream that is fed as fast as it takes the audio.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::{sync::mpsc, time::timeout};

use super::Engine;
use crate::{
    media::wav::{self, WavHeader},
    model::{AudioChunk, AudioFormat, Container, Language, Segment},
    providers::{
        CloseReason, Endpointing, ErrorClass, ProviderError, StreamCommand, StreamEvent,
        StreamOptions,
    },
};

const MAX_MS: u64 = 4 * 60 * 60 * 1000;
const CHUNK_BYTES: usize = 32 * 1024;
/// How long the engine may be silent while it is fed.
const SILENCE: Duration = Duration::from_mins(2);

pub(super) async fn transcribe(
    engine: &Engine,
    audio: Bytes,
    format: AudioFormat,
) -> Result<Vec<Segment>, ProviderError> {
    let (audio, format) = unwrapped(audio, format);
    if let AudioFormat::Raw(raw) = format {
        check_length(raw.bytes_to_ms(audio.len() as u64).unwrap_or(0))?;
    }
    let stream = engine.open(&options(format))?;
    let ((), segments) = tokio::join!(feed(stream.commands, audio), collect(stream.events));
    segments
}

/// A plain WAV file is taken as raw audio, which needs no ffmpeg.
fn unwrapped(audio: Bytes, format: AudioFormat) -> (Bytes, AudioFormat) {
    if format != AudioFormat::Container(Container::Wav) {
        return (audio, format);
    }
    let WavHeader::Complete { format: raw, data_offset } = wav::parse_header(&audio) else {
        return (audio, format);
    };
    let declared = wav::declared_data_bytes(&audio, data_offset).unwrap_or(usize::MAX);
    let end = data_offset.saturating_add(declared).min(audio.len());
    (audio.slice(data_offset..end), AudioFormat::Raw(raw))
}

async fn feed(commands: mpsc::Sender<StreamCommand>, audio: Bytes) {
    let mut rest = audio;
    let mut seq = 0;
    while !rest.is_empty() {
        let bytes = rest.split_to(CHUNK_BYTES.min(rest.len()));
        let chunk = AudioChunk { seq, bytes, received_at: Instant::now() };
        // A closed channel means that the stream has failed: its events tell why.
        if commands.send(StreamCommand::Audio(chunk)).await.is_err() {
            return;
        }
        seq += 1;
    }
    commands.send(StreamCommand::Close).await.ok();
}

async fn collect(mut events: mpsc::Receiver<StreamEvent>) -> Result<Vec<Segment>, ProviderError> {
    let mut segments = Vec::new();
    loop {
        let event = timeout(SILENCE, events.recv()).await.map_err(|_| lost())?;
        match event.ok_or_else(lost)? {
            StreamEvent::Transcript(segment) if segment.is_final => segments.push(*segment),
            StreamEvent::Covered { until_ms } => check_length(until_ms)?,
            StreamEvent::Closed(closed) => match closed.reason {
                CloseReason::Finished => return Ok(segments),
                CloseReason::Failed(error) => return Err(error),
            },
            _ => {}
        }
    }
}

fn check_length(ms: u64) -> Result<(), ProviderError> {
    if ms <= MAX_MS {
        return Ok(());
    }
    let detail = "the local engine takes recordings of at most four hours";
    Err(ProviderError::new(ErrorClass::BadRequest, "recording_too_long", detail))
}

fn lost() -> ProviderError {
    let detail = "the local engine stopped answering";
    ProviderError::new(ErrorClass::Timeout, "engine_silent", detail)
}

const fn options(format: AudioFormat) -> StreamOptions {
    StreamOptions {
        language: Language::ENGLISH,
        model: None,
        format,
        interim_results: false,
        punctuate: true,
        smart_format: false,
        diarize: false,
        multichannel: false,
        numerals: false,
        profanity_filter: false,
        vad_events: false,
        keyterms: Vec::new(),
        endpointing: Endpointing::Default,
        utterance_end_ms: None,
        report_sent: false,
    }
}
