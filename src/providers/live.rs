//! Which provider transcribes live audio on this replica.

use std::sync::Arc;

#[cfg(feature = "local-speech")]
use super::local::Engine;
use super::{LiveStream, ProviderError, StreamOptions, deepgram, deepgram::Deepgram};
use crate::model::{Encoding, Error, ErrorKind, Language};

/// The live provider of this replica. Cheap to clone.
#[derive(Clone)]
pub enum Live {
    /// Deepgram.
    Deepgram(Deepgram),
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
            Self::Deepgram(_) => "deepgram",
            #[cfg(feature = "local-speech")]
            Self::Local(_) => "local",
            Self::Absent(_) => "none",
        }
    }

    /// Models that a client may name.
    pub fn models(&self) -> &'static [&'static str] {
        match self {
            Self::Deepgram(_) => &deepgram::model::MODELS,
            #[cfg(feature = "local-speech")]
            Self::Local(_) => &[super::local::MODEL],
            Self::Absent(_) => &[],
        }
    }

    /// Whether a model, or any model where none is named, hears the language.
    pub fn hears(&self, model: Option<&str>, language: Language) -> bool {
        match self {
            Self::Deepgram(_) => model.is_none_or(|model| deepgram::model::hears(model, language)),
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
            #[cfg(feature = "local-speech")]
            Self::Local(_) => &super::local::ENCODINGS,
            Self::Deepgram(_) | Self::Absent(_) => &Encoding::ALL,
        }
    }

    /// Whether it can tell speakers apart, transcribe channels each by itself, boost terms and the
    /// like, or only write down what it hears.
    pub const fn understands_hints(&self) -> bool {
        !matches!(self.name().as_bytes(), b"local")
    }

    /// The model that a stream with these options would use.
    pub fn model_for(&self, options: &StreamOptions) -> String {
        match self {
            Self::Deepgram(deepgram) => deepgram.model_for(options),
            #[cfg(feature = "local-speech")]
            Self::Local(_) => super::local::MODEL.to_owned(),
            Self::Absent(_) => String::new(),
        }
    }

    /// An error that says which variable is missing, where no provider is configured.
    pub fn available(&self) -> Result<(), Error> {
        match self {
            Self::Absent(why) => Err(Error::new(ErrorKind::ProviderUnavailable, &**why)),
            Self::Deepgram(_) => Ok(()),
            #[cfg(feature = "local-speech")]
            Self::Local(_) => Ok(()),
        }
    }

    /// Opens a stream.
    pub async fn open(&self, options: &StreamOptions) -> Result<LiveStream, ProviderError> {
        match self {
            Self::Deepgram(deepgram) => deepgram.open(options).await,
            #[cfg(feature = "local-speech")]
            Self::Local(engine) => engine.open(options),
            Self::Absent(why) => {
                let class = super::ErrorClass::Credentials;
                Err(ProviderError::new(class, "no_provider", &**why))
            }
        }
    }
}
