//! A client of either door who keeps everything that it is told, and when.

use std::{
    ops::Range,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use testkit::{
    numbered::NumberedAudio,
    raw_ws::{RawSocket, Received},
    socketio::{Client, Heard},
};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{
    harness::doors,
    oracle::{self, CHUNK_MS},
};

/// Which door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    SocketIo,
    WebSocket,
}

impl Door {
    pub const BOTH: [Self; 2] = [Self::SocketIo, Self::WebSocket];
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Socket.IO's own disconnect: stock clients stay away.
    Final,
    /// A close with that code; 1006 stands for a cut.
    Closed(u16),
}

enum Socket {
    SocketIo(Client),
    WebSocket(RawSocket),
}

/// A connected client, past its greeting.
pub struct Line {
    socket: Socket,
    audio: NumberedAudio,
    chunks: u32,
    /// What was told, each with its name as `type` and the time of the wall clock in milliseconds.
    pub heard: Vec<(Value, u64)>,
    pub end: Option<(End, u64)>,
}

/// The wall clock, in milliseconds.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

impl Line {
    /// A client with that token.
    pub async fn open(door: Door, url: &str, token: &str) -> anyhow::Result<Self> {
        let (socket, greeting) = match door {
            Door::SocketIo => {
                let (client, greeting) = doors::socketio(url, token).await?;
                (Socket::SocketIo(client), greeting)
            }
            Door::WebSocket => {
                let (socket, greeting) = doors::websocket(url, token).await?;
                (Socket::WebSocket(socket), greeting)
            }
        };
        let (audio, heard) = (NumberedAudio::linear16(1, 1), vec![(greeting, now_ms())]);
        Ok(Self { socket, audio, chunks: 0, heard, end: None })
    }

    /// Sends an event with its payload.
    pub async fn tell(&mut self, name: &str, mut payload: Value) {
        let sent = match &mut self.socket {
            Socket::SocketIo(client) => client.emit(name, &[payload]).await,
            Socket::WebSocket(socket) => {
                payload["type"] = name.into();
                socket.send_json(&payload).await
            }
        };
        sent.expect("sent");
    }

    /// Sends a chunk of a tenth of a second every tenth of a second, until the end if it comes
    /// first.
    pub async fn speak(&mut self, time: Duration) {
        let chunks = time.as_millis() as u32 / CHUNK_MS as u32;
        let began = Instant::now();
        for number in 0..chunks {
            self.listen(began + Duration::from_millis(CHUNK_MS) * number).await;
            if self.end.is_some() {
                return;
            }
            let chunk = oracle::chunk(self.audio, self.chunks);
            let sent = match &mut self.socket {
                Socket::SocketIo(client) => client.emit_binary("audio_chunk", &[&chunk]).await,
                Socket::WebSocket(socket) => socket.send_binary(chunk).await,
            };
            // A write may meet a connection that was just cut; reading says how it ended.
            if sent.is_ok() {
                self.chunks += 1;
            }
        }
    }

    /// Stops the session and waits for its last words.
    pub async fn finish(&mut self) {
        self.tell("stop_streaming", json!({})).await;
        self.hear("streaming_stopped").await;
    }

    /// Waits for an event of that name that has not been heard yet.
    pub async fn hear(&mut self, name: &str) -> Value {
        let from = self.heard.len();
        let until = Instant::now() + oracle::SOON;
        loop {
            let new = self.heard[from..].iter().find(|(event, _)| event["type"] == name);
            if let Some((event, _)) = new {
                return event.clone();
            }
            assert!(self.next(until).await, "no {name}: {:?}", &self.heard[from..]);
        }
    }

    /// Listens until that moment, or to the end.
    pub async fn listen(&mut self, until: Instant) {
        while self.next(until).await {}
        if self.end.is_some() {
            return;
        }
        sleep_until(until).await;
    }

    /// Waits for the end.
    pub async fn hear_out(&mut self, deadline: Duration) -> (End, u64) {
        self.listen_to_end(Instant::now() + deadline).await;
        self.end.clone().unwrap_or_else(|| panic!("it lives on: {:?}", self.heard))
    }

    async fn listen_to_end(&mut self, until: Instant) {
        while self.next(until).await {}
    }

    /// Hears one thing more; false at the end or when the time is over.
    async fn next(&mut self, until: Instant) -> bool {
        if self.end.is_some() {
            return false;
        }
        let told = match &mut self.socket {
            Socket::SocketIo(client) => timeout_at(until, next_event(client)).await,
            Socket::WebSocket(socket) => timeout_at(until, next_message(socket)).await,
        };
        match told {
            Err(_) => return false,
            Ok(Ok(event)) => self.heard.push((event, now_ms())),
            Ok(Err(end)) => self.end = Some((end, now_ms())),
        }
        true
    }

    /// The events of that name so far.
    pub fn named(&self, name: &str) -> Vec<&(Value, u64)> {
        self.heard.iter().filter(|(event, _)| event["type"] == name).collect()
    }

    /// Every word that was spoken so far came back, once and in order.
    pub fn assert_whole(&self) {
        oracle::assert_whole(&self.events(), self.chunks);
    }

    /// The chunks whose words came back, which are the first ones, without a hole.
    pub fn chunks_heard(&self) -> Range<u32> {
        let numbers = oracle::numbers(&oracle::finals(&self.events()));
        assert_eq!(numbers, (0..numbers.len() as u32).collect::<Vec<_>>());
        0..numbers.len() as u32 / oracle::FRAMES_PER_CHUNK
    }

    /// Chunks that were sent.
    pub const fn chunks_sent(&self) -> u32 {
        self.chunks
    }

    fn events(&self) -> Vec<Value> {
        self.heard.iter().map(|(event, _)| event.clone()).collect()
    }
}

const EVER: Duration = Duration::from_secs(600);

async fn next_event(client: &mut Client) -> Result<Value, End> {
    loop {
        match client.receive(EVER).await.expect("something") {
            Heard::Event(event) => {
                let mut json = event.json();
                json["type"] = event.name.into();
                return Ok(json);
            }
            Heard::Ack(_) => {}
            Heard::Disconnected => return Err(End::Final),
            Heard::Closed(code, _) => return Err(End::Closed(code)),
        }
    }
}

async fn next_message(socket: &mut RawSocket) -> Result<Value, End> {
    match socket.receive(EVER).await.expect("something") {
        Received::Text(text) => Ok(serde_json::from_str(&text).expect("JSON")),
        Received::Binary(bytes) => panic!("{bytes:?}"),
        Received::Closed(code, _) => Err(End::Closed(code)),
        Received::Gone(_) => Err(End::Closed(1006)),
    }
}
