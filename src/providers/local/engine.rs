//! The engine itself: loaded once, opened once a stream.

use std::{path::PathBuf, sync::Arc, thread::available_parallelism, time::Duration};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};

use super::{
    MODEL, PROVIDER,
    files::{ModelFiles, unusable},
    intake::Intake,
    pool::{Models, Pool},
    recogniser::Recogniser,
    recording, runtime,
    stream::Stream,
    tokenizer::Tokenizer,
    vad::Vad,
};
use crate::{
    lifecycle::Shutdown,
    media::{Ffmpeg, SPEECH_HERTZ},
    model::{AudioFormat, Error, Language, Segment},
    providers::{ErrorClass, LiveStream, ProviderError, StreamOptions},
    telemetry::Metrics,
};

/// Commands and events that a stream's channels hold.
const CHANNEL_CAPACITY: usize = 64;
/// When to come back if every stream is taken.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Where the model is and how much of the machine the engine may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalConfig {
    /// The directory that `scripts/speech-model` fills.
    pub model_dir: PathBuf,
    /// Threads that compute, each with about 100 MB of models.
    pub workers: usize,
    /// Streams and recordings at the same time; more are refused.
    pub max_streams: usize,
}

impl LocalConfig {
    /// One worker a core, four streams a worker.
    pub fn new(model_dir: impl Into<PathBuf>) -> Self {
        let workers = available_parallelism().map_or(1, std::num::NonZero::get);
        Self { model_dir: model_dir.into(), workers, max_streams: 4 * workers }
    }
}

/// The embedded engine: recognises English with no account and no internet. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What every stream uses.
pub(super) struct Shared {
    pub(super) pool: Pool,
    pub(super) metrics: Metrics,
    pub(super) shutdown: Shutdown,
    ffmpeg: Ffmpeg,
    slots: Arc<Semaphore>,
}

impl Engine {
    /// Loads the models. Blocks for about a second: call it from a blocking thread.
    ///
    /// # Errors
    /// One sentence that names the directory, what is wrong with it, and the cure.
    pub fn load(config: &LocalConfig, metrics: Metrics, shutdown: Shutdown) -> Result<Self, Error> {
        Self::load_with(config, metrics, shutdown, Ffmpeg::default())
    }

    /// The same with an ffmpeg that is not on the `PATH`.
    pub fn load_with(
        config: &LocalConfig,
        metrics: Metrics,
        shutdown: Shutdown,
        ffmpeg: Ffmpeg,
    ) -> Result<Self, Error> {
        let pool = start_pool(config)?;
        let slots = Arc::new(Semaphore::new(config.max_streams.max(1)));
        let shared = Arc::new(Shared { pool, metrics, shutdown, ffmpeg, slots });
        Ok(Self { shared })
    }

    #[cfg(test)]
    pub(super) fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    /// Opens a stream; must be called within a Tokio runtime.
    ///
    /// Channels are mixed down. Containers, and raw FLAC and Ogg Opus, go through ffmpeg; there a
    /// finalize request covers what ffmpeg has decoded by then.
    ///
    /// # Errors
    /// `Language` for anything but English, `BadRequest` for audio that cannot be taken,
    /// `Capacity` when every stream is taken.
    pub fn open(&self, options: &StreamOptions) -> Result<LiveStream, ProviderError> {
        speaks(options.language)?;
        let slot = Arc::clone(&self.shared.slots).try_acquire_owned().map_err(|_| full())?;
        let intake = Intake::open(options.format, &self.shared.ffmpeg, &self.shared.shutdown)?;
        let (commands, received) = mpsc::channel(CHANNEL_CAPACITY);
        let (told, events) = mpsc::channel(CHANNEL_CAPACITY);
        let shared = Arc::clone(&self.shared);
        let stream = Stream::new(shared, options.clone(), intake, (received, told), slot);
        self.shared.shutdown.spawn(stream.run());
        let model = MODEL.to_owned();
        Ok(LiveStream { provider: PROVIDER, model, request_id: None, commands, events })
    }

    /// Transcribes a recording of at most four hours; takes a stream's place while it runs.
    pub async fn transcribe(
        &self,
        audio: Bytes,
        format: AudioFormat,
    ) -> Result<Vec<Segment>, ProviderError> {
        recording::transcribe(self, audio, format).await
    }
}

fn start_pool(config: &LocalConfig) -> Result<Pool, Error> {
    let fail = |why: String| unusable(&config.model_dir, &why);
    let files = ModelFiles::read(&config.model_dir)?;
    let environment = runtime::environment(&files.runtime).map_err(fail)?;
    let tokenizer = Arc::new(Tokenizer::parse(&files.tokenizer).map_err(fail)?);
    let load = move || {
        let session = |bytes: &[u8]| runtime::session(&environment, bytes);
        let (encoder, decoder) = (session(&files.encoder)?, session(&files.decoder)?);
        let mut recogniser = Recogniser::new(encoder, decoder, Arc::clone(&tokenizer));
        // The first run is slow, and shows whether runtime and model fit.
        recogniser.recognise(vec![0.0; SPEECH_HERTZ as usize])?;
        Ok(Models { recogniser, vad: Vad::new(session(&files.vad)?) })
    };
    let workers = config.workers.max(1);
    Pool::start(workers, config.max_streams.max(1), load).map_err(fail)
}

fn speaks(language: Language) -> Result<(), ProviderError> {
    if language == Language::ENGLISH {
        return Ok(());
    }
    let detail = format!(
        "the local engine does not recognise {}; it recognises only: {}",
        language.as_str(),
        Language::ENGLISH.as_str()
    );
    Err(ProviderError::new(ErrorClass::Language, "unsupported_language", detail))
}

fn full() -> ProviderError {
    let detail = "every stream of the local engine is taken";
    let error = ProviderError::new(ErrorClass::Capacity, "no_free_stream", detail);
    ProviderError { retry_after: Some(RETRY_AFTER), ..error }
}
