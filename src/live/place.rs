//! A session's place among the live ones: held while audio comes, given up in silence.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use super::{LiveService, caller::Caller, inbox::Inbox};
use crate::{
    limits::Lease,
    model::{AudioChunk, Error, SessionId},
};

/// Silence on the wire after which others may have the place: a socket that is half open, such as
/// that of a phone that changed networks, must not lock its own user out.
pub const SILENCE: Duration = Duration::from_secs(10);

type Seeking = Pin<Box<dyn Future<Output = Result<Lease, Error>> + Send>>;

/// Audio of a session that has a place. The lease lies in the inbox, since it ends at the moment in
/// which the inbox is closed.
pub struct Place {
    service: LiveService,
    caller: Arc<Caller>,
    session: SessionId,
    inbox: Arc<Inbox>,
    taken: bool,
    /// Kept over calls: a place that is being asked for must not be asked for anew.
    seeking: Option<Seeking>,
}

impl Place {
    /// A place that is still to be taken.
    pub fn new(
        service: LiveService,
        caller: Arc<Caller>,
        session: SessionId,
        inbox: Arc<Inbox>,
    ) -> Self {
        Self { service, caller, session, inbox, taken: false, seeking: None }
    }

    /// Takes the place if it is not taken; a dropped call goes on with the next.
    pub async fn take(&mut self) -> Result<(), Error> {
        if self.taken {
            return Ok(());
        }
        let seeking = self.seeking.get_or_insert_with(|| {
            let (leases, caller) = (self.service.leases.clone(), self.caller.clone());
            let session = self.session;
            Box::pin(async move {
                let principal = &caller.principal;
                leases.acquire(session, &principal.account(), principal.plan).await
            })
        });
        let sought = seeking.as_mut().await;
        self.seeking = None;
        self.inbox.occupy(sought?);
        self.taken = true;
        Ok(())
    }

    /// The next chunk, or `None` once the inbox is closed and empty. Audio that comes after a
    /// silence has to find a place again.
    pub async fn next(&mut self) -> Result<Option<AudioChunk>, Error> {
        if !self.taken && self.inbox.has_more().await {
            self.take().await?;
        }
        Ok(self.inbox.next().await)
    }

    /// Gives the place up after so long a silence, and says if others took it meanwhile.
    pub fn look(&mut self, silent_for: Duration) -> Result<(), Error> {
        if self.taken && silent_for >= SILENCE && self.inbox.vacate() {
            self.taken = false;
        }
        self.inbox.loss().map_or(Ok(()), Err)
    }
}
