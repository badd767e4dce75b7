//! Rooms on the wire: speakers on one replica, viewers on others, through every door.

mod crowd;
mod doors;
mod misuse;
mod outages;
mod owners;
mod shares;
mod slow;
mod sse;
mod stream;

use audio_transcription_api::{
    model::SessionId,
    rooms::{Label, Published, Publisher, RoomName, Text},
};
use serde_json::{Value, json};
use testkit::{raw_ws::RawSocket, socketio};

pub use stream::Stream;

use crate::{
    access_matrix::GOOD_KEY,
    harness::{LONG, SOON, Setup, TestApp, doors as harness_doors},
    oracle,
};

/// The account of the development token, which every replica has one of.
pub const DEVELOPMENT: &str = "development";

/// Somebody who speaks in a room without a socket.
pub struct Voice {
    publisher: Publisher,
    session: SessionId,
    room: RoomName,
    pub last_n: u64,
}

impl Voice {
    /// A session of that account's in a room, with nothing said yet.
    pub async fn begin(app: &TestApp, room: &str, account: &str) -> Self {
        let session = SessionId(uuid::Uuid::now_v7());
        let room: RoomName = room.parse().expect("a name");
        let rooms = &app.running.app.rooms;
        let claim = rooms.history().claim(&room, account, session, 0).await.expect("a claim").0;
        Self { publisher: rooms.publisher(claim), session, room, last_n: 0 }
    }

    fn text(&self, n: u64, is_final: bool, padding: usize) -> Text {
        let body = format!(
            "{{\"type\":\"transcription\",\"transcript\":\"word {n}{}\",\"is_final\":{is_final},\
             \"session_id\":\"{}\",\"n\":{n}}}",
            "x".repeat(padding),
            self.session
        );
        Text { label: Label { session: self.session, n }, body }
    }

    /// Says so many finals.
    pub async fn say(&mut self, count: u64) {
        self.say_long(count, 0).await;
    }

    /// The same, each with so many characters more.
    pub async fn say_long(&mut self, count: u64, padding: usize) {
        for _ in 0..count {
            self.last_n += 1;
            let text = self.text(self.last_n, true, padding);
            let published = self.publisher.publish(text).await.expect("published");
            assert!(matches!(published, Published::Stored { .. }), "{published:?}");
        }
    }

    /// Says one final that Redis may not take now; [`Self::flush`] brings it in.
    pub async fn try_to_say(&mut self) -> bool {
        self.last_n += 1;
        let text = self.text(self.last_n, true, 0);
        self.publisher.publish(text).await.is_ok()
    }

    /// Brings in what Redis did not take.
    pub async fn flush(&mut self) {
        let stored = async || matches!(self.publisher.flush().await, Ok(Published::Stored { .. }));
        testkit::wait_until("the finals to be stored", LONG, stored).await.expect("stored");
    }

    /// Says the next interim; how many replicas listen.
    pub async fn murmur(&self) -> u64 {
        self.publisher.say(&self.text(self.last_n + 1, false, 0)).await.unwrap_or(0)
    }

    pub fn session_id(&self) -> String {
        self.session.to_string()
    }

    pub fn room(&self) -> &RoomName {
        &self.room
    }
}

/// Joins a room through the raw door; what the client is told first.
pub async fn join(socket: &mut RawSocket, room: &str, more: Value) -> Value {
    let mut wanted = json!({ "type": "join", "room": room });
    wanted
        .as_object_mut()
        .expect("an object")
        .extend(more.as_object().cloned().unwrap_or_default());
    socket.send_json(&wanted).await.expect("sent");
    let told = |it: &Value| {
        (it["type"] == "joined" || it["type"] == "error")
            && (it["room"] == room || it["room"].is_null())
    };
    socket.receive_until(SOON, told).await.expect("an answer")
}

/// A raw viewer of a room, and what it was told first.
pub async fn viewer(app: &TestApp, room: &str, more: Value) -> (RawSocket, Value) {
    let mut socket = app.websocket().await;
    let joined = join(&mut socket, room, more).await;
    assert_eq!(joined["type"], "joined", "{joined}");
    (socket, joined)
}

/// A Socket.IO viewer of a room, and what its callback was given.
pub async fn socketio_viewer(app: &TestApp, room: &str, more: Value) -> (socketio::Client, Value) {
    let mut client = app.socketio().await;
    let joined = ask(&mut client, room, more).await;
    assert_eq!(joined["room"], room, "{joined}");
    (client, joined)
}

/// Joins a room through Socket.IO; what the callback is given.
pub async fn ask(client: &mut socketio::Client, room: &str, more: Value) -> Value {
    let mut wanted = json!({ "room": room });
    wanted
        .as_object_mut()
        .expect("an object")
        .extend(more.as_object().cloned().unwrap_or_default());
    let id = client.emit_with_ack("join", &[wanted]).await.expect("sent");
    client.receive_ack(id, SOON).await.expect("an answer").json()
}

/// Whether that is the final of that number.
pub fn is_final(n: u64) -> impl Fn(&Value) -> bool {
    move |it| it["is_final"] == true && it["n"] == n
}

/// The numbers of the finals among what was heard.
pub fn numbers(heard: &[Value]) -> Vec<u64> {
    oracle::finals(heard).iter().map(|text| text["n"].as_u64().expect("n")).collect()
}

/// The numbers of the finals that a raw viewer hears up to that one.
pub async fn hear(socket: &mut RawSocket, last: u64) -> Vec<u64> {
    numbers(&oracle::listen_raw(socket, LONG, is_final(last)).await)
}

/// The numbers of a snapshot's finals.
pub fn snapshot(joined: &Value) -> Vec<u64> {
    numbers(joined["snapshot"].as_array().expect("a snapshot"))
}

/// Numbers from one to another.
pub fn upwards(numbers: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    numbers.collect()
}

/// What a client that heard this shows to go on.
pub fn resume(last: &Value) -> Value {
    json!({ "resume": {
        "epoch": last["epoch"], "offset": last["offset"],
        "session_id": last["session_id"], "n": last["n"],
    } })
}
