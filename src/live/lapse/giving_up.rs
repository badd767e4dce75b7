//! How a session ends without its client: its room is told, the rest is billed, its transcript has an
//! end.

use std::time::Duration;

use super::{LiveService, OWNERS_SAY, RESUME_WITHIN, parse};
use crate::{
    live::{
        bookmark::{Bookmark, Books, Standing},
        wire::{Event, Report, SessionEnded},
    },
    model::{Error, ErrorKind, SessionId},
    rooms::{Claim, Label, Published, RoomName, Text},
    transcripts,
    usage::{Mark, Taken},
};

/// How the session is said to have ended.
const OUTCOME: &str = "abandoned";
/// An owner that has left word in Postgres this recently lives, though Redis does not hear it.
const ALIVE: Duration = Duration::from_secs(60);

/// What became of a session that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    /// It is over, or nobody knows it any more.
    Up,
    /// Its owner lives.
    Back,
}

impl LiveService {
    /// Gives up a session that is due, unless somebody has it after all.
    pub(super) async fn let_go(&self, member: &str) {
        let given = match parse(member) {
            Some((session, room)) => Box::pin(self.give_up(session, &room)).await,
            None => Ok(Given::Up),
        };
        let noted = match given {
            Ok(Given::Up) => self.lapses.forget(member).await,
            Ok(Given::Back) => self.lapses.put_off(OWNERS_SAY, vec![member.to_owned()]).await,
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            tracing::debug!(?error, member, "a session that is due is left to be given up");
        }
    }

    async fn give_up(&self, session: SessionId, room: &RoomName) -> Result<Given, Error> {
        let found = match self.look_up(room, session).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(Given::Up),
            found => found?,
        };
        let ours = |books: &Books| books.room == room.as_str();
        let Some(books) = found.stands.books.clone().filter(ours) else { return Ok(Given::Up) };
        if found.stands.standing == Standing::Over {
            return Ok(Given::Up);
        }
        let is_running = found.stands.standing == Standing::Running;
        if self.owners.owns(session) || (is_running && self.is_alive(session).await) {
            return Ok(Given::Back);
        }
        let (claim, stands) = self.claim((room, &books.account), session, &found).await?;
        if stands.standing == Standing::Over {
            return Ok(Given::Up);
        }
        self.end(claim, stands, books).await
    }

    /// Whether its owner has left word lately where Redis does not see it, or nobody can tell.
    async fn is_alive(&self, session: SessionId) -> bool {
        let Ok(left) = self.rooms.marks().find(session).await else { return true };
        left.and_then(|left| left.age).is_some_and(|age| age < ALIVE)
    }

    /// Ends it; what cannot be told now is tried again.
    async fn end(&self, claim: Claim, stands: Bookmark, books: Books) -> Result<Given, Error> {
        let session = claim.session;
        let internal = |error: serde_json::Error| {
            Error::new(ErrorKind::Internal, "Internal server error").because(error)
        };
        // A transcript that is stored may lack any of it.
        let after_n = if books.store { 0 } else { stands.n };
        let place = (&claim.room, claim.account.as_str());
        let said = self.said(place, session, (after_n, stands.n), true).await;
        let claim = Claim { base: Some(stands.n), ..claim };
        let n = stands.n + 1;
        // Whoever asks from now on comes too late.
        let lapsed_ms = self.clock.now_ms().saturating_sub(RESUME_WITHIN.as_millis() as u64);
        let over = Bookmark {
            fence: claim.fence,
            standing: Standing::Over,
            let_go_ms: Some(lapsed_ms),
            n,
            ..stands.clone()
        };
        let bookmark = over.seal(&self.secrets, session).map_err(internal)?;
        let mark = Mark { covered_ms: stands.covered_ms, last_n: n, bookmark };
        let body = self.ended(session, &claim.room, &over).to_json().map_err(internal)?;

        let taken = Taken {
            fence: claim.fence,
            course: stands.course.clone(),
            covered_ms: stands.covered_ms,
        };
        let publisher = self.rooms.publisher(claim);
        let mut publisher = publisher.after(&said, stands.n);
        publisher.hold(Text { label: Label { session, n }, body });
        publisher.set_mark(mark.clone());
        if publisher.tell().await? == Published::Fenced {
            return Ok(Given::Back);
        }
        let meter = self.usage.open(books.start.clone(), taken);
        meter.mark(mark);
        meter.finish(stands.covered_ms);
        if books.store {
            let kept = transcripts::Start {
                session_id: session,
                owner: books.start.owner,
                language: books.start.language,
                provider: books.start.service,
            };
            let keeper = self.transcripts.keep(kept);
            keeper.recall(said.iter().map(|said| said.text.body.as_str()));
            keeper.finish(OUTCOME, stands.n, stands.covered_ms);
        }
        self.metrics.sessions_abandoned.add(1, &[]);
        tracing::info!(%session, "a session that nobody came back to is over");
        Ok(Given::Up)
    }

    fn ended(&self, session: SessionId, room: &RoomName, over: &Bookmark) -> Event {
        let lost = over.lost.iter().cloned().collect();
        let report = Report::of(over.covered_ms, over.covered_ms, lost);
        Event::SessionEnded(SessionEnded {
            session_id: session.to_string(),
            room: room.to_string(),
            n: over.n,
            outcome: OUTCOME,
            report,
            timestamp: self.clock.timestamp(),
        })
    }
}
