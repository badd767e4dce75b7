//! What Redis and Postgres know of a session between them: where it stands, and what it said last.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use super::{LiveService, bookmark::Bookmark};
use crate::{
    model::{Error, ErrorKind, SessionId},
    rooms::{Claim, Position, Recorded, RoomName, Said},
};

/// Finals of a session that its client may have missed and is told again.
const REMEMBERED: usize = 1000;
/// Finals before those: should Redis lose its memory, viewers find their places by them.
const BEFORE: u64 = 64;
/// How long a client that waits for its session waits for what was said.
const PATIENCE: Duration = Duration::from_secs(3);
/// When a page that did not come is asked for again.
const AGAIN: Duration = Duration::from_millis(100);

/// A session as it was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Where it stands.
    pub stands: Bookmark,
    /// The greatest fence that anybody knew of.
    fence: u64,
    /// Whether Redis could tell.
    pub by_redis: bool,
}

impl LiveService {
    /// Where a session stands, by the later of what was left in Redis and in Postgres. Fails with `not_found` if nobody knows it, and with
    /// `dependency_unavailable` while nobody can tell.
    pub(super) async fn look_up(
        &self,
        room: &RoomName,
        session: SessionId,
    ) -> Result<Found, Error> {
        let (history, marks) = (self.rooms.history(), self.rooms.marks());
        let (here, there) = tokio::join!(history.held(room, session), marks.find(session));
        let (by_redis, is_certain) = (here.is_ok(), here.is_ok() && there.is_ok());
        let (here, there) = (here.unwrap_or_default(), there.ok().flatten().unwrap_or_default());
        let stands = self.later(session, [here.mark, there.bookmark]);
        let stands = stands.ok_or_else(|| unknown(is_certain))?;
        let fence = stands.fence.max(here.fence).max(there.fence);
        Ok(Found { stands, fence, by_redis })
    }

    /// Whether Redis is worth another attempt: one that did not answer a moment ago costs a client
    /// that waits the whole deadline each time.
    pub(super) async fn may_ask_redis(&self, answered: bool) -> bool {
        answered || self.rooms.history().is_there().await
    }

    /// Takes a session over in Redis and in Postgres, or in the one of them that is there; where it
    /// stands then, which no owner before can change any more. Fails as [`Self::look_up`] does, with
    /// `forbidden` if the room is another account's, and with `dependency_unavailable` if somebody else
    /// has taken it over since it was found: whoever asked first, and was slow, is not the last.
    pub(super) async fn claim(
        &self,
        (room, account): (&RoomName, &str),
        session: SessionId,
        found: &Found,
    ) -> Result<(Claim, Bookmark), Error> {
        let (here, mark) = match self.claim_room((room, account), session, found).await {
            Ok(Some((claim, mark))) => (Some(claim.fence), mark),
            Ok(None) => return Err(overtaken()),
            Err(error) if error.kind == ErrorKind::Forbidden => return Err(error),
            Err(error) => {
                tracing::debug!(%session, ?error, "a session is taken over by the database alone");
                (None, None)
            }
        };
        let now_ms = self.clock.now().timestamp_millis().unsigned_abs();
        let floor = here.unwrap_or(now_ms);
        let seen = if here.is_some() { None } else { Some(found.fence) };
        let there = self.rooms.marks().claim(session, floor, seen).await;
        let is_certain = here.is_some() && there.is_ok();
        let left = there.ok().flatten();
        let fence = left.as_ref().map_or(floor, |left| left.fence.max(floor));
        let stands = self.later(session, [mark, left.and_then(|left| left.bookmark)]);
        let stands = stands.ok_or_else(|| unknown(is_certain))?;
        let account = account.to_owned();
        Ok((Claim { room: room.clone(), account, session, fence, base: None }, stands))
    }

    async fn claim_room(
        &self,
        (room, account): (&RoomName, &str),
        session: SessionId,
        found: &Found,
    ) -> Result<Option<(Claim, Option<String>)>, Error> {
        if !self.may_ask_redis(found.by_redis).await {
            return Err(Error::new(ErrorKind::DependencyUnavailable, "redis unavailable"));
        }
        self.rooms.history().claim_after(room, account, session, found.fence).await
    }

    /// What a session said after one number and up to another, in order, and a little before; what
    /// cannot be had is left out.
    pub(super) async fn said(
        &self,
        (room, account): (&RoomName, &str),
        session: SessionId,
        (after_n, until_n): (u64, u64),
        by_redis: bool,
    ) -> Vec<Arc<Recorded>> {
        let after_n = after_n.min(until_n.saturating_sub(BEFORE));
        let by_redis = self.may_ask_redis(by_redis).await;
        let (mut here, there) = tokio::join!(
            self.said_here((room, account), session, after_n, by_redis),
            self.rooms.kept(session)
        );
        let kept = there.unwrap_or_default();
        // What the room has it is not to be told again, so it is asked for all that is kept as well.
        if let Some(first) = kept.first().filter(|first| first.label.n <= after_n) {
            let before_n = first.label.n.saturating_sub(1);
            here = self.said_here((room, account), session, before_n, by_redis).await;
        }
        let kept = kept.into_iter();
        let kept = kept.map(|text| Arc::new(Recorded { position: Position::default(), text }));
        let all = kept.chain(here);
        let by_number: BTreeMap<u64, Arc<Recorded>> =
            all.map(|recorded| (recorded.text.label.n, recorded)).collect();
        by_number.into_values().filter(|recorded| recorded.text.label.n <= until_n).collect()
    }

    /// What its room has of it, a page after the other and the newest first; a page that does not come
    /// is asked for again while there is time.
    async fn said_here(
        &self,
        (room, account): (&RoomName, &str),
        session: SessionId,
        after_n: u64,
        by_redis: bool,
    ) -> Vec<Arc<Recorded>> {
        let mut pages = Vec::new();
        if by_redis {
            let read = self.read_pages((room, account), session, after_n, &mut pages);
            if timeout(PATIENCE, read).await.is_err() {
                tracing::warn!(%session, after_n, "a room does not tell in time what was said");
            }
        }
        pages.into_iter().rev().flatten().collect()
    }

    async fn read_pages(
        &self,
        (room, account): (&RoomName, &str),
        session: SessionId,
        after_n: u64,
        pages: &mut Vec<Vec<Arc<Recorded>>>,
    ) {
        let (mut before, mut count) = (None, 0);
        while count < REMEMBERED {
            match self.rooms.history().read_session((room, account), session, after_n, before).await
            {
                Ok(Said { finals, older }) => {
                    count += finals.len();
                    pages.push(finals);
                    before = older;
                    if before.is_none() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::debug!(%session, ?error, "finals are asked for again");
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// What a mark says, if it was left by one of us.
    pub(super) fn read(&self, session: SessionId, mark: Option<String>) -> Option<Bookmark> {
        mark.and_then(|mark| Bookmark::open(&self.secrets, session, &mark))
    }

    fn later(&self, session: SessionId, marks: [Option<String>; 2]) -> Option<Bookmark> {
        let bookmarks = marks.into_iter().filter_map(|mark| self.read(session, mark));
        bookmarks.max_by_key(Bookmark::order)
    }
}

fn overtaken() -> Error {
    let text = "another socket has just taken the session over: ask again";
    Error::new(ErrorKind::DependencyUnavailable, text)
}

fn unknown(is_certain: bool) -> Error {
    if is_certain {
        let text = "the session is not known any more: start a new one";
        return Error::new(ErrorKind::NotFound, text);
    }
    Error::new(ErrorKind::DependencyUnavailable, "nobody can tell where the session stands now")
}
