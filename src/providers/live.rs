//! Which provider transcribes live audio on this replica.

use std::{ops::RangeInclusive, sync::Arc};

#[cfg(feature = "local-speech")]
use super::local::Engine;
use super::{
    LiveStream, ProviderError, StreamOptions,
    assemblyai::{self, AssemblyAi},
    deepgram::{self, Deepgram},
};
use crate::model::{Encoding, Error, ErrorKind, Language};

/// Most characters of a word to listen for.
const MAX_KEYTERM_CHARS: usize = 100;
/// Most channels of raw audio.
const MAX_CHANNELS: u64 = 20;

/// A live provider of this replica. Cheap to clone.
#[derive(Clone)]
pub enum Live {
    /// Deepgram.
    Deepgram(Deepgram),
    /// AssemblyAI.
    AssemblyAi(AssemblyAi),
    /// The embedded engine.
    #[cfg(feature = "local-speech")]
    Local(Engine),
    /// None is configured; the sentence says which variable is missing.
    Absent(Arc<str>),
}

impl Live {
    /// The name on the wire and in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Deepgram(_) => deepgram::PROVIDER,
            Self::AssemblyAi(_) => assemblyai::PROVIDER,
            #[cfg(feature = "local-speech")]
            Self::Local(_) => "local",
            Self::Absent(_) => "none",
        }
    }

    /// Models that a client may name.
    pub fn models(&self) -> &'static [&'static str] {
        match self {
            Self::Deepgram(_) => &deepgram::model::MODELS,
            Self::AssemblyAi(_) => &assemblyai::model::MODELS,
            #[cfg(feature = "local-speech")]
            Self::Local(_) => &[super::local::MODEL],
            Self::Absent(_) => &[],
        }
    }

    /// Whether a model, or any model where none is named, hears the language.
    pub fn hears(&self, model: Option<&str>, language: Language) -> bool {
        match self {
            Self::Deepgram(_) => model.is_none_or(|model| deepgram::model::hears(model, language)),
            Self::AssemblyAi(_) => match model {
                Some(model) => assemblyai::model::hears(model, language),
                None => assemblyai::model::knows(language),
            },
            #[cfg(feature = "local-speech")]
            Self::Local(_) => language == Language::ENGLISH,
            Self::Absent(_) => true,
        }
    }

    /// The languages that a model, or any model where none is named, hears.
    pub fn languages(&self, model: Option<&str>) -> Vec<&'static str> {
        let known = Language::CODES.into_iter().filter_map(Language::parse);
        known.filter(|language| self.hears(model, *language)).map(Language::as_str).collect()
    }

    /// Encodings of raw audio that it takes.
    pub fn encodings(&self) -> &'static [Encoding] {
        match self {
            Self::AssemblyAi(_) => &assemblyai::model::ENCODINGS,
            #[cfg(feature = "local-speech")]
            Self::Local(_) => &super::local::ENCODINGS,
            Self::Deepgram(_) | Self::Absent(_) => &Encoding::ALL,
        }
    }

    /// How many interleaved channels of raw audio it takes.
    pub const fn channels(&self) -> RangeInclusive<u64> {
        match self {
            Self::AssemblyAi(_) => 1..=1,
            _ => 1..=MAX_CHANNELS,
        }
    }

    /// Whether it can transcribe such a stream at all: its language, and its audio.
    ///
    /// A model of another provider's and hints that it does not understand are no hindrance: it
    /// chooses a model of its own, and leaves the hints out.
    pub fn takes(&self, options: &StreamOptions) -> bool {
        let own = options.model.as_deref().filter(|model| self.models().contains(model));
        self.hears(own, options.language)
            && match self {
                Self::AssemblyAi(_) => assemblyai::model::raw(options.format).is_some(),
                #[cfg(feature = "local-speech")]
                Self::Local(_) => super::local::takes(options.format),
                Self::Deepgram(_) | Self::Absent(_) => true,
            }
    }

    /// Whether it does something about an option such as `diarize` or `keyterm`, or can only
    /// leave it out.
    pub fn understands(&self, hint: &str) -> bool {
        match self {
            Self::AssemblyAi(_) => assemblyai::HINTS.contains(&hint),
            #[cfg(feature = "local-speech")]
            Self::Local(_) => false,
            Self::Deepgram(_) | Self::Absent(_) => true,
        }
    }

    /// Whether it measures the times of words, or only estimates them.
    pub const fn measures(&self) -> bool {
        match self {
            #[cfg(feature = "local-speech")]
            Self::Local(_) => false,
            Self::Deepgram(_) | Self::AssemblyAi(_) | Self::Absent(_) => true,
        }
    }

    /// Most characters of a word to listen for.
    pub const fn max_keyterm_chars(&self) -> usize {
        match self {
            Self::AssemblyAi(_) => assemblyai::MAX_KEYTERM_CHARS,
            _ => MAX_KEYTERM_CHARS,
        }
    }

    /// The model that a stream with these options would use.
    pub fn model_for(&self, options: &StreamOptions) -> String {
        match self {
            Self::Deepgram(deepgram) => deepgram.model_for(options),
            Self::AssemblyAi(_) => assemblyai::model::choose(options).to_owned(),
            #[cfg(feature = "local-speech")]
            Self::Local(_) => super::local::MODEL.to_owned(),
            Self::Absent(_) => String::new(),
        }
    }

    /// An error that says which variable is missing, where no provider is configured.
    pub fn available(&self) -> Result<(), Error> {
        match self {
            Self::Absent(why) => Err(Error::new(ErrorKind::ProviderUnavailable, &**why)),
            Self::Deepgram(_) | Self::AssemblyAi(_) => Ok(()),
            #[cfg(feature = "local-speech")]
            Self::Local(_) => Ok(()),
        }
    }

    /// Opens a stream.
    pub async fn open(&self, options: &StreamOptions) -> Result<LiveStream, ProviderError> {
        match self {
            Self::Deepgram(deepgram) => deepgram.open(options).await,
            Self::AssemblyAi(assemblyai) => assemblyai.open(options).await,
            #[cfg(feature = "local-speech")]
            Self::Local(engine) => engine.open(options),
            Self::Absent(why) => {
                let class = super::ErrorClass::Credentials;
                Err(ProviderError::new(class, "no_provider", &**why))
            }
        }
    }
}
