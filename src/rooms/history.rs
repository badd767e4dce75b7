//! The history of rooms in Redis: finals added once and in order, behind fences.

use std::{sync::Arc, time::Duration};

use fred::{
    interfaces::{HashesInterface, PubsubInterface},
    types::{Value, scripts::Script},
};

use super::{Held, Label, Position, RoomName, Text, runs::parse, seals::Seals};
use crate::{
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
pub(super) const DEADLINE: Duration = Duration::from_secs(2);
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
    /// A newer owner has taken over; `told` if the room has heard of it since, and so has what counts.
    Fenced {
        /// Whether it has told anything.
        told: bool,
    },
}

/// Reads and writes histories. Cheap to clone.
#[derive(Clone, Debug)]
pub struct History {
    pub(super) redis: Redis,
    pub(super) seals: Seals,
    bounds: Bounds,
    append: Script,
    claim: Script,
    pub(super) read: Script,
    mark: Script,
    pub(super) said: Script,
}

impl History {
    pub(super) fn new(redis: Redis, seals: Seals, bounds: Bounds) -> Self {
        Self {
            redis,
            seals,
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
        let claimed = self.run_claim((room, account), session, (&floor.to_string(), "")).await?;
        claimed.ok_or_else(strange)
    }

    /// The same, unless somebody has taken the session over since its fence was `seen`: then nothing.
    pub async fn claim_after(
        &self,
        room: &RoomName,
        account: &str,
        session: SessionId,
        seen: u64,
    ) -> Result<Option<(Claim, Option<String>)>, Error> {
        self.run_claim((room, account), session, ("0", &seen.to_string())).await
    }

    async fn run_claim(
        &self,
        (room, account): (&RoomName, &str),
        session: SessionId,
        (floor, seen): (&str, &str),
    ) -> Result<Option<(Claim, Option<String>)>, Error> {
        let names = self.redis.keys();
        let meta = names.room_meta(room.as_str());
        let keys = vec![
            meta.clone(),
            self.session_key(room, session),
            names.room_history(room.as_str()),
            names.room_numbers(room.as_str()),
            names.room_speakers(room.as_str()),
        ];
        let arguments: Vec<Value> = vec![
            self.seals.names(&meta, account).into(),
            self.seals.owner(&meta, account).into(),
            self.life_ms().into(),
            floor.into(),
            session.to_string().into(),
            speaks_ms().into(),
            names.room_channel(room.as_str()).into(),
            "".into(),
            seen.into(),
        ];
        let place = (meta.as_str(), arguments.len() - 2);
        let answer = self.run_owned(&self.claim, place, keys, arguments).await?;
        let [_, _, fence, mark] = answer.as_slice() else {
            let is_overtaken = answer.first().is_some_and(|status| status == "overtaken");
            return if is_overtaken { Ok(None) } else { Err(foreign()) };
        };
        let (mark, account) =
            (Some(mark.clone()).filter(|mark| !mark.is_empty()), account.to_owned());
        let fence = parse(fence)?;
        Ok(Some((Claim { room: room.clone(), account, session, fence, base: None }, mark)))
    }

    /// Runs a script whose second word is the owner that it found. One that no replica wrote is
    /// nobody: the script is told so, as the argument with that number, and runs once more.
    async fn run_owned(
        &self,
        script: &Script,
        (meta, nobody): (&str, usize),
        keys: Vec<String>,
        mut arguments: Vec<Value>,
    ) -> Result<Vec<String>, Error> {
        let run = async |arguments| {
            let answer: Result<Vec<String>, _> =
                self.redis.run(script, DEADLINE, keys.clone(), arguments).await;
            answer.map_err(unavailable)
        };
        let answer = run(arguments.clone()).await?;
        let Some(found) = answer.get(1) else { return Ok(answer) };
        if self.seals.open_owner(meta, found).is_some() {
            return Ok(answer);
        }
        if let Some(argument) = arguments.get_mut(nobody) {
            *argument = found.as_str().into();
        }
        run(arguments).await
    }

    /// How a session is held, as its owner said last.
    pub async fn held(&self, room: &RoomName, session: SessionId) -> Result<Held, Error> {
        // A client waits for it, and has nothing else: a slow server is waited for.
        let client = self.redis.patient(DEADLINE);
        let key = self.session_key(room, session);
        let held = client.hmget(key, vec!["fence", "mark"]).await.map_err(unavailable)?;
        let (fence, mark): (Option<u64>, Option<String>) = held;
        Ok(Held { fence: fence.unwrap_or(0), mark })
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
        let (history, meta) = (names.room_history(room), names.room_meta(room));
        let keys = vec![
            history.clone(),
            meta.clone(),
            names.room_numbers(room),
            self.session_key(&claim.room, claim.session),
            names.room_speakers(room),
        ];
        let ended = finals.last().is_some_and(|last| last.body.starts_with(ENDED));
        let mut arguments: Vec<Value> = vec![
            claim.fence.to_string().into(),
            self.seals.names(&meta, &claim.account).into(),
            self.seals.owner(&meta, &claim.account).into(),
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
        let place = (meta.as_str(), arguments.len());
        arguments.extend(["".into(), claim.account.as_str().into()]);
        for text in finals {
            let mark = self.seals.mark_final(&history, &claim.account, text);
            let Text { label, body } = &**text;
            arguments.extend([label.n.to_string().into(), body.as_str().into(), mark.into()]);
        }
        appended(&self.run_owned(&self.append, place, keys, arguments).await?)
    }

    /// Says an interim to whoever listens now, and tells how many replicas do; it is kept nowhere.
    pub async fn say(&self, claim: &Claim, interim: &Text) -> Result<u64, Error> {
        let channel = self.redis.keys().room_channel(claim.room.as_str());
        let Label { session, n } = interim.label;
        let Claim { account, fence, .. } = claim;
        let mark = self.seals.mark_interim(&channel, claim, interim);
        let message = format!("I {fence} {account} {session} {n} {mark} {}", interim.body);
        self.redis.client().publish(channel, message).await.map_err(unavailable)
    }

    /// Whether a replica said an interim on a channel, with that fence and for that account.
    pub(super) fn is_said(
        &self,
        channel: &str,
        by: (u64, &str),
        interim: &Text,
        mark: &str,
    ) -> bool {
        self.seals.is_interim(channel, by, interim, mark)
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
        ["fenced", _, told] => Appended::Fenced { told: told == "1" },
        ["foreign", ..] => return Err(foreign()),
        ["missing", _, after] => Appended::Missing(parse(after)?),
        ["known", _, epoch, offset, ..] => {
            Appended::Known(Position { epoch: parse(epoch)?, offset: parse(offset)? })
        }
        ["stored", _, epoch, offset, added, began] => Appended::Stored {
            position: Position { epoch: parse(epoch)?, offset: parse(offset)? },
            added: parse(added)?,
            began: began == "1",
        },
        _ => return Err(strange()),
    })
}

const fn speaks_ms() -> i64 {
    SPEAKS.as_millis() as i64
}

pub(super) fn foreign() -> Error {
    Error::new(ErrorKind::Forbidden, "the room belongs to another account")
}

pub(super) fn strange() -> Error {
    Error::new(ErrorKind::Internal, "a room cannot be read")
}
