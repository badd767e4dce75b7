//! Numbered audio through the raw door: what was sent can be told from what came back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{
    numbered::{Mark, NumberedAudio},
    raw_ws::{RawSocket, Received},
};

use super::SOON;

/// Milliseconds of audio in one chunk, and its frames of 20 ms.
pub const CHUNK_MS: u32 = 100;
const FRAMES: u32 = 5;

/// A speaker of numbered audio who keeps every message that comes back.
pub struct Speaker {
    pub socket: RawSocket,
    pub messages: Vec<Value>,
    /// When each message was read.
    times: Vec<Instant>,
    audio: NumberedAudio,
    chunks: u32,
}

impl Speaker {
    /// A speaker on a socket past its greeting; `session` tells its audio from others'.
    pub fn new(socket: RawSocket, session: u16) -> Self {
        let audio = NumberedAudio::linear16(1, session);
        Self { socket, messages: Vec::new(), times: Vec::new(), audio, chunks: 0 }
    }

    /// Sends that many chunks at once.
    pub async fn say(&mut self, chunks: u32) {
        for _ in 0..chunks {
            let bytes = self.audio.frames(self.chunks * FRAMES, FRAMES);
            self.socket.send_binary(bytes).await.expect("sent");
            self.chunks += 1;
        }
    }

    /// Milliseconds of audio sent so far.
    pub const fn said_ms(&self) -> i64 {
        self.chunks as i64 * CHUNK_MS as i64
    }

    /// Asks for the end of the session.
    pub async fn stop(&mut self) {
        self.socket.send_json(&json!({ "type": "stop_streaming" })).await.expect("sent");
    }

    /// Reads until a message fits, keeping all of them.
    pub async fn hear_until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.socket.receive_json(SOON).await.expect("a message");
            assert_ne!(message["type"], "error", "{message}");
            self.keep(message.clone());
            if fits(&message) {
                return message;
            }
        }
    }

    /// Waits for a final.
    pub async fn hear_final(&mut self) -> Value {
        self.hear_until(|message| message["is_final"] == true).await
    }

    /// Waits until that much audio is acknowledged as durable.
    pub async fn hear_ack(&mut self, ms: u64) -> Value {
        let fits = |message: &Value| message["acked_ms"].as_u64().is_some_and(|acked| acked >= ms);
        self.hear_until(fits).await
    }

    /// Stops, and waits for the end of the session.
    pub async fn finish(&mut self) {
        self.stop().await;
        self.hear_until(|message| message["type"] == "streaming_stopped").await;
    }

    /// Reads to the end of the connection; how it ended.
    pub async fn hear_out(&mut self) -> Received {
        let (messages, end) = self.socket.drain(SOON).await.expect("an end");
        for message in messages {
            self.keep(message);
        }
        end
    }

    /// Keeps what has come already.
    pub async fn catch_up(&mut self) {
        while let Ok(message) = self.socket.receive_json(Duration::ZERO).await {
            self.keep(message);
        }
    }

    fn keep(&mut self, message: Value) {
        self.messages.push(message);
        self.times.push(Instant::now());
    }

    /// Where the last final ended that was read at or before `at`, in milliseconds.
    pub fn covered_ms(&self, at: Instant) -> i64 {
        let read = self.messages.iter().zip(&self.times).filter(|(_, time)| **time <= at);
        let finals = read.filter(|(message, _)| message["is_final"] == true);
        finals.filter_map(|(message, _)| message["end_ms"].as_i64()).max().unwrap_or(0)
    }

    /// How much audio was last acknowledged as durable, in milliseconds.
    pub fn acked_ms(&self) -> i64 {
        self.messages.iter().filter_map(|message| message["acked_ms"].as_i64()).max().unwrap_or(0)
    }

    /// The finals so far, in order.
    pub fn finals(&self) -> Vec<&Value> {
        self.messages.iter().filter(|message| message["is_final"] == true).collect()
    }

    /// Everything that was said came back: every number once, in order.
    pub fn assert_whole(&self) {
        let words = self.finals().into_iter().filter_map(|event| event["words"].as_array());
        let mark = |word: &Value| Mark::parse(word["word"].as_str().expect("a word"));
        let numbers: Vec<_> =
            words.flatten().map(|word| mark(word).expect("a mark").number).collect();
        assert_eq!(numbers, (0..self.chunks * FRAMES).collect::<Vec<_>>());
    }
}
