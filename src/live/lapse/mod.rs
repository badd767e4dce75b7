//! Sessions that nobody comes back to: when they are due, and who gives them up.

mod giving_up;

use std::time::Duration;

use fred::{
    interfaces::SortedSetsInterface,
    types::{Value, scripts::Script},
};

use super::LiveService;
use crate::{
    model::{Error, SessionId},
    redis::{Redis, unavailable},
    rooms::RoomName,
};

/// For how long a session that is put away can be gone on with.
pub const RESUME_WITHIN: Duration = Duration::from_secs(120);
/// How long a session that is due waits, so that an owner that could not reach Redis may say so.
const CALLED: Duration = Duration::from_secs(45);
/// How often owners say that they have their sessions.
const OWNERS_SAY: Duration = Duration::from_secs(20);
/// How often a replica looks whether any session is due.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a replica may take to give a session up before another tries.
const LEASE: Duration = Duration::from_secs(30);
/// Sessions that one look takes.
const BATCH: i64 = 50;
/// How long Redis may take over it.
const DEADLINE: Duration = Duration::from_secs(2);

/// When sessions are due. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lapses {
    redis: Redis,
    put_off: Script,
    take: Script,
}

/// A session with the room that it publishes to, as it is remembered.
type Member = String;

fn member(session: SessionId, room: &RoomName) -> Member {
    format!("{session} {room}")
}

fn parse(member: &str) -> Option<(SessionId, RoomName)> {
    let (session, room) = member.split_once(' ')?;
    Some((SessionId(session.parse().ok()?), room.parse().ok()?))
}

impl Lapses {
    /// Sessions of all replicas on that Redis.
    pub fn new(redis: Redis) -> Self {
        Self {
            redis,
            put_off: Script::from_lua(include_str!("put_off.lua")),
            take: Script::from_lua(include_str!("take.lua")),
        }
    }

    /// A session is owned from now on, or still is.
    pub async fn own(&self, session: SessionId, room: &RoomName) {
        // What is missed now is made up for with the next word of its owner.
        let _said = self.put_off(OWNERS_SAY, vec![member(session, room)]).await.is_ok();
    }

    /// A session is put away; from now on its client has so long to come back.
    pub async fn park(&self, session: SessionId, room: &RoomName) {
        // What is missed now leaves it the time that it had as an owned one, which is longer.
        let _said = self.put_off(Duration::ZERO, vec![member(session, room)]).await.is_ok();
    }

    /// Sessions are not due before the time to come back has passed after `more`.
    async fn put_off(&self, more: Duration, members: Vec<Member>) -> Result<(), Error> {
        if members.is_empty() {
            return Ok(());
        }
        let due_ms = (RESUME_WITHIN + more).saturating_sub(CALLED).as_millis() as i64;
        let mut arguments: Vec<Value> = vec![due_ms.into()];
        arguments.extend(members.into_iter().map(Value::from));
        let done = self.redis.run(&self.put_off, DEADLINE, self.keys(), arguments).await;
        done.map(|_: i64| ()).map_err(unavailable)
    }

    /// Sessions to be given up here, for a while.
    async fn take(&self) -> Result<Vec<Member>, Error> {
        let ms = |time: Duration| Value::from(time.as_millis() as i64);
        let arguments = vec![ms(CALLED), ms(LEASE), BATCH.into()];
        self.redis.run(&self.take, DEADLINE, self.keys(), arguments).await.map_err(unavailable)
    }

    /// A session is over.
    async fn forget(&self, member: &str) -> Result<(), Error> {
        let [_, called] = self.keys().try_into().unwrap_or_default();
        let forgotten: Result<i64, _> = self.redis.client().zrem(called, member).await;
        forgotten.map(drop).map_err(unavailable)
    }

    fn keys(&self) -> Vec<String> {
        vec![self.redis.keys().sessions_due(), self.redis.keys().sessions_called()]
    }
}

impl LiveService {
    /// Says what is owned here, and gives up what nobody comes back to, until the replica drains.
    pub fn watch_lapses(&self) {
        let (service, soft) = (self.clone(), self.shutdown.soft().clone());
        self.shutdown.spawn(async move {
            soft.run_until_cancelled(Box::pin(work(service))).await;
        });
    }
}

async fn work(service: LiveService) {
    let per_word = OWNERS_SAY.as_secs() / LOOK_EVERY.as_secs();
    for round in 0_u64.. {
        tokio::time::sleep(LOOK_EVERY).await;
        if round % per_word == 0 {
            let owned = service.owners.owned();
            let members = owned.iter().map(|(session, room)| member(*session, room)).collect();
            if let Err(error) = service.lapses.put_off(OWNERS_SAY, members).await {
                tracing::debug!(?error, "nobody hears which sessions are owned here");
                continue;
            }
        }
        match service.lapses.take().await {
            Ok(members) => {
                for member in members {
                    Box::pin(service.let_go(&member)).await;
                }
            }
            Err(error) => tracing::debug!(?error, "nobody can tell which sessions are due"),
        }
    }
}
