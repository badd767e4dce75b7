//! Reads histories: without holes or not at all, and nothing that no replica wrote.

use std::sync::Arc;

use fred::types::Value;

use super::{
    Cursor, End, Label, Position, Read, Reason, RoomName, Said,
    history::{DEADLINE, History, strange},
    runs::{self, FIELDS, Reader, Run, parse},
};
use crate::{
    model::{Error, SessionId},
    redis::unavailable,
};

/// What the script found, of which only the owner was looked at.
struct Found {
    status: String,
    owner: Option<String>,
    speak: String,
    entries: Vec<String>,
}

/// Nothing follows a cursor, or what it follows is gone.
fn short(cursor: Cursor) -> Read {
    let short = cursor != Cursor::default();
    Read::Recovered { finals: Vec::new(), cursor, short, more: false }
}

/// What the script found after a cursor, as far as it is believed.
fn judge(reader: &Reader<'_>, cursor: Cursor, found: &Found, limit: usize) -> Result<Read, Error> {
    let entries = &found.entries;
    let more = entries.len() >= limit * FIELDS;
    let follow = |after, entries| Ok(runs::recovered(reader.runs(after, entries)?, more));
    match found.status.as_str() {
        "empty" | "waiting" => Ok(short(cursor)),
        "recovered" => follow(Some(cursor).filter(|_| cursor.position.epoch > 0), entries),
        "begun" => {
            let first: Position = parse(entries.first().ok_or_else(strange)?)?;
            let position = Position { offset: first.offset.saturating_sub(1), ..first };
            follow(Some(Cursor { position, last: cursor.last }), entries)
        }
        "found" => {
            let (seen, entries) = entries.split_at_checked(FIELDS).ok_or_else(strange)?;
            match reader.read(seen)? {
                (_, Some(seen)) => follow(Some(seen.cursor()), entries),
                (position, None) => {
                    let after = Some(Cursor { position, last: None });
                    Ok(runs::lost(Reason::EpochGone, reader.runs(after, entries)?))
                }
            }
        }
        "trimmed" => Ok(runs::lost(Reason::Trimmed, reader.runs(None, entries)?)),
        _ => Ok(runs::lost(Reason::EpochGone, reader.runs(None, entries)?)),
    }
}

impl History {
    /// Finals of an account's session after its number `n`, in order: those among a page of the room
    /// that ends before that place, or at its end; and where to look on for older ones.
    pub async fn read_session(
        &self,
        (room, account): (&RoomName, &str),
        session: SessionId,
        n: u64,
        before: Option<Position>,
    ) -> Result<Said, Error> {
        let history = self.redis.keys().room_history(room.as_str());
        let keys = vec![history.clone()];
        let place = before.map(|before| before.to_string()).unwrap_or_default();
        let arguments = vec![session.to_string().into(), n.to_string().into(), place.into()];
        let answer: Vec<String> =
            self.redis.run(&self.said, DEADLINE, keys, arguments).await.map_err(unavailable)?;
        let (older, entries) = answer.split_first().ok_or_else(strange)?;
        let older = if older.is_empty() { None } else { Some(parse(older)?) };
        let reader = Reader { seals: &self.seals, history: &history, owner: account };
        let mut finals = Vec::new();
        for entry in entries.chunks_exact(FIELDS).rev() {
            finals.extend(reader.read(entry)?.1.map(Arc::new));
        }
        Ok(Said { finals, older })
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
        let named = |last: Label| (last.session.to_string(), last.n);
        let (session, n) = cursor.last.map_or((String::new(), 0), named);
        let place = [epoch.to_string(), offset.to_string(), session, n.to_string()];
        let found = self.read(room, place, limit).await?;
        let Some(owner) = &found.owner else { return Ok((None, short(*cursor))) };
        let history = self.redis.keys().room_history(room.as_str());
        let reader = Reader { seals: &self.seals, history: &history, owner };
        let read = judge(&reader, *cursor, &found, limit)?;
        Ok((found.owner, read))
    }

    /// Whose a room is, and its last finals.
    pub async fn read_end(&self, room: &RoomName, limit: usize) -> Result<End, Error> {
        let end = ["-1".to_owned(), "0".to_owned(), String::new(), "0".to_owned()];
        let found = self.read(room, end, limit).await?;
        let Some(owner) = &found.owner else { return Ok(End::default()) };
        let history = self.redis.keys().room_history(room.as_str());
        let reader = Reader { seals: &self.seals, history: &history, owner };
        let runs = reader.runs(None, &found.entries)?;
        let Run { finals, cursor } = runs.into_iter().next_back().unwrap_or_default();
        let live = found.speak != "0";
        Ok(End { owner: found.owner, finals, cursor, live })
    }

    async fn read(
        &self,
        room: &RoomName,
        place: [String; 4],
        limit: usize,
    ) -> Result<Found, Error> {
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
        let mut words = answer.into_iter();
        let (Some(status), Some(owner), Some(speak)) = (words.next(), words.next(), words.next())
        else {
            return Err(strange());
        };
        // What stands under an owner whom nobody can have written is nobody's to see.
        let sealed = Some(owner).filter(|owner| !owner.is_empty());
        let owner = sealed.and_then(|owner| self.seals.open_owner(&meta, &owner));
        Ok(Found { status, owner, speak, entries: words.collect() })
    }
}
