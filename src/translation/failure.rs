//! How a failed translation is told: the documented text once, the status by its cause.

use crate::{
    model::{Error, ErrorKind},
    providers::{ProviderError, failure},
};

/// What the contract says before a provider's failure.
fn words(provider: &str) -> &'static str {
    match provider {
        "openai" => "OpenAI translation failed",
        "google" => "Google translation failed",
        _ => "Translation failed",
    }
}

/// A provider's failure.
pub fn of_provider(provider: &str, error: ProviderError) -> Error {
    failure::tell(words(provider), error)
}

/// A provider that is not there says what is missing.
pub fn absent(provider: &str, why: &str) -> Error {
    let text = match provider {
        // The contract's own words.
        "google" => why.to_owned(),
        _ => format!("{}: {why}", words(provider)),
    };
    Error::new(ErrorKind::ProviderUnavailable, text)
}

/// A fault of ours.
pub fn internal() -> Error {
    Error::new(ErrorKind::Internal, "Internal server error")
}
