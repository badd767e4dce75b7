//! What sessions hand to the recorder: bounded in number and in bytes, and never waited for.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use chrono::NaiveDateTime;
use tokio::sync::{mpsc, watch};

use super::record::{Final, Gap};
use crate::{
    auth::Owner,
    model::SessionId,
    telemetry::{Metrics, metrics::label},
};

/// Letters that may wait at once.
pub(super) const WAITING_LETTERS: usize = 65_536;
/// Bytes that may wait at once, about; an hour without Postgres of some four hundred speakers.
const WAITING_BYTES: usize = 64 * 1024 * 1024;

/// What every letter of a session says about it.
#[derive(Clone, Debug)]
pub struct Start {
    /// The session.
    pub session_id: SessionId,
    /// Whose it is.
    pub owner: Owner,
    /// What is spoken.
    pub language: String,
    /// Who transcribes.
    pub provider: Cow<'static, str>,
}

/// Something to be written about a session.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) start: Arc<Start>,
    pub(super) at: NaiveDateTime,
    pub(super) news: News,
}

/// What there is to write.
#[derive(Debug)]
pub(super) enum News {
    /// It began.
    Began,
    /// Something was said.
    Said(Box<Final>),
    /// Audio has no transcript.
    Lost(Gap),
    /// It ended: how, after how many numbers, and with how much audio done with.
    Ended { outcome: &'static str, finals: u64, audio_ms: u64 },
}

impl Letter {
    fn bytes(&self) -> usize {
        let News::Said(said) = &self.news else { return size_of::<Self>() };
        let words = said.words.iter().map(|word| {
            size_of_val(word)
                + word.word.len()
                + word.punctuated_word.as_ref().map_or(0, String::len)
        });
        size_of::<Self>() + size_of::<Final>() + said.text.len() + words.sum::<usize>()
    }
}

/// Letters on their way to the recorder; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<Letter>,
    bytes: Arc<AtomicUsize>,
    count: Arc<watch::Sender<usize>>,
    open: Arc<watch::Sender<usize>>,
    metrics: Metrics,
}

impl Queue {
    pub(super) fn new(sender: mpsc::Sender<Letter>, metrics: Metrics) -> Self {
        let (count, open) = (Arc::new(watch::Sender::new(0)), Arc::new(watch::Sender::new(0)));
        Self { sender, bytes: Arc::default(), count, open, metrics }
    }

    /// Puts a letter in, or counts it as lost where there is no room.
    pub(super) fn push(&self, letter: Letter) {
        let bytes = letter.bytes();
        let waiting = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        // Counted first, since the recorder may be done with it before this returns.
        self.count.send_modify(|count| *count += 1);
        self.metrics.transcript_rows_pending.add(1, &[]);
        if waiting + bytes > WAITING_BYTES || self.sender.try_send(letter).is_err() {
            self.take_off(bytes);
            self.count_rows("full", 1);
        }
    }

    /// Takes letters off the count, written or given up.
    pub(super) fn done(&self, letters: &[Letter]) {
        for letter in letters {
            self.take_off(letter.bytes());
        }
    }

    fn take_off(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.count.send_modify(|count| *count = count.saturating_sub(1));
        self.metrics.transcript_rows_pending.add(-1, &[]);
    }

    /// Letters that wait.
    pub(super) fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Sessions that may still say something.
    pub(super) fn open(&self) -> &watch::Sender<usize> {
        &self.open
    }

    /// Counts letters by what became of them.
    pub(super) fn count_rows(&self, outcome: &'static str, rows: u64) {
        if rows > 0 {
            self.metrics.transcript_rows.add(rows, &[label("outcome", outcome)]);
        }
    }
}
