//! How a provider fails, by what the session should do about it.

use std::{fmt, time::Duration};

use crate::model::{Error, ErrorKind};

/// What a failure asks of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The request itself is wrong (HTTP 400): do not retry.
    BadRequest,
    /// Our key is wrong or not allowed (401, 403): do not retry, tell the operator.
    Credentials,
    /// The account has no credit (402): do not retry, tell the operator.
    Payment,
    /// The audio cannot be decoded (close 1008): never send the same bytes again.
    Poison,
    /// The provider does not know the language.
    Language,
    /// The provider does not take such audio; another may.
    Format,
    /// Too many streams at once (429): retry after a while.
    RateLimited,
    /// Down, refused, closed or broken (5xx, 1011, a lost connection): reconnect.
    Unavailable,
    /// Nothing came back in time: reconnect.
    Timeout,
    /// It answered something else than it documents: retrying brings the same.
    Protocol,
    /// Our own engine has no room: retry after a while or elsewhere.
    Capacity,
}

impl ErrorClass {
    /// Whether a new connection with the same audio may succeed.
    pub const fn retryable(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unavailable | Self::Timeout)
    }

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Credentials => "credentials",
            Self::Payment => "payment",
            Self::Poison => "poison",
            Self::Language => "language",
            Self::Format => "format",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Capacity => "capacity",
        }
    }

    /// How the service's callers are told.
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::BadRequest | Self::Protocol => ErrorKind::ProviderRejected,
            Self::Poison | Self::Format => ErrorKind::UnsupportedMedia,
            Self::Language => ErrorKind::UnsupportedLanguage,
            Self::Capacity => ErrorKind::Overloaded,
            Self::Timeout => ErrorKind::Timeout,
            Self::Credentials | Self::Payment | Self::RateLimited | Self::Unavailable => {
                ErrorKind::ProviderUnavailable
            }
        }
    }
}

/// A provider's failure.
#[derive(Clone, Debug)]
pub struct ProviderError {
    /// What to do about it.
    pub class: ErrorClass,
    /// The provider's own code, such as `NET-0001` or `INVALID_AUTH`; for logs and metrics.
    pub code: String,
    /// What happened, for logs; may quote the provider.
    pub detail: String,
    /// The provider's id of the request, such as `dg-request-id`.
    pub request_id: Option<String>,
    /// When the provider says to come back.
    pub retry_after: Option<Duration>,
}

impl ProviderError {
    /// A failure without a request id.
    pub fn new(class: ErrorClass, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            class,
            code: code.into(),
            detail: detail.into(),
            request_id: None,
            retry_after: None,
        }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.class.as_str(), self.code, self.detail)
    }
}

impl std::error::Error for ProviderError {}

impl From<ProviderError> for Error {
    fn from(error: ProviderError) -> Self {
        let kind = error.class.kind();
        let shown = match error.class {
            ErrorClass::Language | ErrorClass::Format => error.detail.clone(),
            _ => "Transcription service error".to_owned(),
        };
        Self::new(kind, shown).because(error)
    }
}
