//! The service's one error: a kind that decides everything stable, a text that may be shown, and a
//! source that never is.

use std::{fmt, time::Duration};

/// What went wrong, as clients, metrics and logs name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The caller sent something that cannot be used.
    InvalidRequest,
    /// The language is not one that the chosen provider knows.
    UnsupportedLanguage,
    /// No credential, or one that does not verify.
    Unauthenticated,
    /// The credential is good, the act is not allowed.
    Forbidden,
    /// The credential is good, but another user's than the one before.
    PrincipalMismatch,
    /// There is no such thing, or not for this caller.
    NotFound,
    /// It exists already, or the session is in another state.
    Conflict,
    /// The same act, named by its caller, is being done.
    IdempotencyInProgress,
    /// The name of an act was used for another one.
    IdempotencyKeyReused,
    /// The caller took too long to send it.
    RequestTimeout,
    /// Larger than a documented limit.
    PayloadTooLarge,
    /// Audio that cannot be decoded.
    UnsupportedMedia,
    /// Too many of these in a time.
    RateLimited,
    /// The plan's allowance is used up.
    QuotaExceeded,
    /// This replica cannot take more now.
    Overloaded,
    /// The provider refused what we sent.
    ProviderRejected,
    /// The provider cannot be used now, or no provider is configured.
    ProviderUnavailable,
    /// Postgres, which the request needs, is away.
    DatabaseUnavailable,
    /// Something else that the request needs is away, such as Redis.
    DependencyUnavailable,
    /// A deadline passed.
    Timeout,
    /// The replica is draining.
    ShuttingDown,
    /// A fault of ours.
    Internal,
}

impl ErrorKind {
    /// Every kind, for the table in the docs.
    pub const ALL: [Self; 22] = [
        Self::InvalidRequest,
        Self::UnsupportedLanguage,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::PrincipalMismatch,
        Self::NotFound,
        Self::Conflict,
        Self::IdempotencyInProgress,
        Self::IdempotencyKeyReused,
        Self::RequestTimeout,
        Self::PayloadTooLarge,
        Self::UnsupportedMedia,
        Self::RateLimited,
        Self::QuotaExceeded,
        Self::Overloaded,
        Self::ProviderRejected,
        Self::ProviderUnavailable,
        Self::DatabaseUnavailable,
        Self::DependencyUnavailable,
        Self::Timeout,
        Self::ShuttingDown,
        Self::Internal,
    ];

    /// The stable code on the wire and the metric label.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnsupportedLanguage => "unsupported_language",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::PrincipalMismatch => "principal_mismatch",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::IdempotencyInProgress => "idempotency_in_progress",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::RequestTimeout => "request_timeout",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UnsupportedMedia => "unsupported_media",
            Self::RateLimited => "rate_limited",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Overloaded => "overloaded",
            Self::ProviderRejected => "provider_rejected",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::DatabaseUnavailable => "database_unavailable",
            Self::DependencyUnavailable => "dependency_unavailable",
            Self::Timeout => "timeout",
            Self::ShuttingDown => "shutting_down",
            Self::Internal => "internal",
        }
    }

    /// Whether the same request may succeed later.
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Self::RequestTimeout
                | Self::IdempotencyInProgress
                | Self::RateLimited
                | Self::Overloaded
                | Self::ProviderUnavailable
                | Self::DatabaseUnavailable
                | Self::DependencyUnavailable
                | Self::Timeout
                | Self::ShuttingDown
        )
    }
}

/// An error of the service.
pub struct Error {
    /// Decides code, status, retry and log level.
    pub kind: ErrorKind,
    /// Text that may be shown to the caller.
    pub detail: String,
    /// The cause, for logs only.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// When to try again, where that is known.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// An error with a text that may be shown.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), source: None, retry_after: None }
    }

    /// Something the caller sent cannot be used.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, detail)
    }

    /// The same error with the time after which to try again.
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same error with its cause attached for the log.
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code(), self.detail)?;
        match &self.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}
