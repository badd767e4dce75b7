//! A session's place among the live ones, and its slot at the provider: held while audio comes, given
//! up in silence.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};

use super::{
    LiveService,
    caller::Caller,
    inbox::{Ending, Inbox},
    outbox::Outbox,
    wire::{Event, Queued},
};
use crate::{
    limits::{Lease, Seek, Seeker, Slot},
    model::{AudioChunk, Error, SessionId},
    telemetry::metrics::label,
};

/// Silence on the wire after which others may have the place: a socket that is half open, such as
/// that of a phone that changed networks, must not lock its own user out.
pub const SILENCE: Duration = Duration::from_secs(10);

type Choosing = BoxFuture<'static, (&'static str, Option<Slot>)>;
type Seeking = Pin<Box<dyn Future<Output = Result<Lease, Error>> + Send>>;

/// Audio of a session that has a place, and a slot at the provider. The lease lies in the inbox, since
/// it ends at the moment in which the inbox is closed; the slot stays as long as the last words may
/// come.
pub struct Place {
    service: LiveService,
    caller: Arc<Caller>,
    session: SessionId,
    inbox: Arc<Inbox>,
    outbox: Arc<Outbox>,
    taken: bool,
    /// Kept over calls: a place that is being asked for must not be asked for anew.
    seeking: Option<Seeking>,
    /// The first audio, which is out of the inbox before anything is taken for it.
    first: Option<AudioChunk>,
    slot: Option<Slot>,
    /// Who can have the audio, the first choice first, and whose slot it is.
    takers: Vec<&'static str>,
    home: Option<&'static str>,
    /// Kept over calls, as its place in the line.
    choosing: Option<Choosing>,
    seek: Option<Seek>,
}

impl Place {
    /// A place that is still to be taken.
    pub fn new(
        service: LiveService,
        caller: Arc<Caller>,
        session: SessionId,
        inbox: Arc<Inbox>,
        outbox: Arc<Outbox>,
    ) -> Self {
        Self {
            service,
            caller,
            session,
            inbox,
            outbox,
            taken: false,
            seeking: None,
            first: None,
            slot: None,
            takers: Vec::new(),
            home: None,
            choosing: None,
            seek: None,
        }
    }

    /// Keeps the first audio until there is a slot for it, of one of those who can have it.
    pub fn keep(&mut self, first: AudioChunk, takers: Vec<&'static str>) {
        (self.first, self.takers) = (Some(first), takers);
    }

    /// Whether audio that is out of the inbox still waits here.
    pub const fn keeps(&self) -> bool {
        self.first.is_some()
    }

    /// Whose slot it has, while it has one.
    pub fn home(&self) -> Option<&'static str> {
        self.home.filter(|_| self.slot.is_some())
    }

    /// The session goes on with another provider, and has a slot there.
    pub fn move_to(&mut self, provider: &'static str, slot: Slot) {
        (self.home, self.slot) = (Some(provider), Some(slot));
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
    /// silence has to find a place and a slot again.
    pub async fn next(&mut self) -> Result<Option<AudioChunk>, Error> {
        while !(self.taken && self.slot.is_some()) && self.has_more().await {
            self.take().await?;
            if !self.find_slot().await? {
                self.forsake();
                return self.service.open().map(|()| None);
            }
        }
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => Ok(self.inbox.next().await),
        }
    }

    async fn has_more(&mut self) -> bool {
        self.first.is_some() || self.inbox.has_more().await
    }

    /// Waits for a slot, and tells the client where it stands; false if the client left meanwhile.
    /// Who is refused may go on with the session later: none of its audio was heard.
    async fn find_slot(&mut self) -> Result<bool, Error> {
        if self.slot.is_none() && self.seek.is_none() && !self.choose().await {
            return Ok(false);
        }
        if self.slot.is_some() {
            return Ok(true);
        }
        let Self { service, session, inbox, outbox, seek, .. } = self;
        let told = |position| {
            let (session_id, timestamp) = (session.to_string(), service.clock.timestamp());
            outbox.push(Event::Queued(Queued { session_id, position, timestamp }));
        };
        let Some(seek) = seek else { return Ok(true) };
        let found = tokio::select! {
            found = seek.slot(told) => found,
            () = inbox.left() => return Ok(false),
        };
        self.seek = None;
        if found.is_err() {
            self.inbox.close(Ending::Parked);
            self.forsake();
        }
        self.slot = Some(found?);
        Ok(true)
    }

    /// Looks with whom to begin: the first who has a slot at once, else the first of all, for whom it
    /// has to wait; false if the client left meanwhile.
    async fn choose(&mut self) -> bool {
        let account = self.caller.principal.account();
        let seeker = Seeker { session: self.session, account };
        let Self { service, inbox, takers, choosing, .. } = self;
        let choosing = choosing.get_or_insert_with(|| {
            let (slots, ready) = (service.upstream_slots.clone(), service.lineup.ready(takers));
            let (first, seeker) = (service.live.name(), seeker.clone());
            async move {
                let (at, slot) = slots.begin_with(&ready, &seeker).await;
                (ready.get(at).copied().unwrap_or(first), slot)
            }
            .boxed()
        });
        let (home, slot) = tokio::select! {
            biased;
            chosen = choosing => chosen,
            () = inbox.left() => return false,
        };
        self.choosing = None;
        (self.home, self.slot) = (Some(home), slot);
        if self.slot.is_none() {
            self.seek = Some(self.service.upstream_slots.seek(home, &seeker));
        }
        true
    }

    /// Leaves the line, and the audio that waited: who goes on with the session sends it again.
    fn forsake(&mut self) {
        (self.choosing, self.seek) = (None, None);
        let chunks = self.inbox.clear() + u64::from(self.first.take().is_some());
        self.service.metrics.audio_dropped.add(chunks, &[label("reason", "unserved")]);
    }

    /// Gives the slot up while there is no connection that needs it.
    pub fn rest(&mut self) {
        self.slot = None;
    }

    /// Gives the place up after so long a silence, and says if others took it meanwhile.
    pub fn look(&mut self, silent_for: Duration) -> Result<(), Error> {
        if self.taken && silent_for >= SILENCE && self.inbox.vacate() {
            self.taken = false;
        }
        self.inbox.loss().map_or(Ok(()), Err)
    }
}

impl Drop for Place {
    /// What the next owner takes over is not given back meanwhile.
    fn drop(&mut self) {
        if self.inbox.ending() == Some(Ending::Released) {
            if let Some(slot) = self.slot.take() {
                slot.hand_over(self.session);
            }
            if let Some(seek) = self.seek.take() {
                seek.hand_over();
            }
        }
    }
}
