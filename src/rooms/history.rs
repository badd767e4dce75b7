//! The history of rooms in Redis: finals added once and in order, and read without holes or not at
//! all.

use std::{str::FromStr, sync::Arc, time::Duration};

use fred::{
    interfaces::{HashesInterface, PubsubInterface},
    types::{Value, scripts::Script},
};

use super::{Cursor, End, Label, Position, Read, Reason, Recorded, RoomName, Said, Text};
use crate::{
    auth::{Purpose, Secrets},
    model::{Error, ErrorKind, SessionId},
    redis::{Redis, unavailable},
    usage::Mark,
};

/// Finals that a room keeps.
pub const MAX_FINALS: u32 = 10_000;
/// Bytes of finals that a room keeps.
pub const MAX_BYTES: u32 = 8 * 1024 * 1024;
/// Finals that are read at once.
pub const PAGE: usize = 256;
/// How long a session counts as speaking after it was heard of last.
const SPEAKS: Duration = Duration::from_secs(30);
/// How a body begins after which its session says no more.
const ENDED: &str = r#"{"type":"session_ended""#;
/// How long Redis may take over a script: a slow one delays rooms, and nothing else.
const DEADLINE: Duration = Duration::from_secs(2);
/// What scripts share that ask whose a room is.
const SAME: &str = include_str!("same.lua");

/// How much history is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Finals.
    pub finals: u32,
    /// Bytes of their bodies.
    pub bytes: u32,
    /// How long after the last final.
    pub life: Duration,
}

/// Who writes into a room: the account that it belongs to, the session, and its owner's fence.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The room.
    pub room: RoomName,
    /// The account.
    pub account: String,
    /// The session.
    pub session: SessionId,
    /// Greater than that of every owner of the session before.
    pub fence: u64,
    /// The number up to which owners before count, where it was taken over: what else they said is
    /// void.
    pub base: Option<u64>,
}

/// What became of finals that were to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// They are there now; `began` if a new epoch did.
    Stored {
        /// Where the last of them stands.
        position: Position,
        /// How many were not there yet.
        added: u64,
        /// Whether a new epoch began with them.
        began: bool,
    },
    /// They were there already, in a room that ends there.
    Known(Position),
    /// Finals before them are missing, and nothing was added: those after this number are wanted
    /// first.
    Missing(u64),
    /// A newer owner has taken over.
    Fenced,
}

/// Reads and writes histories. Cheap to clone.
#[derive(Clone, Debug)]
pub struct History {
    redis: Redis,
    secrets: Secrets,
    bounds: Bounds,
    append: Script,
    claim: Script,
    read: Script,
    mark: Script,
    said: Script,
}

impl History {
    pub(super) fn new(redis: Redis, secrets: Secrets, bounds: Bounds) -> Self {
        Self {
            redis,
            secrets,
            bounds,
            append: Script::from_lua([SAME, include_str!("append.lua")].concat()),
            claim: Script::from_lua([SAME, include_str!("claim.lua")].concat()),
            read: Script::from_lua(include_str!("read.lua")),
            mark: Script::from_lua(include_str!("mark.lua")),
            said: Script::from_lua(include_str!("said.lua")),
        }
    }

    /// Makes a room that account's if it is nobody else's, and takes a session in it over with a
    /// fence above all before and above `floor`; tells the mark that the owner before left. Fails
    /// with `forbidden` if the room is somebody else's.
    pub async fn claim(
        &self,
        room: &RoomName,
        account: &str,
        session: SessionId,
        floor: u64,
    ) -> Result<(Claim, Option<String>), Error> {
        let names = self.redis.keys();
        let keys = vec![
            names.room_meta(room.as_str()),
            self.session_key(room, session),
            names.room_history(room.as_str()),
            names.room_numbers(room.as_str()),
            names.room_speakers(room.as_str()),
        ];
        let arguments = vec![
            account.into(),
            self.seal_owner(room, account)?.into(),
            self.life_ms().into(),
            floor.to_string().into(),
            session.to_string().into(),
            speaks_ms().into(),
            names.room_channel(room.as_str()).into(),
        ];
        let answer: Vec<String> =
            self.redis.run(&self.claim, DEADLINE, keys, arguments).await.map_err(unavailable)?;
        let fence = parse(answer.get(1).ok_or_else(foreign)?)?;
        let mark = answer.into_iter().nth(2).filter(|mark| !mark.is_empty());
        let account = account.to_owned();
        Ok((Claim { room: room.clone(), account, session, fence, base: None }, mark))
    }

    /// The mark that a session's owner left last.
    pub async fn read_mark(
        &self,
        room: &RoomName,
        session: SessionId,
    ) -> Result<Option<String>, Error> {
        // A client waits for it, and has nothing else: a slow server is waited for.
        let client = self.redis.patient(DEADLINE);
        client.hget(self.session_key(room, session), "mark").await.map_err(unavailable)
    }

    /// Whether Redis answers; at most a second old.
    pub async fn is_there(&self) -> bool {
        self.redis.health().await.is_ok()
    }

    /// Leaves a session's mark; false if a newer owner has taken over.
    pub async fn leave_mark(&self, claim: &Claim, mark: &Mark) -> Result<bool, Error> {
        let (names, room) = (self.redis.keys(), claim.room.as_str());
        let session_key = self.session_key(&claim.room, claim.session);
        let keys = vec![session_key, names.room_speakers(room), names.room_meta(room)];
        let (fence, session) = (claim.fence.to_string(), claim.session.to_string());
        let [bookmark, n, ms] = marked(Some(mark));
        let (life_ms, speaks_ms) = (self.life_ms().into(), speaks_ms().into());
        let arguments = vec![fence.into(), bookmark, n, ms, life_ms, session.into(), speaks_ms];
        let left: i64 =
            self.redis.run(&self.mark, DEADLINE, keys, arguments).await.map_err(unavailable)?;
        Ok(left == 1)
    }

    /// Finals of a session after its number `n`, in order: those among a page of the room that ends
    /// before that place, or at its end; and where to look on for older ones.
    pub async fn read_session(
        &self,
        room: &RoomName,
        session: SessionId,
        n: u64,
        before: Option<Position>,
    ) -> Result<Said, Error> {
        let keys = vec![self.redis.keys().room_history(room.as_str())];
        let place = before.map(|before| before.to_string()).unwrap_or_default();
        let arguments = vec![session.to_string().into(), n.to_string().into(), place.into()];
        let answer: Vec<String> =
            self.redis.run(&self.said, DEADLINE, keys, arguments).await.map_err(unavailable)?;
        let (older, entries) = answer.split_first().ok_or_else(strange)?;
        let older = if older.is_empty() { None } else { Some(parse(older)?) };
        let finals = entries.chunks_exact(4).rev().map(recorded).collect::<Result<_, _>>()?;
        Ok(Said { finals, older })
    }

    /// Adds finals of one session, which follow each other without a hole. `remembered` is where the
    /// owner saw the end last. With `holed`, what is missing before them stays missing, and a new
    /// epoch begins. The mark, if any, is left with the last of them.
    pub async fn append(
        &self,
        claim: &Claim,
        remembered: Position,
        holed: bool,
        finals: &[Arc<Text>],
        mark: Option<&Mark>,
    ) -> Result<Appended, Error> {
        if finals.is_empty() {
            return Ok(Appended::Known(remembered));
        }
        let names = self.redis.keys();
        let room = claim.room.as_str();
        let keys = vec![
            names.room_history(room),
            names.room_meta(room),
            names.room_numbers(room),
            self.session_key(&claim.room, claim.session),
            names.room_speakers(room),
        ];
        let ended = finals.last().is_some_and(|last| last.body.starts_with(ENDED));
        let mut arguments: Vec<Value> = vec![
            claim.fence.to_string().into(),
            claim.account.as_str().into(),
            self.seal_owner(&claim.room, &claim.account)?.into(),
            remembered.epoch.to_string().into(),
            remembered.offset.to_string().into(),
            i64::from(holed).into(),
            claim.session.to_string().into(),
            self.bounds.finals.into(),
            self.bounds.bytes.into(),
            self.life_ms().into(),
            names.room_channel(room).into(),
        ];
        arguments.extend(marked(mark));
        arguments.push(claim.base.map(|n| n.to_string()).unwrap_or_default().into());
        arguments.push(if ended { 0 } else { speaks_ms() }.into());
        for text in finals {
            arguments.extend([text.label.n.to_string().into(), text.body.as_str().into()]);
        }
        let answer: Vec<String> =
            self.redis.run(&self.append, DEADLINE, keys, arguments).await.map_err(unavailable)?;
        appended(&answer)
    }

    /// Whose a room is, and what follows a cursor there, at most that many finals: everything that
    /// there is, or a refusal.
    pub async fn read_after(
        &self,
        room: &RoomName,
        cursor: &Cursor,
        limit: usize,
    ) -> Result<(Option<String>, Read), Error> {
        let Position { epoch, offset } = cursor.position;
        let (session, n) =
            cursor.last.map_or((String::new(), 0), |last| (last.session.to_string(), last.n));
        let place = [epoch.to_string(), offset.to_string(), session, n.to_string()];
        let (status, End { owner, finals, .. }) = self.read(room, place, limit).await?;
        let recovered = |finals: Vec<Arc<Recorded>>, short| {
            let cursor = finals.last().map_or(*cursor, |last| last.cursor());
            Read::Recovered { finals, cursor, short }
        };
        let read = match status.as_str() {
            "empty" | "waiting" => recovered(finals, *cursor != Cursor::default()),
            "recovered" => recovered(finals, false),
            "trimmed" => Read::NotRecovered { reason: Reason::Trimmed, rest: finals },
            _ => Read::NotRecovered { reason: Reason::EpochGone, rest: finals },
        };
        Ok((owner, read))
    }

    /// Whose a room is, and its last finals.
    pub async fn read_end(&self, room: &RoomName, limit: usize) -> Result<End, Error> {
        let end = ["-1".to_owned(), "0".to_owned(), String::new(), "0".to_owned()];
        Ok(self.read(room, end, limit).await?.1)
    }

    async fn read(
        &self,
        room: &RoomName,
        place: [String; 4],
        limit: usize,
    ) -> Result<(String, End), Error> {
        let (names, room) = (self.redis.keys(), room.as_str());
        let meta = names.room_meta(room);
        let keys = vec![
            names.room_history(room),
            names.room_numbers(room),
            meta.clone(),
            names.room_speakers(room),
        ];
        let mut arguments: Vec<Value> = place.into_iter().map(Value::from).collect();
        arguments.push((limit as i64).into());
        let answer: Vec<String> =
            self.redis.run(&self.read, DEADLINE, keys, arguments).await.map_err(unavailable)?;
        let [status, sealed, speak, entries @ ..] = answer.as_slice() else {
            return Err(strange());
        };
        // What stands under an owner whom nobody can have written is nobody's to see.
        let Some(owner) = self.secrets.open(Purpose::Room, &meta, sealed) else {
            return Ok(("empty".to_owned(), End::default()));
        };
        let finals = entries.chunks_exact(4).map(recorded).collect::<Result<_, _>>()?;
        Ok((status.clone(), End { owner: Some(owner), finals, live: speak != "0" }))
    }

    /// Says an interim to whoever listens now, and tells how many replicas do; it is kept nowhere.
    pub async fn say(&self, claim: &Claim, interim: &Text) -> Result<u64, Error> {
        let channel = self.redis.keys().room_channel(claim.room.as_str());
        let Label { session, n } = interim.label;
        let Claim { account, fence, .. } = claim;
        let message = format!("I {fence} {account} {session} {n} {}", interim.body);
        self.redis.client().publish(channel, message).await.map_err(unavailable)
    }

    fn session_key(&self, room: &RoomName, session: SessionId) -> String {
        self.redis.keys().room_session(room.as_str(), &session.to_string())
    }

    /// How long a room keeps what was said, after the last of it.
    pub(super) const fn life(&self) -> Duration {
        self.bounds.life
    }

    fn life_ms(&self) -> i64 {
        self.bounds.life.as_millis() as i64
    }

    /// Whoever can write to Redis cannot make a room theirs by that.
    fn seal_owner(&self, room: &RoomName, account: &str) -> Result<String, Error> {
        let meta = self.redis.keys().room_meta(room.as_str());
        self.secrets.seal(Purpose::Room, &meta, &account).map_err(|error| strange().because(error))
    }
}

/// A mark as scripts take it.
fn marked(mark: Option<&Mark>) -> [Value; 3] {
    let number = |of: fn(&Mark) -> u64| Value::from(mark.map_or(0, of).to_string());
    let bookmark = mark.map(|mark| mark.bookmark.as_str()).unwrap_or_default();
    [bookmark.into(), number(|mark| mark.last_n), number(|mark| mark.covered_ms)]
}

fn appended(answer: &[String]) -> Result<Appended, Error> {
    let words: Vec<&str> = answer.iter().map(String::as_str).collect();
    Ok(match words[..] {
        ["fenced"] => Appended::Fenced,
        ["foreign"] => return Err(foreign()),
        ["missing", after] => Appended::Missing(parse(after)?),
        ["known", epoch, offset, ..] => {
            Appended::Known(Position { epoch: parse(epoch)?, offset: parse(offset)? })
        }
        ["stored", epoch, offset, added, began] => Appended::Stored {
            position: Position { epoch: parse(epoch)?, offset: parse(offset)? },
            added: parse(added)?,
            began: began == "1",
        },
        _ => return Err(strange()),
    })
}

/// A final as the stream has it: id, session, n, body.
fn recorded(entry: &[String]) -> Result<Arc<Recorded>, Error> {
    let [id, session, n, body] = entry else { return Err(strange()) };
    let label = Label { session: SessionId(parse(session)?), n: parse(n)? };
    Ok(Arc::new(Recorded { position: parse(id)?, text: Text { label, body: body.clone() } }))
}

fn parse<T: FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| strange())
}

const fn speaks_ms() -> i64 {
    SPEAKS.as_millis() as i64
}

pub(super) fn foreign() -> Error {
    Error::new(ErrorKind::Forbidden, "the room belongs to another account")
}

fn strange() -> Error {
    Error::new(ErrorKind::Internal, "a room cannot be read")
}
