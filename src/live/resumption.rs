//! Taking a session over: its owner is asked to let go, and if it does not, it is fenced off.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use super::{
    GREATEST, LiveService,
    bookmark::{Bookmark, Resumable, Standing},
    wire::Report,
};
use crate::{
    auth::Principal,
    model::{Error, ErrorKind, SessionId},
    rooms::{Claim, Recorded, RoomName},
    usage::Mark,
};

/// How long an owner that hears may take to let go.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(30);
/// The longest stretch of audio that a client may have lost, in milliseconds.
const LONGEST_GAP_MS: u64 = 24 * 60 * 60 * 1000;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The session.
    pub session: SessionId,
    /// What proves that it is the client's.
    pub token: String,
    /// The number of the client's next new chunk; those before are its backlog.
    pub next_seq: u64,
    /// The last final that it has seen.
    pub last_n: u64,
    /// The oldest chunk that it still has, and where that begins in milliseconds of session audio.
    pub oldest: Option<(u64, u64)>,
}

/// What became of the wish to go on with a session.
#[derive(Debug)]
pub enum Taken {
    /// It goes on here.
    GoesOn(Box<Resumption>),
    /// Its client stopped it, and it is transcribed to its end.
    Stopped(Box<Past>),
}

/// A session that was stopped, whose client may have missed the end.
#[derive(Debug)]
pub struct Past {
    /// What never changes of it.
    pub facts: Resumable,
    /// Where it stands, its end included.
    pub stands: Bookmark,
    /// What became of its audio.
    pub report: Report,
    /// What it said last, in order.
    pub finals: Vec<Arc<Recorded>>,
}

/// A session that was taken over.
#[derive(Debug)]
pub struct Resumption {
    /// What never changes of it.
    pub facts: Resumable,
    /// The right to tell its room.
    pub claim: Claim,
    /// Where it stands.
    pub stands: Bookmark,
    /// What it said last, in order.
    pub finals: Vec<Arc<Recorded>>,
}

impl Wanted {
    /// Reads the payload of `resume`.
    pub fn read(payload: &Map<String, Value>) -> Result<Self, Error> {
        let strange = |name: &str| Error::invalid(format!("{name} is no number below 2^53"));
        let number = |name: &str| match payload.get(name).filter(|value| !value.is_null()) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_u64().filter(|number| *number < GREATEST);
                number.map(Some).ok_or_else(|| strange(name))
            }
        };
        let text = |name: &str| payload.get(name).and_then(Value::as_str);
        let lacks = |name: &str| Error::invalid(format!("resume needs {name}"));
        let session = text("session_id").and_then(|id| id.parse().ok());
        Ok(Self {
            session: session.map(SessionId).ok_or_else(|| lacks("session_id"))?,
            token: text("resume_token").ok_or_else(|| lacks("resume_token"))?.to_owned(),
            next_seq: number("next_seq")?.ok_or_else(|| lacks("next_seq"))?,
            last_n: number("last_n")?.ok_or_else(|| lacks("last_n"))?,
            oldest: number("first_seq")?.zip(number("first_ms")?),
        })
    }

    /// Moves on over audio that the client no longer has; where it lay.
    pub fn move_on(&self, stands: &mut Bookmark) -> Result<Option<(u64, u64)>, Error> {
        let oldest = self.oldest.filter(|(seq, _)| *seq > stands.next_seq);
        let farthest_ms = stands.covered_ms.saturating_add(LONGEST_GAP_MS);
        if oldest.is_some_and(|(_, start_ms)| start_ms > farthest_ms) {
            return Err(Error::invalid("first_ms is more than a day beyond what was transcribed"));
        }
        let gap = oldest.map(|(seq, start_ms)| {
            let from_ms = stands.covered_ms;
            (stands.next_seq, stands.next_seq_ms) = (seq, start_ms);
            let bytes = stands.format.and_then(|raw| raw.ms_to_bytes(start_ms));
            stands.next_seq_bytes = bytes.unwrap_or(0);
            stands.covered_ms = from_ms.max(start_ms);
            (from_ms, stands.covered_ms)
        });
        if self.next_seq < stands.next_seq {
            let text = format!("chunks up to {} were acknowledged", stands.next_seq);
            return Err(Error::invalid(text));
        }
        Ok(gap.filter(|(from_ms, to_ms)| to_ms > from_ms))
    }
}

impl LiveService {
    /// Takes a session over for its user, or tells how it ended.
    /// Nobody may be taken from who is there for one who is not: `waits` says whether the client is.
    pub async fn take_over(
        &self,
        principal: &Principal,
        wanted: &Wanted,
        waits: impl Fn() -> bool,
    ) -> Result<Taken, Error> {
        self.open()?;
        let (facts, room) = self.facts(principal, wanted)?;
        let mut found = self.look_up(&room, wanted.session).await?;
        let (now_ms, by_redis) = (self.clock.now_ms(), found.by_redis);
        may_go_on(&found.stands, now_ms)?;
        found.stands = self.have_released(&room, wanted.session, found.stands, by_redis).await;
        if let Some(report) = found.stands.report() {
            let found = (found.stands, report);
            return Ok(self.look_back(facts, (&room, wanted), found, by_redis).await);
        }
        if !waits() {
            return Err(Error::new(ErrorKind::Conflict, "the socket has gone"));
        }
        let place = (&room, facts.account.as_str());
        let (mut claim, stands) = self.claim(place, wanted.session, &found).await?;
        if let Some(report) = stands.report() {
            // Its owner may not have billed the rest, and can no more.
            let stands = Bookmark { fence: claim.fence, ..stands };
            return Ok(self.look_back(facts, (&room, wanted), (stands, report), by_redis).await);
        }
        may_go_on(&stands, now_ms)?;
        claim.base = Some(stands.n);
        let (replica, fence) = (self.owners.replica(), claim.fence);
        let standing = Standing::Running;
        let stands = Bookmark { replica, fence, standing, let_go_ms: None, ..stands };
        // A transcript that is stored may lack more than the client does.
        let is_stored = stands.books.as_ref().is_some_and(|books| books.store);
        let after_n = if is_stored { 0 } else { wanted.last_n };
        let (finals, left) = tokio::join!(
            self.said((&room, &facts.account), wanted.session, (after_n, stands.n), by_redis),
            self.leave(&claim, &stands, by_redis)
        );
        left?;
        Ok(Taken::GoesOn(Box::new(Resumption { facts, claim, stands, finals })))
    }

    /// A session that is over, and what it said.
    async fn look_back(
        &self,
        facts: Resumable,
        (room, wanted): (&RoomName, &Wanted),
        (stands, report): (Bookmark, Report),
        by_redis: bool,
    ) -> Taken {
        // The end itself is for those who watch.
        let numbers = (wanted.last_n, stands.n.saturating_sub(1));
        let finals = self.said((room, &facts.account), facts.session, numbers, by_redis).await;
        Taken::Stopped(Box::new(Past { facts, stands, report, finals }))
    }

    fn facts(
        &self,
        principal: &Principal,
        wanted: &Wanted,
    ) -> Result<(Resumable, RoomName), Error> {
        let refused =
            || Error::new(ErrorKind::Forbidden, "the resume token is not of this session");
        let facts = Resumable::open(&self.secrets, &wanted.token).ok_or_else(refused)?;
        if facts.session != wanted.session {
            return Err(refused());
        }
        if !facts.is_of(principal) {
            return Err(Error::new(ErrorKind::Forbidden, "the session belongs to another account"));
        }
        let room = facts.room.parse()?;
        Ok((facts, room))
    }

    /// Asks the owner to let go, and waits for it while it may; where the session stands then.
    async fn have_released(
        &self,
        room: &RoomName,
        session: SessionId,
        mut stands: Bookmark,
        by_redis: bool,
    ) -> Bookmark {
        let until = Instant::now() + PATIENCE;
        // Who was killed hears nothing, and holds nothing.
        let heard = by_redis
            && stands.standing == Standing::Running
            && self.owners.ask(stands.replica, session).await.is_ok_and(|heard| heard);
        while heard && stands.standing == Standing::Running && Instant::now() < until {
            sleep(LOOK).await;
            let Ok(held) = self.rooms.history().held(room, session).await else { break };
            stands = self.read(session, held.mark).unwrap_or(stands);
        }
        stands
    }

    /// Says whose the session is from now on, so that the next to ask finds this replica. While Redis
    /// is away the session says so itself, with its first word to Postgres.
    async fn leave(&self, claim: &Claim, stands: &Bookmark, by_redis: bool) -> Result<(), Error> {
        if !self.may_ask_redis(by_redis).await {
            return Ok(());
        }
        let internal =
            |error| Error::new(ErrorKind::Internal, "Internal server error").because(error);
        let bookmark = stands.seal(&self.secrets, claim.session).map_err(internal)?;
        let mark = Mark { covered_ms: stands.covered_ms, last_n: stands.n, bookmark };
        let (history, lapses) = (self.rooms.history(), &self.lapses);
        let (left, ()) =
            tokio::join!(history.leave_mark(claim, &mark), lapses.own(claim.session, &claim.room));
        match left {
            Ok(false) => {
                let text = "another socket has taken the session over";
                Err(Error::new(ErrorKind::Conflict, text))
            }
            Ok(true) | Err(_) => Ok(()),
        }
    }
}

fn may_go_on(stands: &Bookmark, now_ms: u64) -> Result<(), Error> {
    if stands.report().is_some() {
        return Ok(());
    }
    if stands.is_lapsed(now_ms) {
        let text = "the session was left for too long: start a new one";
        return Err(Error::new(ErrorKind::NotFound, text));
    }
    if stands.standing == Standing::Over {
        return Err(Error::new(ErrorKind::Conflict, "the session is over: start a new one"));
    }
    if !stands.is_resumable() {
        let text = "audio in a container cannot be gone on with: start a new session";
        return Err(Error::new(ErrorKind::Conflict, text));
    }
    Ok(())
}
