//! How a provider's failure in a single act is told: the contract's text once, the status by cause.

use super::{ErrorClass, ProviderError};
use crate::model::{Error, ErrorKind};

/// Tells it after those words, such as `Deepgram transcription failed`. What a provider says of our
/// account or of its own troubles is not the caller's.
pub fn tell(words: &str, error: ProviderError) -> Error {
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
    let failure = Error::new(kind, format!("{words}: {shown}")).because(error);
    match wait {
        Some(wait) if kind.retryable() => failure.after(wait),
        _ => failure,
    }
}
