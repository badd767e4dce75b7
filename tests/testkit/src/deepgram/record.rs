//! What the simulator heard and said, for tests to look at.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::fault::Door;
use super::query::Query;

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The client sent a close frame; code 1005 stands for none.
    Client {
        /// Its close code.
        code: u16,
        /// Its reason.
        reason: String,
    },
    /// The simulator sent a close frame.
    Server {
        /// Its close code.
        code: u16,
        /// Its reason.
        reason: String,
    },
    /// The simulator cut the TCP connection, as asked.
    Cut,
    /// The TCP connection ended without a close frame, or broke the protocol.
    Vanished(String),
}

/// A final as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentFinal {
    /// Its channel, from 0.
    pub channel: u32,
    /// Where it begins, in microseconds of this connection's audio.
    pub start_us: u64,
    /// Where it ends.
    pub end_us: u64,
    /// Its words, without punctuation.
    pub words: Vec<String>,
    /// Whether speech ended.
    pub speech_final: bool,
    /// Whether a `Finalize` brought it about.
    pub from_finalize: bool,
    /// When it was written.
    pub sent_at: Instant,
}

/// One accepted live stream.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its number among accepted streams, from 0.
    pub index: usize,
    /// The `dg-request-id`.
    pub request_id: Uuid,
    /// Its parameters.
    pub query: Query,
    /// The handshake's headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// When the handshake was answered.
    pub opened_at: Instant,
    /// Text messages, in order.
    pub texts: Vec<String>,
    /// Audio, up to the configured bound.
    pub audio: Vec<u8>,
    /// Bytes of audio in all.
    pub audio_bytes: u64,
    /// Binary messages in all, empty ones included.
    pub audio_messages: u64,
    /// When the first byte of audio was read.
    pub first_audio_at: Option<Instant>,
    /// When the latest byte of audio was read.
    pub last_audio_at: Option<Instant>,
    /// Audio time received.
    pub heard: Duration,
    /// SHA-256 of all audio in hex; set when the stream ends.
    pub audio_sha256: Option<String>,
    /// WebSocket pings received.
    pub pings: u64,
    /// Finals that were written, doubled ones included.
    pub finals: Vec<SentFinal>,
    /// Messages that were written.
    pub sent_messages: u64,
    /// How it ended; `None` while open.
    pub end: Option<End>,
}

impl Record {
    /// A handshake header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// How many text messages had that `type`.
    pub fn count_texts(&self, kind: &str) -> usize {
        let same = |text: &&String| {
            serde_json::from_str::<serde_json::Value>(text).is_ok_and(|json| json["type"] == kind)
        };
        self.texts.iter().filter(same).count()
    }

    /// The words of every final, in order.
    pub fn final_words(&self) -> Vec<String> {
        self.finals.iter().flat_map(|sent| sent.words.iter().cloned()).collect()
    }
}

/// One HTTP request, handshakes included.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it knocked at; `None` for unknown paths.
    pub door: Option<Door>,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its parameters.
    pub query: Query,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The status it was answered with; 0 when it was cut or hangs.
    pub status: u16,
    /// Bytes of its body.
    pub body_bytes: usize,
}

/// Everything that was recorded, bounded.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) streams: VecDeque<Record>,
    pub(crate) requests: VecDeque<Request>,
    next_index: usize,
}

impl Book {
    /// Opens a record; the oldest is forgotten past `kept`.
    pub(crate) fn open(
        &mut self,
        kept: usize,
        request_id: Uuid,
        query: Query,
        headers: Vec<(String, String)>,
    ) -> usize {
        let index = self.next_index;
        self.next_index += 1;
        self.streams.push_back(Record {
            index,
            request_id,
            query,
            headers,
            opened_at: Instant::now(),
            texts: Vec::new(),
            audio: Vec::new(),
            audio_bytes: 0,
            audio_messages: 0,
            first_audio_at: None,
            last_audio_at: None,
            heard: Duration::ZERO,
            audio_sha256: None,
            pings: 0,
            finals: Vec::new(),
            sent_messages: 0,
            end: None,
        });
        while self.streams.len() > kept.max(1) {
            self.streams.pop_front();
        }
        index
    }

    pub(crate) fn note_request(&mut self, kept: usize, request: Request) {
        self.requests.push_back(request);
        while self.requests.len() > kept.max(1) {
            self.requests.pop_front();
        }
    }

    /// Changes a record that is still remembered.
    pub(crate) fn change(&mut self, index: usize, change: impl FnOnce(&mut Record)) {
        let first = self.streams.front().map_or(0, |record| record.index);
        let record = index.checked_sub(first).and_then(|at| self.streams.get_mut(at));
        if let Some(record) = record {
            change(record);
        }
    }
}
