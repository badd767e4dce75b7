//! Entering a room, and passing on what is said there for as long as the socket reads.

use std::{sync::Arc, time::Duration};

use serde_json::value::RawValue;
use tokio::time::timeout;

use super::{Wanted, pass::Pass};
use crate::{
    live::{
        client::Client,
        wire::{
            Close, Event, Failure, HistoryGap, Joined, RoomStatus, Seen, Viewers as ViewersEvent,
        },
    },
    model::{Error, ErrorKind, SessionId},
    rooms::{Cursor, Position, Reason, Recorded, RoomName, Settled, Start, Text, Update, Viewer},
    telemetry::{Metrics, metrics::label},
};

/// Finals that whoever comes late is told at once, and their bytes.
const SNAPSHOT: usize = 50;
const SNAPSHOT_BYTES: usize = 256 * 1024;
/// How long a socket may leave what it was told unread before it is closed.
const SLOW: Duration = Duration::from_secs(10);

/// A place before a room.
pub struct Place {
    room: RoomName,
    viewer: Viewer,
    pass: Pass,
    /// The session that was heard last.
    last: Option<SessionId>,
    ended: Ended,
    metrics: Metrics,
}

impl Drop for Place {
    fn drop(&mut self) {
        let labels = [label("reason", self.ended.reason())];
        self.metrics.room_viewers_ended.add(1, &labels);
    }
}

/// Why a room is watched no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client left it, or is gone.
    Left,
    /// The socket does not read.
    Slow,
    /// The socket reads more slowly than is spoken.
    Behind,
    /// The room is another account's.
    Foreign,
    /// The share token was taken back.
    Revoked,
    /// The share token came to its end.
    Expired,
}

impl Ended {
    const fn reason(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Slow => "slow",
            Self::Behind => "behind",
            Self::Foreign => "foreign",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }

    /// What the client is told where the socket stays.
    fn error(self) -> Option<Error> {
        let (kind, text) = match self {
            Self::Foreign => (ErrorKind::Forbidden, "the room belongs to another account"),
            Self::Revoked => (ErrorKind::Unauthenticated, "the share token was taken back"),
            Self::Expired => (ErrorKind::Unauthenticated, "the share token has expired"),
            Self::Left | Self::Slow | Self::Behind => return None,
        };
        Some(Error::new(kind, text))
    }
}

impl Client {
    /// Enters a room; what the client is told first. What follows comes with [`Self::watch`].
    pub(super) async fn enter(&self, wanted: &Wanted) -> Result<(Place, Joined), Error> {
        let service = self.service();
        service.open()?;
        let pass = self.pass(wanted).await?;
        let start = wanted.resume.map_or(Start::Now, Start::After);
        let mut viewer = service.rooms.join(&wanted.room, &pass.account, start);
        let settled = viewer.begin(SNAPSHOT).await?;
        let viewers = viewer.count().await;
        let last = wanted.resume.and_then(|cursor| cursor.last).map(|last| last.session);
        let (room, ended, metrics) = (wanted.room.clone(), Ended::Left, service.metrics.clone());
        let mut place = Place { room, viewer, pass, last, ended, metrics };
        let outcome = outcome(&settled, wanted.resume.is_some());
        service.metrics.room_joins.add(1, &[label("outcome", outcome)]);
        let joined = self.joined(&mut place, settled).await;
        Ok((place, Joined { viewers, ..joined }))
    }

    async fn joined(&self, place: &mut Place, settled: Settled) -> Joined {
        let room = place.room.to_string();
        let at = |Cursor { position, last }: Cursor, recovered| Joined {
            room,
            epoch: position.epoch,
            offset: position.offset,
            session_id: last.map(|last| last.session.to_string()),
            n: last.map(|last| last.n),
            recovered,
            reason: None,
            transcript: None,
            snapshot: Vec::new(),
            viewers: 0,
        };
        match settled {
            Settled::Resumed(cursor) => at(cursor, true),
            Settled::Afresh { reason, cursor, finals, interim } => {
                place.last = place.last.or(cursor.last.map(|last| last.session));
                let transcript = match reason {
                    Some(_) => self.link_of(place).await,
                    None => None,
                };
                let snapshot = snapshot(&place.room, &finals, interim.as_deref());
                let reason = reason.map(Reason::code);
                Joined { reason, transcript, snapshot, ..at(cursor, false) }
            }
        }
    }

    /// Passes on what is said in a room, until something ends that.
    pub(super) async fn watch(&self, place: &mut Place) -> Ended {
        let Place { room, viewer, pass, last, .. } = &mut *place;
        let own = pass.is_own;
        place.ended = tokio::select! {
            ended = pass.ended(self.service().rooms.shares()) => ended,
            ended = Box::pin(self.feed(room, viewer, (last, own))) => ended,
        };
        place.ended
    }

    async fn feed(
        &self,
        room: &RoomName,
        viewer: &mut Viewer,
        (last, own): (&mut Option<SessionId>, bool),
    ) -> Ended {
        loop {
            // What waits here waits in the viewer's cursor, not in the socket's queue.
            match timeout(SLOW, self.outbox().room()).await {
                Ok(true) => {}
                Ok(false) => return Ended::Left,
                Err(_) => return Ended::Slow,
            }
            let event = match viewer.next().await {
                Some(Update::Final(recorded)) => {
                    *last = Some(recorded.text.label.session);
                    seen(room, Some(recorded.position), &recorded.text)
                }
                Some(Update::Interim(interim)) => seen(room, None, &interim),
                Some(Update::Viewers(viewers)) => {
                    Some(Event::Viewers(ViewersEvent { room: room.to_string(), viewers }))
                }
                Some(Update::Degraded) => Some(self.status(room, true)),
                Some(Update::Recovered) => Some(self.status(room, false)),
                Some(Update::Gap(reason)) => {
                    let transcript = self.link_to(*last, own).await;
                    Some(self.history_gap(room, reason, transcript))
                }
                Some(Update::Foreign) => return Ended::Foreign,
                Some(Update::Behind) | None => return Ended::Behind,
            };
            if let Some(event) = event {
                self.outbox().push(event);
            }
        }
    }

    /// Tells the client that it watches a room no more, where it does not know.
    pub(super) fn see_off(&self, room: &RoomName, ended: Ended) {
        if matches!(ended, Ended::Slow | Ended::Behind) {
            self.outbox().close(Close::SlowReader);
        }
        if let Some(error) = ended.error() {
            let mut failure = Failure::of(&error, self.service().clock.timestamp());
            failure.room = Some(room.to_string());
            self.outbox().push(Event::Error(failure));
        }
    }

    fn status(&self, room: &RoomName, degraded: bool) -> Event {
        let timestamp = self.service().clock.timestamp();
        Event::RoomStatus(RoomStatus { room: room.to_string(), degraded, timestamp })
    }

    fn history_gap(&self, room: &RoomName, reason: Reason, transcript: Option<String>) -> Event {
        Event::HistoryGap(HistoryGap {
            room: room.to_string(),
            reason: reason.code(),
            transcript,
            timestamp: self.service().clock.timestamp(),
        })
    }

    async fn link_of(&self, place: &Place) -> Option<String> {
        self.link_to(place.last, place.pass.is_own).await
    }

    /// Where the client can read what was said last, if it may and that is stored.
    async fn link_to(&self, session: Option<SessionId>, own: bool) -> Option<String> {
        let session = session.filter(|_| own)?;
        let principal = self.standing().current();
        Box::pin(self.service().link(&principal, session)).await
    }
}

/// The label of a join that went well.
fn outcome(settled: &Settled, asked: bool) -> &'static str {
    match settled {
        Settled::Resumed(_) => "recovered",
        Settled::Afresh { reason: Some(reason), .. } if asked => reason.code(),
        Settled::Afresh { .. } => "joined",
    }
}

fn seen(room: &RoomName, position: Option<Position>, text: &Text) -> Option<Event> {
    let seen = Seen::read(room, position, text);
    if seen.is_none() {
        tracing::warn!(%room, session = %text.label.session, "a room has what no session said");
    }
    seen.map(Event::Seen)
}

/// The last finals that find room, in order, and the interim.
fn snapshot(
    room: &RoomName,
    finals: &[Arc<Recorded>],
    interim: Option<&Text>,
) -> Vec<Box<RawValue>> {
    let mut bytes = 0;
    let fit = finals.iter().rev().take_while(|recorded| {
        bytes += recorded.text.body.len();
        bytes <= SNAPSHOT_BYTES
    });
    let said = fit.filter_map(|recorded| {
        Seen::read(room, Some(recorded.position), &recorded.text)?.into_message()
    });
    let mut snapshot: Vec<_> = said.collect();
    snapshot.reverse();
    let interim = interim.and_then(|text| Seen::read(room, None, text)?.into_message());
    snapshot.extend(interim);
    snapshot
}
