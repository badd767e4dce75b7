//! Events that wait for a client: interims coalesced, finals kept to a bound, never lost in silence.
//! What is told again after a loss is bounded where it is read, and takes no room from what is said.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{
    trace::Delivery,
    wire::{Close, Event, Weight},
};
use crate::telemetry::{Metrics, metrics::label};

/// Kept events that may wait before the client counts as too slow.
const BOUND: usize = 256;

/// Events that may wait while rooms are fed into the queue: the rest of it is the socket's own session's.
const FED: usize = 64;

/// An event, and the trace that ends when it is delivered.
#[derive(Debug)]
pub struct Letter {
    /// What to write.
    pub event: Event,
    /// Told when it was written.
    pub delivery: Option<Delivery>,
}

impl Letter {
    const fn is_retold(&self) -> bool {
        matches!(self.event, Event::Retold(_))
    }
}

/// The queue between a session and one client's doorway.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    filled: Notify,
    taken: Notify,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct State {
    letters: VecDeque<Letter>,
    /// How many of them are told again.
    retold: usize,
    closing: Option<Close>,
    gone: bool,
}

impl Outbox {
    /// An empty queue.
    pub fn new(metrics: Metrics) -> Self {
        let (filled, taken) = (Notify::new(), Notify::new());
        Self { state: Mutex::default(), filled, taken, metrics }
    }

    /// Appends an event. Never waits.
    pub fn push(&self, event: Event) {
        self.post(Letter { event, delivery: None });
    }

    /// Appends an event whose delivery is traced. Never waits.
    pub fn post(&self, letter: Letter) {
        let mut state = self.lock();
        if state.gone || state.closing.is_some() {
            self.count_dropped(&letter.event, "closed");
            return;
        }
        self.coalesce(&mut state, &letter.event);
        if letter.is_retold() || state.letters.len() - state.retold < BOUND {
            state.retold += usize::from(letter.is_retold());
            state.letters.push_back(letter);
        } else if letter.event.weight() == Weight::Kept {
            state.closing = Some(Close::SlowReader);
            self.count_dropped(&letter.event, "slow_reader");
        } else {
            self.count_dropped(&letter.event, "behind");
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Asks the doorway to deliver what waits, give notice and close.
    pub fn close(&self, close: Close) {
        self.lock().closing.get_or_insert(close);
        self.filled.notify_one();
        self.taken.notify_waiters();
    }

    /// Waits until a room may be fed into the queue; false once nothing more is taken.
    pub async fn room(&self) -> bool {
        loop {
            let mut taken = std::pin::pin!(self.taken.notified());
            // Heard from now on, so that nothing falls between the look and the wait.
            taken.as_mut().enable();
            {
                let state = self.lock();
                if state.gone || state.closing.is_some() {
                    return false;
                }
                if state.letters.len() < FED {
                    return true;
                }
            }
            taken.await;
        }
    }

    /// The client is gone: nothing more is kept, and the doorway's writer ends.
    pub fn abandon(&self) {
        let mut state = self.lock();
        (state.gone, state.retold) = (true, 0);
        for letter in std::mem::take(&mut state.letters) {
            self.count_dropped(&letter.event, "gone");
        }
        drop(state);
        self.filled.notify_one();
        self.taken.notify_waiters();
    }

    /// The next event; or what to close with after all were taken; or `None` if the client is gone.
    pub async fn next(&self) -> Option<Result<Letter, Close>> {
        loop {
            {
                let mut state = self.lock();
                if state.gone {
                    return None;
                }
                // A reader that is too slow will not read the backlog either.
                if state.closing == Some(Close::SlowReader) {
                    return Some(Err(Close::SlowReader));
                }
                if let Some(letter) = state.letters.pop_front() {
                    state.retold -= usize::from(letter.is_retold());
                    self.taken.notify_waiters();
                    return Some(Ok(letter));
                }
                if let Some(close) = state.closing {
                    return Some(Err(close));
                }
            }
            self.filled.notified().await;
        }
    }

    /// Puts back an event that the transport had no room for.
    pub fn unread(&self, letter: Letter) {
        let mut state = self.lock();
        state.retold += usize::from(letter.is_retold());
        state.letters.push_front(letter);
    }

    /// A newer text makes a waiting interim of its channel worthless, a newer cursor the one before.
    /// At most one of each waits, so that it is not interims that fill the queue.
    fn coalesce(&self, state: &mut State, next: &Event) {
        let stale = state.letters.iter().rposition(|letter| supersedes(next, &letter.event));
        if let Some(letter) = stale.and_then(|at| state.letters.remove(at)) {
            self.count_dropped(&letter.event, "superseded");
        }
    }

    fn count_dropped(&self, event: &Event, reason: &'static str) {
        let labels = [label("kind", event.name()), label("reason", reason)];
        self.metrics.events_dropped.add(1, &labels);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn supersedes(next: &Event, waiting: &Event) -> bool {
    match (next, waiting) {
        (Event::Transcription(next), Event::Transcription(waiting)) => {
            !waiting.is_final && next.channel == waiting.channel
        }
        (Event::AudioAck(_), Event::AudioAck(_)) | (Event::Queued(_), Event::Queued(_)) => true,
        (Event::Seen(next), Event::Seen(waiting)) => {
            waiting.weight() == Weight::Interim && next.room() == waiting.room()
        }
        (Event::Viewers(next), Event::Viewers(waiting)) => next.room == waiting.room,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        live::wire::{Retold, Seen, Transcription},
        model::{SessionId, Timing},
        rooms::{Label, Text},
    };

    fn outbox() -> Outbox {
        Outbox::new(Metrics::new().expect("metrics"))
    }

    fn text(n: u64, is_final: bool) -> Event {
        Event::Transcription(Box::new(Transcription {
            transcript: format!("{n} {is_final}"),
            is_final,
            confidence: 1.0,
            timestamp: String::new(),
            speech_final: false,
            session_id: String::new(),
            n,
            start_ms: 0,
            end_ms: 0,
            words: vec![],
            speaker: None,
            speakers_reset: false,
            from_finalize: false,
            channel: None,
            timing: Timing::Measured,
            provider: "test",
        }))
    }

    async fn next(outbox: &Outbox) -> (u64, bool) {
        match outbox.next().await {
            Some(Ok(Letter { event: Event::Transcription(text), .. })) => (text.n, text.is_final),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn finals_stay_in_order_and_interims_are_coalesced() {
        let outbox = outbox();
        for event in [text(1, false), text(1, false), text(1, true), text(2, false), text(2, false)]
        {
            outbox.push(event);
        }
        assert_eq!(next(&outbox).await, (1, true));
        assert_eq!(next(&outbox).await, (2, false));
        outbox.close(Close::Draining);
        assert!(matches!(outbox.next().await, Some(Err(Close::Draining))));
    }

    #[tokio::test]
    async fn rooms_wait_for_room_and_leave_some_to_the_session() {
        let outbox = outbox();
        for n in 0..FED as u64 {
            assert!(outbox.room().await);
            outbox.push(text(n, true));
        }
        let mut waiting = std::pin::pin!(outbox.room());
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        outbox.push(text(FED as u64, true));
        assert_eq!(next(&outbox).await, (0, true));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending(), "there was one too many");
        assert_eq!(next(&outbox).await, (1, true));
        assert!(waiting.await);
        outbox.push(text(FED as u64 + 1, true));
        let mut waiting = std::pin::pin!(outbox.room());
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        outbox.close(Close::Draining);
        assert!(!waiting.await, "nothing more is taken");
    }

    #[tokio::test]
    async fn each_room_has_one_waiting_interim() {
        let outbox = outbox();
        let seen = |room: &str, n: u64| {
            let body = format!(r#"{{"type":"transcription","n":{n},"is_final":false}}"#);
            let room = room.parse().expect("a name");
            let label = Label { session: SessionId::mint(), n };
            let text = Text { label, body };
            Event::Seen(Seen::read(&room, None, &text).expect("an interim"))
        };
        for event in [seen("a", 1), seen("b", 1), seen("a", 2), seen("b", 2)] {
            outbox.push(event);
        }
        outbox.close(Close::Draining);
        let mut left = Vec::new();
        while let Some(Ok(letter)) = outbox.next().await {
            left.push(letter.event.to_json().expect("json"));
        }
        assert_eq!(left.len(), 2, "{left:?}");
        assert!(left.iter().all(|json| json.contains(r#""n":2"#)), "{left:?}");
    }

    #[tokio::test]
    async fn what_is_told_again_takes_no_room_from_what_is_said() {
        let outbox = outbox();
        let again = r#"{"type":"gap"}"#;
        for _ in 0..2 * BOUND {
            outbox.push(Event::Retold(Retold::read(again).expect("a gap")));
        }
        for n in 0..BOUND as u64 {
            outbox.push(text(n, true));
        }
        for at in 0..2 * BOUND {
            let letter = outbox.next().await.expect("open").expect("a letter");
            assert!(letter.is_retold(), "{at}: {letter:?}");
            if at == 0 {
                outbox.unread(letter);
                assert!(outbox.next().await.expect("open").is_ok());
            }
        }
        assert_eq!(next(&outbox).await, (0, true));
        for n in [BOUND, BOUND + 1] {
            outbox.push(text(n as u64, true));
        }
        assert!(matches!(outbox.next().await, Some(Err(Close::SlowReader))));
    }

    #[tokio::test]
    async fn a_reader_that_never_reads_is_closed_reconnectably() {
        let outbox = outbox();
        for n in 0..=BOUND as u64 {
            outbox.push(text(n, true));
        }
        assert!(matches!(outbox.next().await, Some(Err(Close::SlowReader))));
        assert!(Close::SlowReader.reconnect());
    }
}
