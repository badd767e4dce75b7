//! What a simulated AssemblyAI heard and said, for tests to look at.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::deepgram::{End, Query};

/// Sessions that are remembered.
const KEPT: usize = 10_000;

/// A turn that ended, as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentTurn {
    /// Its number in the session.
    pub order: u64,
    /// Its words.
    pub words: Vec<String>,
    /// Where its last word ends, in microseconds of the session's audio.
    pub end_us: u64,
    /// When it was written, for the last time.
    pub sent_at: Instant,
}

/// One session that was let in.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its number among sessions, from 0.
    pub index: usize,
    /// Its id.
    pub id: Uuid,
    /// Its parameters.
    pub query: Query,
    /// The handshake's headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// When `Begin` was sent.
    pub opened_at: Instant,
    /// Text messages, in order.
    pub texts: Vec<String>,
    /// Bytes of audio in all.
    pub audio_bytes: u64,
    /// Messages of audio in all.
    pub audio_messages: u64,
    /// Audio time received.
    pub heard: Duration,
    /// When the latest audio was read.
    pub last_audio_at: Option<Instant>,
    /// WebSocket pings received.
    pub pings: u64,
    /// Turns that ended, each once.
    pub turns: Vec<SentTurn>,
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
}

/// Everything that was recorded, bounded.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) sessions: VecDeque<Record>,
    /// Connections that were turned away.
    pub(crate) refused: u64,
    next_index: usize,
}

impl Book {
    pub(crate) fn open(&mut self, id: Uuid, query: Query, headers: Vec<(String, String)>) -> usize {
        let index = self.next_index;
        self.next_index += 1;
        self.sessions.push_back(Record {
            index,
            id,
            query,
            headers,
            opened_at: Instant::now(),
            texts: Vec::new(),
            audio_bytes: 0,
            audio_messages: 0,
            heard: Duration::ZERO,
            last_audio_at: None,
            pings: 0,
            turns: Vec::new(),
            end: None,
        });
        if self.sessions.len() > KEPT {
            self.sessions.pop_front();
        }
        index
    }

    /// Changes a record that is still remembered.
    pub(crate) fn change(&mut self, index: usize, change: impl FnOnce(&mut Record)) {
        let first = self.sessions.front().map_or(0, |record| record.index);
        let at = index.checked_sub(first);
        if let Some(record) = at.and_then(|at| self.sessions.get_mut(at)) {
            change(record);
        }
    }
}
