//! The rooms that a socket watches: each is seen through a viewer of its own, as fast as the socket
//! reads.

mod link;
mod pass;
pub mod rest;
pub mod sse;
mod wanted;
mod watching;

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

pub use link::Links;
use wanted::Wanted;

use super::{
    allowance::Allowance,
    client::Client,
    wire::{Event, Failure, Joined},
};
use crate::{
    model::{Error, ErrorKind},
    rooms::RoomName,
    telemetry::metrics::label,
};

/// Rooms that one socket may watch.
const MOST: usize = 8;

/// The places of one socket before rooms.
#[derive(Debug, Default)]
pub struct Audience(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    seats: HashMap<RoomName, Seat>,
    numbers: u64,
    joins: Allowance,
    closed: bool,
}

/// One place, from when it is asked for.
#[derive(Clone, Debug)]
struct Seat {
    room: RoomName,
    number: u64,
    left: CancellationToken,
}

/// What a client is told that asked for a room.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// It watches the room.
    Joined(Box<Joined>),
    /// It does not.
    Refused {
        /// Why.
        error: Failure,
    },
}

type Callback = Box<dyn FnOnce(&Reply) -> bool + Send>;

/// The way of the reply: the callback of a Socket.IO client that has one, else an event.
pub struct Answer(Option<Callback>);

impl Answer {
    /// The reply is an event.
    pub const fn event() -> Self {
        Self(None)
    }

    /// The reply goes that way; where it finds no room (false), it is an event after all.
    pub fn callback(callback: impl FnOnce(&Reply) -> bool + Send + 'static) -> Self {
        Self(Some(Box::new(callback)))
    }
}

impl Audience {
    /// Gives every place up; none is taken any more.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.seats.drain().for_each(|(_, seat)| seat.left.cancel());
    }

    fn sit(&self, room: &RoomName) -> Result<Seat, Error> {
        let mut state = self.lock();
        let refuse = |kind, text: &str| Err(Error::new(kind, text));
        if state.closed {
            return refuse(ErrorKind::Conflict, "the socket is closing");
        }
        if state.seats.contains_key(room) {
            return refuse(ErrorKind::Conflict, "the room is watched already: leave it first");
        }
        if state.seats.len() >= MOST {
            let text = format!("a socket watches at most {MOST} rooms: leave one first");
            return refuse(ErrorKind::Conflict, &text);
        }
        state.joins.take("rooms are joined too often on this socket")?;
        state.numbers += 1;
        let (number, left) = (state.numbers, CancellationToken::new());
        let seat = Seat { room: room.clone(), number, left };
        state.seats.insert(room.clone(), seat.clone());
        Ok(seat)
    }

    /// Gives a place up, unless it has another holder already.
    fn rise(&self, seat: &Seat) {
        let mut state = self.lock();
        if state.seats.get(&seat.room).is_some_and(|held| held.number == seat.number) {
            state.seats.remove(&seat.room);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    /// Watches a room beside whatever else the socket does, or says why not.
    pub fn join(&self, payload: Option<Map<String, Value>>, answer: Answer) {
        let wanted = match Wanted::read(&payload.unwrap_or_default()) {
            Ok(wanted) => wanted,
            Err(error) => return self.refuse_room(None, &error, answer),
        };
        let seat = match self.audience().sit(&wanted.room) {
            Ok(seat) => seat,
            Err(error) => return self.refuse_room(Some(&wanted.room), &error, answer),
        };
        let client = self.clone();
        self.shutdown().spawn(async move {
            let hard = client.shutdown().hard().clone();
            hard.run_until_cancelled(Box::pin(client.attend(seat, wanted, answer))).await;
        });
    }

    /// Watches a room no more; a room that is not watched is left already.
    pub fn leave(&self, payload: Option<Map<String, Value>>) {
        let payload = payload.unwrap_or_default();
        match wanted::room(&payload) {
            Ok(room) => {
                let seat = self.audience().lock().seats.remove(&room);
                if let Some(seat) = seat {
                    seat.left.cancel();
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    async fn attend(&self, seat: Seat, wanted: Wanted, answer: Answer) {
        let entered = tokio::select! {
            entered = self.enter(&wanted) => entered,
            () = seat.left.cancelled() => {
                Err(Error::new(ErrorKind::Conflict, "the room was left before it was joined"))
            }
        };
        let (mut place, joined) = match entered {
            Ok(entered) => entered,
            Err(error) => {
                self.audience().rise(&seat);
                return self.refuse_room(Some(&seat.room), &error, answer);
            }
        };
        self.reply(Reply::Joined(Box::new(joined)), answer);
        let ended = tokio::select! {
            ended = self.watch(&mut place) => ended,
            () = seat.left.cancelled() => watching::Ended::Left,
        };
        drop(place);
        self.audience().rise(&seat);
        self.see_off(&seat.room, ended);
    }

    fn refuse_room(&self, room: Option<&RoomName>, error: &Error, answer: Answer) {
        let labels = [label("outcome", error.kind.code())];
        self.service().metrics.room_joins.add(1, &labels);
        let mut failure = Failure::of(error, self.service().clock.timestamp());
        failure.room = room.map(RoomName::to_string);
        self.reply(Reply::Refused { error: failure }, answer);
    }

    fn reply(&self, reply: Reply, Answer(callback): Answer) {
        if callback.is_some_and(|callback| callback(&reply)) {
            return;
        }
        self.outbox().push(match reply {
            Reply::Joined(joined) => Event::Joined(joined),
            Reply::Refused { error } => Event::Error(error),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: usize) -> RoomName {
        format!("room-{name}").parse().expect("a name")
    }

    #[test]
    fn a_socket_watches_a_few_rooms_each_once_and_not_too_often() {
        let audience = Audience::default();
        let seats: Vec<Seat> =
            (0..MOST).map(|name| audience.sit(&room(name)).expect("a seat")).collect();
        for taken in [0, MOST] {
            let refused = audience.sit(&room(taken)).expect_err("one too many");
            assert_eq!(refused.kind, ErrorKind::Conflict, "{refused}");
        }
        audience.rise(&seats[0]);
        let again = audience.sit(&room(0)).expect("it is free");
        audience.rise(&seats[0]);
        assert!(audience.sit(&room(0)).is_err(), "the one before had given it up already");
        let mut last = again;
        let refused = loop {
            audience.rise(&last);
            match audience.sit(&room(0)) {
                Ok(seat) => last = seat,
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind, ErrorKind::RateLimited);
        audience.close();
        assert!(seats[1].left.is_cancelled());
        assert!(audience.sit(&room(1)).is_err());
    }
}
