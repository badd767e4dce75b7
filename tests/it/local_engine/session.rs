//! A session of the tests: feeds an engine's stream and keeps what comes back.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, Instant},
};

use audio_transcription_api::{
    lifecycle::Shutdown,
    model::{AudioChunk, AudioFormat, Language, RawFormat, Segment},
    providers::{
        CloseReason, Closed, Endpointing, LiveStream, StreamCommand, StreamEvent, StreamOptions,
        local::{Engine, LocalConfig},
    },
    telemetry::Metrics,
};
use bytes::Bytes;
use tokio::time::{interval, timeout};

const DEADLINE: Duration = Duration::from_secs(60);

/// Where the model is; the panic says how to get it.
pub(crate) fn model_dir() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join(".dev/speech-model");
    let directory = std::env::var_os("ASR_MODEL_DIR").map_or_else(default, PathBuf::from);
    assert!(
        directory.join("encoder_model.ort").is_file(),
        "there is no speech model in {}: run scripts/speech-model first",
        directory.display()
    );
    directory
}

/// An engine of its own.
pub(crate) fn engine(workers: usize, max_streams: usize) -> (Engine, Metrics) {
    let config = LocalConfig { model_dir: model_dir(), workers, max_streams };
    let metrics = Metrics::new().unwrap();
    (Engine::load(&config, metrics.clone(), Shutdown::default()).unwrap(), metrics)
}

/// The engine that most tests share: loading takes memory and time.
pub(crate) fn shared() -> &'static Engine {
    static SHARED: OnceLock<Engine> = OnceLock::new();
    SHARED.get_or_init(|| engine(2, 32).0)
}

pub(crate) fn options(format: AudioFormat) -> StreamOptions {
    StreamOptions {
        language: Language::ENGLISH,
        model: None,
        format,
        interim_results: true,
        punctuate: true,
        smart_format: false,
        diarize: false,
        multichannel: false,
        numerals: false,
        profanity_filter: false,
        vad_events: true,
        keyterms: Vec::new(),
        endpointing: Endpointing::Default,
        utterance_end_ms: Some(1000),
        report_sent: false,
    }
}

pub(crate) fn raw_options() -> StreamOptions {
    options(AudioFormat::Raw(RawFormat::DEFAULT))
}

/// What came back, with the moment at which it did.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) events: Vec<(Instant, StreamEvent)>,
}

impl Heard {
    pub(crate) fn segments(&self, is_final: bool) -> Vec<(Instant, &Segment)> {
        let mut segments = Vec::new();
        for (at, event) in &self.events {
            if let StreamEvent::Transcript(segment) = event
                && segment.is_final == is_final
            {
                segments.push((*at, &**segment));
            }
        }
        segments
    }

    pub(crate) fn text(&self) -> String {
        let finals: Vec<_> =
            self.segments(true).iter().map(|(_, segment)| segment.transcript.as_str()).collect();
        finals.join(" ")
    }

    pub(crate) fn covered_ms(&self) -> Vec<u64> {
        let only = |(_, event): &(Instant, StreamEvent)| match event {
            StreamEvent::Covered { until_ms } => Some(*until_ms),
            _ => None,
        };
        self.events.iter().filter_map(only).collect()
    }

    pub(crate) fn closed(&self) -> &Closed {
        match &self.events.last().unwrap().1 {
            StreamEvent::Closed(closed) => closed,
            other => panic!("the last event is {other:?}"),
        }
    }

    pub(crate) fn finished(&self) -> bool {
        matches!(self.closed().reason, CloseReason::Finished)
    }
}

/// How audio is fed.
#[derive(Clone, Copy)]
pub(crate) struct Feed {
    pub(crate) chunk_bytes: usize,
    /// The time between chunks; none feeds as fast as the stream takes them.
    pub(crate) pace: Option<Duration>,
}

impl Feed {
    pub(crate) const FAST: Self = Self { chunk_bytes: 3200, pace: None };
    pub(crate) const REAL_TIME: Self =
        Self { chunk_bytes: 3200, pace: Some(Duration::from_millis(100)) };
}

pub(crate) fn chunk(seq: u64, bytes: Bytes) -> StreamCommand {
    StreamCommand::Audio(AudioChunk { seq, bytes, received_at: Instant::now() })
}

/// Feeds all of `audio`, closes, and waits for the end. Also says when the last chunk was fed.
pub(crate) async fn listen(stream: LiveStream, audio: Bytes, feed: Feed) -> (Heard, Instant) {
    let LiveStream { commands, mut events, .. } = stream;
    let give = async move {
        let mut ticks = feed.pace.map(interval);
        for (seq, bytes) in audio.chunks(feed.chunk_bytes).enumerate() {
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            let bytes = Bytes::copy_from_slice(bytes);
            if commands.send(chunk(seq as u64, bytes)).await.is_err() {
                return Instant::now();
            }
        }
        let last_chunk = Instant::now();
        commands.send(StreamCommand::Close).await.ok();
        last_chunk
    };
    let take = async {
        let mut heard = Heard::default();
        while let Some(event) = timeout(DEADLINE, events.recv()).await.unwrap() {
            heard.events.push((Instant::now(), event));
        }
        heard
    };
    let (last_chunk, heard) = tokio::join!(give, take);
    (heard, last_chunk)
}

/// The next event that `wanted` picks.
pub(crate) async fn next<T>(
    stream: &mut LiveStream,
    mut wanted: impl FnMut(StreamEvent) -> Option<T>,
) -> T {
    let search = async {
        loop {
            let event = stream.events.recv().await.expect("the stream is over");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    timeout(DEADLINE, search).await.expect("the event did not come in time")
}
