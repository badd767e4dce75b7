//! What a socket's right to be open stands on, and how its client renews it.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::sync::{broadcast, watch};

use super::{
    client::Client,
    entry::Admitted,
    sockets::OpenSocket,
    wire::{Authenticated, Close, Event},
};
use crate::{
    auth::{Principal, Revoked},
    model::{Error, ErrorKind},
};

/// How long after a refused token another is looked at: guessing must cost more than it gains.
const PAUSE: Duration = Duration::from_secs(1);

/// The credential that counts now, and whether the socket is about to be closed for it.
pub struct Standing {
    current: watch::Sender<Arc<Principal>>,
    revoked: Mutex<Option<broadcast::Receiver<Revoked>>>,
    verifying: AtomicBool,
    parting: OnceLock<Close>,
    open: Mutex<Option<OpenSocket>>,
}

impl Standing {
    /// The standing of somebody who has just been admitted.
    pub fn of(admitted: Admitted) -> Self {
        Self {
            current: watch::Sender::new(Arc::new(admitted.principal)),
            revoked: Mutex::new(Some(admitted.revoked)),
            verifying: AtomicBool::new(false),
            parting: OnceLock::new(),
            open: Mutex::new(Some(admitted.open)),
        }
    }

    /// The credential that counts now.
    pub fn current(&self) -> Arc<Principal> {
        self.current.borrow().clone()
    }

    /// Tells when another one counts.
    pub fn watch(&self) -> watch::Receiver<Arc<Principal>> {
        self.current.subscribe()
    }

    /// Notes that a credential, if it is still the one that counts, ends then.
    pub fn reschedule(&self, principal: &Arc<Principal>, expires_at: Option<DateTime<Utc>>) {
        self.current.send_if_modified(|current| {
            let moved = Arc::ptr_eq(current, principal) && current.expires_at != expires_at;
            if moved {
                *current = Arc::new(Principal { expires_at, ..Principal::clone(principal) });
            }
            moved
        });
    }

    /// Everything that is revoked from the admission on; there is one listener.
    pub fn revoked(&self) -> Option<broadcast::Receiver<Revoked>> {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The socket is gone, though what it began may go on.
    pub fn leave(&self) {
        drop(self.open.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Notes that the socket is about to be closed, and with what.
    pub fn part(&self, close: Close) {
        // The first reason stands.
        let _earlier = self.parting.set(close);
    }

    /// What the socket is about to be closed with, if it is.
    pub fn parting(&self) -> Option<Close> {
        self.parting.get().copied()
    }
}

impl Client {
    /// Looks at another token of the same user, beside the stream and one at a time. A token that
    /// is refused changes nothing.
    pub fn authenticate(&self, token: Option<String>) {
        if self.standing().verifying.swap(true, Ordering::AcqRel) {
            let text = "one token at a time, and not within a second of a refused one";
            self.fail(&Error::new(ErrorKind::RateLimited, text).after(PAUSE));
            return;
        }
        let client = self.clone();
        let shutdown = self.shutdown().clone();
        self.shutdown().spawn(async move {
            if let Err(refusal) = client.renew(token.as_deref()).await {
                client.fail(&refusal);
                shutdown.hard().run_until_cancelled(tokio::time::sleep(PAUSE)).await;
            }
            client.standing().verifying.store(false, Ordering::Release);
        });
    }

    async fn renew(&self, token: Option<&str>) -> Result<(), Error> {
        let principal = self.service().authenticate(token).await?;
        if !principal.is_same_user(&self.standing().current()) {
            let text = "the token belongs to another user";
            return Err(Error::new(ErrorKind::PrincipalMismatch, text));
        }
        let event = Event::Authenticated(Authenticated {
            user_id: principal.subject.clone(),
            auth_type: principal.auth_type.as_str(),
            expires_at: principal.expires_at.map(|at| self.service().clock.format(at)),
            timestamp: self.service().clock.timestamp(),
        });
        self.standing().current.send_replace(Arc::new(principal));
        // Too late for a socket that is being closed.
        if self.standing().parting().is_none() {
            self.outbox().push(event);
        }
        Ok(())
    }
}
