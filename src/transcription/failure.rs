//! How a failed transcription is told: the documented text once, the status by its cause.

use crate::{
    media::FileError,
    model::{Error, ErrorKind},
    providers::{ErrorClass, ProviderError},
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

/// A provider's failure. What it says of our account or of its troubles is not the caller's.
pub fn of_provider(provider: &str, error: ProviderError) -> Error {
    let (kind, shown) = match error.class {
        ErrorClass::BadRequest | ErrorClass::Poison | ErrorClass::Format => {
            (ErrorKind::InvalidRequest, error.detail.clone())
        }
        ErrorClass::Language => (ErrorKind::UnsupportedLanguage, error.detail.clone()),
        ErrorClass::RateLimited => {
            (ErrorKind::RateLimited, "the provider is asked too often".into())
        }
        ErrorClass::Timeout => (ErrorKind::Timeout, "the provider took too long".into()),
        ErrorClass::Protocol => {
            (ErrorKind::ProviderRejected, "the provider's answer was not understood".into())
        }
        ErrorClass::Capacity => (ErrorKind::Overloaded, "no room for it now".into()),
        ErrorClass::Credentials | ErrorClass::Payment | ErrorClass::Unavailable => {
            (ErrorKind::ProviderUnavailable, "the provider cannot be used now".into())
        }
    };
    let wait = error.retry_after;
    let failure = text(provider, kind, &shown).because(error);
    match wait {
        Some(wait) if kind.retryable() => failure.after(wait),
        _ => failure,
    }
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
