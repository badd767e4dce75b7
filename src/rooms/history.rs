//! The history of rooms in Redis: finals added once and in order, and read without holes or not at
//! all.

use std::{str::FromStr, sync::Arc, time::Duration};

use fred::{
    interfaces::{HashesInterface, PubsubInterface},
    types::{Value, scripts::Script},
};

use super::{Cursor, Label, Position, Recorded, RoomName, Text};
use crate::{
    auth::{Purpose, Secrets},
    model::{Error, ErrorKind, SessionId},
    redis::{Redis, unavailable},
};

/// Finals that a room keeps.
pub const MAX_FINALS: u32 = 10_000;
/// Bytes of finals that a room keeps.
pub const MAX_BYTES: u32 = 8 * 1024 * 1024;
/// Finals that are read at once.
pub const PAGE: usize = 256;
/// How long Redis may take over a script: a slow one delays rooms, and nothing else.
const DEADLINE: Duration = Duration::from_secs(2);

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
    /// They were there already.
    Known(Position),
    /// Finals before them are missing, and nothing was added: those after this number are wanted
    /// first.
    Missing(u64),
    /// A newer owner has taken over.
    Fenced,
}

/// Why a position cannot be gone on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The history is another one.
    EpochGone,
    /// What follows it is kept no more.
    Trimmed,
}

impl Reason {
    /// The label of the metric, and the word for clients.
    pub const fn code(self) -> &'static str {
        match self {
            Self::EpochGone => "epoch_gone",
            Self::Trimmed => "trimmed",
        }
    }
}

/// What follows a position.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// Everything up to a limit, in order; `cursor` is where to go on.
    Recovered {
        /// The finals.
        finals: Vec<Arc<Recorded>>,
        /// After the last of them.
        cursor: Cursor,
        /// Whether the room's history ends before the position: it is gone, or is being added again.
        short: bool,
    },
    /// There would be a hole.
    NotRecovered {
        /// Why.
        reason: Reason,
        /// The last finals that were not seen, for whoever goes on with the hole told.
        rest: Vec<Arc<Recorded>>,
    },
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
            append: Script::from_lua(include_str!("append.lua")),
            claim: Script::from_lua(include_str!("claim.lua")),
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
        let keys =
            vec![self.redis.keys().room_meta(room.as_str()), self.session_key(room, session)];
        let owner = self.seal_owner(room, account)?;
        let arguments =
            vec![account.into(), owner.into(), self.life_ms().into(), floor.to_string().into()];
        let answer: Vec<String> =
            self.redis.run(&self.claim, DEADLINE, keys, arguments).await.map_err(unavailable)?;
        let fence = parse(answer.get(1).ok_or_else(foreign)?)?;
        let mark = answer.into_iter().nth(2).filter(|mark| !mark.is_empty());
        Ok((Claim { room: room.clone(), account: account.to_owned(), session, fence }, mark))
    }

    /// The mark that a session's owner left last.
    pub async fn read_mark(
        &self,
        room: &RoomName,
        session: SessionId,
    ) -> Result<Option<String>, Error> {
        let (client, key) = (self.redis.client(), self.session_key(room, session));
        client.hget(key, "mark").await.map_err(unavailable)
    }

    /// Leaves a session's mark; false if a newer owner has taken over.
    pub async fn leave_mark(&self, claim: &Claim, mark: &str) -> Result<bool, Error> {
        let keys = vec![self.session_key(&claim.room, claim.session)];
        let fence = claim.fence.to_string();
        let arguments = vec![fence.into(), mark.into(), self.life_ms().into()];
        let left: i64 =
            self.redis.run(&self.mark, DEADLINE, keys, arguments).await.map_err(unavailable)?;
        Ok(left == 1)
    }

    /// The last finals of a session after its number `n`, in order, at most that many.
    pub async fn read_session(
        &self,
        room: &RoomName,
        session: SessionId,
        n: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, Error> {
        let keys = vec![self.redis.keys().room_history(room.as_str())];
        let arguments =
            vec![session.to_string().into(), n.to_string().into(), (limit as i64).into()];
        let answer: Vec<String> =
            self.redis.run(&self.said, DEADLINE, keys, arguments).await.map_err(unavailable)?;
        answer.chunks_exact(4).rev().map(recorded).collect()
    }

    /// Whose a room is; nobody's where nothing was ever said, or long ago.
    pub async fn owner(&self, room: &RoomName) -> Result<Option<String>, Error> {
        let meta = self.redis.keys().room_meta(room.as_str());
        let client = self.redis.client();
        let sealed: Option<String> = client.hget(&meta, "owner").await.map_err(unavailable)?;
        Ok(sealed.and_then(|sealed| self.secrets.open(Purpose::Room, &meta, &sealed)))
    }

    /// Adds finals of one session, which follow each other without a hole. `remembered` is where the
    /// owner saw the end last. With `holed`, what is missing before them stays missing, and a new
    /// epoch begins. The mark, unless it is empty, is left with the last of them.
    pub async fn append(
        &self,
        claim: &Claim,
        remembered: Position,
        holed: bool,
        finals: &[Arc<Text>],
        mark: &str,
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
        ];
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
            mark.into(),
        ];
        for text in finals {
            arguments.extend([text.label.n.to_string().into(), text.body.as_str().into()]);
        }
        let answer: Vec<String> =
            self.redis.run(&self.append, DEADLINE, keys, arguments).await.map_err(unavailable)?;
        appended(&answer)
    }

    /// What follows a cursor, at most that many finals: everything that there is, or a refusal.
    pub async fn read_after(
        &self,
        room: &RoomName,
        cursor: &Cursor,
        limit: usize,
    ) -> Result<Read, Error> {
        let Position { epoch, offset } = cursor.position;
        let (session, n) =
            cursor.last.map_or((String::new(), 0), |last| (last.session.to_string(), last.n));
        let place = [epoch.to_string(), offset.to_string(), session, n.to_string()];
        let (status, finals) = self.read(room, place, limit).await?;
        let recovered = |finals: Vec<Arc<Recorded>>, short| {
            let cursor = finals.last().map_or(*cursor, |last| last.cursor());
            Read::Recovered { finals, cursor, short }
        };
        Ok(match status.as_str() {
            "empty" | "waiting" => recovered(finals, *cursor != Cursor::default()),
            "recovered" => recovered(finals, false),
            "trimmed" => Read::NotRecovered { reason: Reason::Trimmed, rest: finals },
            _ => Read::NotRecovered { reason: Reason::EpochGone, rest: finals },
        })
    }

    /// The last finals of a room, in order.
    pub async fn read_end(
        &self,
        room: &RoomName,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, Error> {
        let end = ["-1".to_owned(), "0".to_owned(), String::new(), "0".to_owned()];
        Ok(self.read(room, end, limit).await?.1)
    }

    async fn read(
        &self,
        room: &RoomName,
        place: [String; 4],
        limit: usize,
    ) -> Result<(String, Vec<Arc<Recorded>>), Error> {
        let names = self.redis.keys();
        let keys = vec![names.room_history(room.as_str()), names.room_numbers(room.as_str())];
        let mut arguments: Vec<Value> = place.into_iter().map(Value::from).collect();
        arguments.push((limit as i64).into());
        let answer: Vec<String> =
            self.redis.run(&self.read, DEADLINE, keys, arguments).await.map_err(unavailable)?;
        let (status, entries) = answer.split_first().ok_or_else(strange)?;
        let finals = entries.chunks_exact(4).map(recorded).collect::<Result<_, _>>()?;
        Ok((status.clone(), finals))
    }

    /// Says an interim to whoever listens now, and tells how many replicas do; it is kept nowhere.
    pub async fn say(&self, claim: &Claim, interim: &Text) -> Result<u64, Error> {
        let channel = self.redis.keys().room_channel(claim.room.as_str());
        let Label { session, n } = interim.label;
        let message = format!("I {} {session} {n} {}", claim.fence, interim.body);
        self.redis.client().publish(channel, message).await.map_err(unavailable)
    }

    fn session_key(&self, room: &RoomName, session: SessionId) -> String {
        self.redis.keys().room_session(room.as_str(), &session.to_string())
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

fn foreign() -> Error {
    Error::new(ErrorKind::Forbidden, "the room belongs to another account")
}

fn strange() -> Error {
    Error::new(ErrorKind::Internal, "a room cannot be read")
}
