//! Who transcribes recordings, behind one face.

use std::{sync::Arc, time::Duration};

#[cfg(feature = "local-speech")]
use super::local::{self, Engine};
use super::{
    ErrorClass, ProviderError, assemblyai, deepgram,
    openai::transcription as openai,
    recorded::{RecordedOptions, Recording, Say, Transcription},
};

/// A provider of recorded audio. Cheap to clone.
#[derive(Clone)]
pub enum Transcriber {
    /// Deepgram.
    Deepgram(deepgram::recorded::Recorded),
    /// OpenAI.
    OpenAi(openai::Recorded),
    /// AssemblyAI.
    AssemblyAi(assemblyai::recorded::Recorded),
    /// The embedded engine.
    #[cfg(feature = "local-speech")]
    Local(Engine),
    /// It is not configured; the sentence says which variable is missing.
    Absent(&'static str, Arc<str>),
}

/// All of them.
#[derive(Clone)]
pub struct Transcribers(Arc<[Transcriber]>);

impl Transcribers {
    /// Those, each once.
    pub fn new(all: Vec<Transcriber>) -> Self {
        Self(all.into())
    }

    /// The one of that name.
    pub fn get(&self, name: &str) -> Option<&Transcriber> {
        self.0.iter().find(|transcriber| transcriber.name() == name)
    }
}

impl Transcriber {
    /// The last part of its route, and its name in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Deepgram(_) => deepgram::PROVIDER,
            Self::OpenAi(_) => openai::PROVIDER,
            Self::AssemblyAi(_) => assemblyai::PROVIDER,
            #[cfg(feature = "local-speech")]
            Self::Local(_) => local::PROVIDER,
            Self::Absent(name, _) => name,
        }
    }

    /// Why it is not there, where it is not.
    pub fn absent(&self) -> Option<&str> {
        match self {
            Self::Absent(_, why) => Some(why),
            _ => None,
        }
    }

    /// Most bytes of one piece.
    pub const fn most_bytes(&self) -> u64 {
        match self {
            Self::Deepgram(_) => deepgram::recorded::MOST_BYTES,
            Self::OpenAi(_) => openai::MOST_BYTES,
            Self::AssemblyAi(_) => assemblyai::recorded::MOST_BYTES,
            #[cfg(feature = "local-speech")]
            Self::Local(_) => 64 * 1024 * 1024,
            Self::Absent(..) => u64::MAX,
        }
    }

    /// The longest that it takes at once, where it has to be looked at before.
    pub fn longest(&self, options: &RecordedOptions) -> Option<Duration> {
        match self {
            Self::Deepgram(_) | Self::AssemblyAi(_) | Self::Absent(..) => None,
            Self::OpenAi(openai) => openai.longest(options),
            #[cfg(feature = "local-speech")]
            Self::Local(_) => Some(local::recorded::LONGEST),
        }
    }

    /// Whether it reads such files.
    pub fn takes(&self, media_type: &str) -> bool {
        match self {
            Self::Deepgram(_) | Self::AssemblyAi(_) | Self::Absent(..) => true,
            Self::OpenAi(_) => openai::TAKES.contains(&media_type),
            #[cfg(feature = "local-speech")]
            Self::Local(_) => media_type == "audio/wav",
        }
    }

    /// The model that these options would use.
    pub fn model_for(&self, options: &RecordedOptions) -> String {
        let named = |usual: &str| options.model.clone().unwrap_or_else(|| usual.to_owned());
        match self {
            Self::Deepgram(deepgram) => deepgram.model_for(options),
            Self::OpenAi(openai) => openai.model_for(options),
            Self::AssemblyAi(_) => named(assemblyai::recorded::USUAL_MODEL),
            #[cfg(feature = "local-speech")]
            Self::Local(_) => local::MODEL.to_owned(),
            Self::Absent(..) => named(""),
        }
    }

    /// Has it transcribed within that time.
    pub async fn transcribe(
        &self,
        recording: &Recording,
        options: &RecordedOptions,
        total: Duration,
    ) -> Result<Transcription, ProviderError> {
        match self {
            Self::Deepgram(deepgram) => deepgram.transcribe(recording, options, total).await,
            Self::OpenAi(openai) => openai.transcribe(recording, options, total).await,
            Self::AssemblyAi(assembly) => assembly.transcribe(recording, options, total).await,
            #[cfg(feature = "local-speech")]
            Self::Local(engine) => {
                local::recorded::transcribe(engine, recording, options, total).await
            }
            Self::Absent(_, why) => {
                Err(ProviderError::new(ErrorClass::Unavailable, "absent", why.as_ref()))
            }
        }
    }

    /// The same, its words told as they are heard by those who can.
    pub async fn transcribe_aloud(
        &self,
        recording: &Recording,
        options: &RecordedOptions,
        total: Duration,
        say: &Say<'_>,
    ) -> Result<Transcription, ProviderError> {
        match self {
            Self::OpenAi(openai) => openai.transcribe_aloud(recording, options, total, say).await,
            other => other.transcribe(recording, options, total).await,
        }
    }
}
