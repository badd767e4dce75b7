//! Live transcription: who transcribes, and how much at once.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;

use super::{
    reader::Reader,
    variables::{
        ASR_MAX_STREAMS, ASR_MODEL_DIR, ASR_WORKERS, ASSEMBLYAI_API_KEY, ASSEMBLYAI_STREAMING_URL,
        DEEPGRAM_API_KEY, DEEPGRAM_BASE_URL, DEEPGRAM_MAX_STREAMS, DEEPGRAM_MODEL, LIVE_FALLBACKS,
        LIVE_IDLE_SECONDS, LIVE_MAX_SESSIONS, LIVE_PROVIDER, TRANSCRIPT_RETENTION_DAYS,
        USAGE_CHECKPOINT_SECONDS, USAGE_SCRATCH_DIR, Variable,
    },
};

/// Who transcribes live audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveProvider {
    /// Deepgram where there is a key, else the embedded engine.
    Auto,
    /// Deepgram only.
    Deepgram,
    /// AssemblyAI only.
    AssemblyAi,
    /// The embedded engine only.
    Local,
}

/// Limits and cadence of live sessions.
#[derive(Clone, Debug)]
pub struct LiveConfig {
    /// Who transcribes.
    pub provider: LiveProvider,
    /// Who goes on where that one fails, in order; never [`LiveProvider::Auto`], nobody twice.
    pub fallbacks: Vec<LiveProvider>,
    /// Sessions of one replica at once.
    pub max_sessions: usize,
    /// Silence after which a session's connection to its provider is let go.
    pub idle: Duration,
    /// How often a session's usage is written.
    pub checkpoint: Duration,
    /// Folder for usage that neither Postgres nor Redis takes, if any.
    pub scratch: Option<PathBuf>,
    /// Days that a stored transcript is kept; 0 keeps it until it is deleted.
    pub retention_days: i32,
}

impl LiveConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let provider = reader.choice(
            &LIVE_PROVIDER,
            &[
                ("auto", LiveProvider::Auto),
                ("deepgram", LiveProvider::Deepgram),
                ("assemblyai", LiveProvider::AssemblyAi),
                ("local", LiveProvider::Local),
            ],
        );
        provider.demand_key(&LIVE_PROVIDER, reader);
        Self {
            provider,
            fallbacks: fallbacks(reader, provider),
            max_sessions: reader.number(&LIVE_MAX_SESSIONS, 1..=1_000_000),
            idle: Duration::from_secs(reader.number(&LIVE_IDLE_SECONDS, 5..=3600)),
            checkpoint: Duration::from_secs(reader.number(&USAGE_CHECKPOINT_SECONDS, 1..=300)),
            scratch: scratch(reader),
            retention_days: reader.number(&TRANSCRIPT_RETENTION_DAYS, 0..=36_500),
        }
    }
}

impl LiveProvider {
    /// Who may be named.
    const NAMED: [(&'static str, Self); 3] =
        [("deepgram", Self::Deepgram), ("assemblyai", Self::AssemblyAi), ("local", Self::Local)];

    fn demand_key(self, variable: &Variable, reader: &mut Reader<'_>) {
        let (name, key) = match self {
            Self::Deepgram => ("deepgram", DEEPGRAM_API_KEY),
            Self::AssemblyAi => ("assemblyai", ASSEMBLYAI_API_KEY),
            Self::Auto | Self::Local => return,
        };
        if reader.set(&key).is_none() {
            let fault = format!("{}={name} needs {}", variable.name, key.name);
            reader.faults.wrong.push(fault);
        }
    }
}

/// Who goes on where the first choice fails.
fn fallbacks(reader: &mut Reader<'_>, first: LiveProvider) -> Vec<LiveProvider> {
    let has_deepgram = reader.set(&DEEPGRAM_API_KEY).is_some();
    let first = match first {
        LiveProvider::Auto if has_deepgram => LiveProvider::Deepgram,
        LiveProvider::Auto => LiveProvider::Local,
        chosen => chosen,
    };
    let mut chosen = Vec::new();
    let names = reader.text(&LIVE_FALLBACKS).split(',').map(str::trim);
    for name in names.filter(|name| !name.is_empty()) {
        let named =
            LiveProvider::NAMED.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        let Some((name, provider)) = named else {
            reader
                .wrong(&LIVE_FALLBACKS, "a comma-separated list of deepgram, assemblyai and local");
            continue;
        };
        if provider == first || chosen.contains(&provider) {
            let fault = format!("LIVE_FALLBACKS names {name}, which is in line already");
            reader.faults.wrong.push(fault);
            continue;
        }
        provider.demand_key(&LIVE_FALLBACKS, reader);
        chosen.push(provider);
    }
    chosen
}

fn scratch(reader: &Reader<'_>) -> Option<PathBuf> {
    match reader.set(&USAGE_SCRATCH_DIR) {
        None => Some(std::env::temp_dir().join("audio-transcription-api")),
        Some(off) if off.eq_ignore_ascii_case("off") => None,
        Some(folder) => Some(PathBuf::from(folder)),
    }
}

/// How to reach Deepgram.
#[derive(Clone, Debug)]
pub struct DeepgramConfig {
    /// Key of the project.
    pub api_key: SecretString,
    /// `http` or `https` address without a trailing slash.
    pub base_url: String,
    /// Model where the client asks for none.
    pub model: String,
}

impl DeepgramConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let base_url = reader.url(&DEEPGRAM_BASE_URL);
        let model = reader.text(&DEEPGRAM_MODEL).to_owned();
        Some(Self { api_key: reader.secret(&DEEPGRAM_API_KEY)?, base_url, model })
    }

    /// Streams that the project allows at once; `None` leaves it to Deepgram.
    pub(super) fn read_max_streams(reader: &mut Reader<'_>) -> Option<usize> {
        Some(reader.number(&DEEPGRAM_MAX_STREAMS, 0..=1_000_000)).filter(|streams| *streams > 0)
    }
}

/// How to reach AssemblyAI's live transcription.
#[derive(Clone, Debug)]
pub struct AssemblyAiConfig {
    /// Key of the account.
    pub api_key: SecretString,
    /// `http` or `https` address without a trailing slash.
    pub streaming_url: String,
}

impl AssemblyAiConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let streaming_url = reader.url(&ASSEMBLYAI_STREAMING_URL);
        Some(Self { api_key: reader.secret(&ASSEMBLYAI_API_KEY)?, streaming_url })
    }
}

/// The embedded speech engine.
#[derive(Clone, Debug)]
pub struct SpeechConfig {
    /// Folder of the model.
    pub model_dir: PathBuf,
    /// Decoding threads; as the cores allow where unset.
    pub workers: Option<usize>,
    /// Streams at once; as the cores allow where unset.
    pub max_streams: Option<usize>,
}

impl SpeechConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            model_dir: PathBuf::from(reader.text(&ASR_MODEL_DIR)),
            workers: reader.optional_number(&ASR_WORKERS, 1..=256),
            max_streams: reader.optional_number(&ASR_MAX_STREAMS, 1..=10_000),
        }
    }
}
