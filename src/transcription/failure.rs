//! How a failed transcription is told: the documented text once, the status by its cause.

use crate::{
    media::FileError,
    model::{Error, ErrorKind},
    providers::{ErrorClass, ProviderError, failure},
};

/// What the contract calls a provider.
pub fn title(provider: &str) -> &'static str {
    match provider {
        "deepgram" => "Deepgram",
        "whisper" => "Whisper",
        "assemblyai" => "AssemblyAI",
        _ => "Local",
    }
}

/// Whether the audio or the wish is at fault, so that no other provider is asked.
pub const fn is_the_callers(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::BadRequest | ErrorClass::Poison | ErrorClass::Format)
}

/// A provider's failure.
pub fn of_provider(provider: &str, error: ProviderError) -> Error {
    failure::tell(&format!("{} transcription failed", title(provider)), error)
}

/// A file's failure on its way to a provider.
pub fn of_file(provider: &str, error: FileError) -> Error {
    let kind = match error {
        FileError::Undecodable(_) | FileError::TooLong(_) => ErrorKind::InvalidRequest,
        FileError::Busy => ErrorKind::Overloaded,
        FileError::Late => ErrorKind::Timeout,
        FileError::Unusable(_) => {
            let shown = Error::new(ErrorKind::Internal, "Internal server error");
            return shown.because(error);
        }
    };
    text(provider, kind, &error.to_string()).because(error)
}

/// A provider that is not there names the variable that is missing.
pub fn of_absent(provider: &str, why: &str) -> Error {
    text(provider, ErrorKind::ProviderUnavailable, why)
}

fn text(provider: &str, kind: ErrorKind, shown: &str) -> Error {
    Error::new(kind, format!("{} transcription failed: {shown}", title(provider)))
}
