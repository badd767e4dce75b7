//! What AssemblyAI's streaming models hear: six languages, and raw mono audio in two encodings.
//!
//! Source: <https://www.assemblyai.com/docs/streaming/universal-streaming/multilingual-transcription>
//! and the streaming reference, both as of 2026.

use crate::{
    model::{AudioFormat, Encoding, Language, RawFormat},
    providers::{ErrorClass, ProviderError, StreamOptions},
};

const ENGLISH: &str = "universal-streaming-english";
const MULTILINGUAL: &str = "universal-streaming-multilingual";

/// Models that a client may ask for by name.
pub const MODELS: [&str; 2] = [ENGLISH, MULTILINGUAL];

/// Encodings of raw audio that it takes.
pub const ENCODINGS: [Encoding; 2] = [Encoding::Linear16, Encoding::Mulaw];

const LANGUAGES: [&str; 6] = ["en", "es", "fr", "de", "it", "pt"];

/// Whether any model knows the language.
pub fn knows(language: Language) -> bool {
    LANGUAGES.contains(&language.as_str())
}

/// Whether `model` knows the language.
pub fn hears(model: &str, language: Language) -> bool {
    if model == ENGLISH { language == Language::ENGLISH } else { knows(language) }
}

/// The model of a stream: the client's, where it named one of these, else one for the language.
pub fn choose(options: &StreamOptions) -> &'static str {
    let wanted = options.model.as_deref();
    let named = MODELS.into_iter().find(|model| Some(*model) == wanted);
    let fitting = if options.language == Language::ENGLISH { ENGLISH } else { MULTILINGUAL };
    named.unwrap_or(fitting)
}

/// The audio, where it takes such: raw, of one channel.
pub fn raw(format: AudioFormat) -> Option<RawFormat> {
    match format {
        AudioFormat::Raw(raw) => {
            (raw.channels == 1 && ENCODINGS.contains(&raw.encoding)).then_some(raw)
        }
        AudioFormat::Container(_) => None,
    }
}

/// The audio of a stream that it can transcribe, or why it cannot.
pub(super) fn check(options: &StreamOptions) -> Result<RawFormat, ProviderError> {
    let language = options.language;
    if !hears(choose(options), language) {
        let detail = format!("provider assemblyai does not know language {}", language.as_str());
        return Err(ProviderError::new(ErrorClass::Language, "unknown_language", detail));
    }
    raw(options.format).ok_or_else(|| {
        let detail = "provider assemblyai takes raw linear16 or mulaw audio of one channel only";
        ProviderError::new(ErrorClass::Format, "unsupported_audio", detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Container;

    #[test]
    fn six_languages_are_known_and_english_has_its_own_model() {
        let known: Vec<_> = Language::CODES
            .into_iter()
            .filter(|code| knows(Language::parse(code).expect("a code of the contract")))
            .collect();
        assert_eq!(known, ["en", "es", "fr", "it", "de", "pt"]);
        let spanish = Language::parse("es").expect("a code of the contract");
        assert!(!hears(ENGLISH, spanish) && hears(MULTILINGUAL, spanish));
    }

    #[test]
    fn only_raw_mono_audio_is_taken() {
        let mono = RawFormat::DEFAULT;
        assert_eq!(raw(AudioFormat::Raw(mono)), Some(mono));
        assert_eq!(raw(AudioFormat::Raw(RawFormat { channels: 2, ..mono })), None);
        let alaw = RawFormat { encoding: Encoding::Alaw, ..mono };
        assert_eq!(raw(AudioFormat::Raw(alaw)), None);
        assert_eq!(raw(AudioFormat::Container(Container::WebM)), None);
    }
}
