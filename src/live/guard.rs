//! Keeps a socket no longer than its credential holds: tells ahead, looks again, and closes.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    client::Client,
    wire::{Close, Event, TokenExpiring},
};
use crate::{
    auth::Revoked,
    model::{Clock, ErrorKind},
    telemetry::metrics::label,
};

/// How long before its end a client is told of it.
const AHEAD: Duration = Duration::from_secs(60);
/// How often a credential is looked at though nothing was heard: at random between these two, so
/// that sockets that came together do not ask together.
pub(super) const PERIOD_MS: std::ops::Range<u64> = 45_000..58_000;
/// How soon again if nobody could tell.
const RETRY_MS: std::ops::Range<u64> = 5_000..10_000;
/// Over how long sockets spread their look where anybody's credential may be meant.
pub(super) const SPREAD_MS: std::ops::Range<u64> = 0..3_000;
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(2);
/// How long a moment of the wall clock is waited for before that clock is read again.
const STEP: Duration = Duration::from_secs(60);
/// How long a client that does not read may delay its close.
const CUT: Duration = Duration::from_secs(1);

/// Watches a socket to its end; then it must be closed with this, if it is not yet.
pub async fn watch(client: &Client) -> Close {
    let close = tokio::select! {
        close = expiry(client) => close,
        close = validity(client) => close,
    };
    client.part(close).await;
    sleep(CUT).await;
    close
}

/// Ends when the credential that counts has come to its end.
async fn expiry(client: &Client) -> Close {
    let mut standing = client.standing().watch();
    loop {
        let expires_at = standing.borrow_and_update().expires_at;
        let run_out = async {
            match expires_at {
                Some(expires_at) => run_out(client, expires_at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = run_out => return Close::TokenExpired,
            // It cannot close: the client holds the other end.
            _ = standing.changed() => {}
        }
    }
}

async fn run_out(client: &Client, expires_at: DateTime<Utc>) {
    reach(expires_at - AHEAD).await;
    let left = (expires_at - Clock.now()).num_milliseconds();
    client.outbox().push(Event::TokenExpiring(TokenExpiring {
        expires_at: Clock.format(expires_at),
        expires_in_ms: u64::try_from(left).unwrap_or(0),
        timestamp: Clock.timestamp(),
    }));
    reach(expires_at).await;
}

/// Waits for a moment of the wall clock, which may be set meanwhile.
pub(super) async fn reach(moment: DateTime<Utc>) {
    while let Ok(left) = (moment - Clock.now()).to_std()
        && !left.is_zero()
    {
        sleep(left.min(STEP)).await;
    }
}

/// Ends when the credential that counts holds no more: looked at when it is said to have been
/// revoked, and from time to time in any case.
async fn validity(client: &Client) -> Close {
    let Some(mut revoked) = client.standing().revoked() else {
        return std::future::pending().await;
    };
    let mut standing = client.standing().watch();
    let mut due = Instant::now() + random(PERIOD_MS);
    loop {
        tokio::select! {
            () = sleep_until(due) => match look(client).await {
                Some(true) => due = Instant::now() + random(PERIOD_MS),
                None => due = Instant::now() + random(RETRY_MS),
                Some(false) => return Close::CredentialRevoked,
            },
            // What was heard while it was verified was compared with the one before.
            _ = standing.changed() => due = Instant::now(),
            revoked = hear(&mut revoked) => {
                if revoked.concerns(&client.standing().current()) {
                    let delay = if revoked == Revoked::Unknown { random(SPREAD_MS) } else { Duration::ZERO };
                    due = due.min(Instant::now() + delay);
                }
            }
        }
    }
}

/// What was revoked next; anything, if announcements were missed.
pub(super) async fn hear(revoked: &mut broadcast::Receiver<Revoked>) -> Revoked {
    match revoked.recv().await {
        Ok(revoked) => revoked,
        Err(RecvError::Lagged(_)) => Revoked::Unknown,
        Err(RecvError::Closed) => std::future::pending().await,
    }
}

/// Whether the credential that counts still holds; nothing if nobody can tell now.
async fn look(client: &Client) -> Option<bool> {
    let principal = client.standing().current();
    // In a box, which is there only now: a guard lives as long as its socket.
    let answer = timeout(LOOK, Box::pin(client.service().recheck(&principal))).await;
    let failed = match answer {
        Ok(Ok(expires_at)) => {
            client.standing().reschedule(&principal, expires_at);
            None
        }
        Ok(Err(error)) => Some(error.kind),
        Err(_) => Some(ErrorKind::Timeout),
    };
    let outcome = failed.map_or("ok", ErrorKind::code);
    client.service().metrics.rechecks.add(1, &[label("outcome", outcome)]);
    // Another one may have taken its place meanwhile.
    let replaced = !Arc::ptr_eq(&principal, &client.standing().current());
    match failed {
        None => Some(true),
        Some(ErrorKind::Unauthenticated) => Some(replaced),
        Some(_) => None,
    }
}

pub(super) fn random(milliseconds: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rand::random_range(milliseconds))
}
