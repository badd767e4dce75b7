//! Why a token of a login is refused, in the words of the replaced service.

use crate::model::{Error, ErrorKind};

/// Why a token of a login is refused.
#[derive(Debug)]
pub enum Refusal {
    /// It is no token of a login at all: another shape or another algorithm.
    Foreign(&'static str),
    /// It looks like one, but none of our secrets signed it.
    Forged,
    /// Its time is over.
    Expired,
    /// It was taken back, by itself, with its login, or with its user.
    Revoked,
    /// It is genuine, and no good for this.
    Invalid(String),
    /// Nobody can tell now.
    Unavailable(Error),
}

impl Refusal {
    /// What whoever holds the token is told.
    pub fn text(&self) -> &str {
        match self {
            Self::Foreign(text) => text,
            Self::Forged => "Signature verification failed",
            Self::Expired => "Token has expired",
            Self::Revoked => "Token has been revoked",
            Self::Invalid(text) => text,
            Self::Unavailable(error) => &error.detail,
        }
    }

    /// The same as doors tell it, which take tokens of a tenant too and say nothing of our secrets.
    pub(super) fn into_error(self) -> Error {
        let text = match self {
            Self::Unavailable(error) => return error,
            Self::Forged => "Invalid token: The specified alg value is not allowed".to_owned(),
            Self::Expired | Self::Revoked => self.text().to_owned(),
            Self::Foreign(_) | Self::Invalid(_) => format!("Invalid token: {}", self.text()),
        };
        Error::new(ErrorKind::Unauthenticated, text)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Unavailable(error)
    }
}
