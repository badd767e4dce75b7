//! A session that was refused a place among the live ones: how soon its socket may ask again.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::model::{Error, ErrorKind};

/// How long the answer stands: a client that asks in a loop must not ask Redis in a loop.
const PAUSE: Duration = Duration::from_secs(1);

/// The last refusal of a socket.
#[derive(Debug, Default)]
pub struct TurnedAway(Mutex<Option<(Instant, Error)>>);

impl TurnedAway {
    /// Notes a refusal, if it is one that would be the same a moment later.
    pub fn note(&self, refusal: &Error) {
        if matches!(refusal.kind, ErrorKind::RateLimited | ErrorKind::Overloaded) {
            let noted = (Instant::now(), same(refusal));
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(noted);
        }
    }

    /// The refusal again while it stands.
    pub fn check(&self) -> Result<(), Error> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((at, refusal)) if at.elapsed() < PAUSE => Err(same(refusal)),
            _ => Ok(()),
        }
    }
}

/// The error without its cause, which was logged.
fn same(error: &Error) -> Error {
    let retry_after = error.retry_after;
    Error { retry_after, ..Error::new(error.kind, error.detail.clone()) }
}
