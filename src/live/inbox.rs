//! Audio that waits for its session: in arrival order, bounded, filled without waiting.

use std::{
    cmp::Ordering,
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::{
    limits::Lease,
    model::{AudioChunk, Error},
};

/// The queue between a doorway, which must not wait, and the session.
#[derive(Debug)]
pub struct Inbox {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
    wanted: Notify,
}

#[derive(Debug)]
struct State {
    chunks: VecDeque<AudioChunk>,
    bytes: usize,
    bound_bytes: usize,
    next_seq: u64,
    /// Whether the client counts as we do; its first chunk tells.
    counts: Option<bool>,
    ending: Option<Ending>,
    /// The chunk before which everything is to be final.
    finalize_at: Option<u64>,
    /// The right to take audio; it ends with that.
    lease: Option<Lease>,
}

impl State {
    fn clear(&mut self) -> u64 {
        self.bytes = 0;
        let chunks = self.chunks.len() as u64;
        self.chunks.clear();
        chunks
    }

    /// Refuses a chunk that is not the next, of a client that counts as we do.
    fn check(&mut self, seq: Option<u64>) -> Result<(), Refused> {
        let next_seq = self.next_seq;
        let Some(seq) = seq else { return Ok(()) };
        let counts = *self.counts.get_or_insert(seq == next_seq);
        match seq.cmp(&next_seq) {
            Ordering::Less if counts => Err(Refused::Known),
            Ordering::Greater if counts => Err(Refused::Ahead(next_seq)),
            _ => Ok(()),
        }
    }
}

enum Next {
    Chunk(AudioChunk),
    End,
    Wait,
}

/// Why no more audio is taken, which decides what becomes of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its client stopped it, or it ended by itself: it is over.
    Stopped,
    /// Its client went away: it may be gone on with.
    Parked,
    /// Its client's connection broke: most are back in a moment, to go on with it.
    Lost,
    /// Another owner asks for it: what waits is sent to that one again.
    Released,
}

/// Why a chunk was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The session is as far behind as it may be.
    Full,
    /// The session takes no more audio.
    Closed,
    /// It came before.
    Known,
    /// The one of this number is to come first.
    Ahead(u64),
}

impl Inbox {
    /// A queue for at most `bound_bytes` bytes of audio, whose first chunk has that number.
    pub fn new(bound_bytes: usize, next_seq: u64) -> Self {
        let state = State {
            chunks: VecDeque::new(),
            bytes: 0,
            bound_bytes,
            next_seq,
            counts: None,
            ending: None,
            finalize_at: None,
            lease: None,
        };
        let (filled, drained, wanted) = (Notify::new(), Notify::new(), Notify::new());
        Self { state: Mutex::new(state), filled, drained, wanted }
    }

    /// The number of the next chunk.
    pub fn next_seq(&self) -> u64 {
        self.lock().next_seq
    }

    /// Changes the bound, once it is known what the audio is.
    pub fn set_bound(&self, bound_bytes: usize) {
        self.lock().bound_bytes = bound_bytes;
    }

    /// Appends audio and returns its number. Never waits. Where the client counts, what came before
    /// is not taken twice, and nothing is taken out of order.
    pub fn push(
        &self,
        bytes: Bytes,
        seq: Option<u64>,
        received_at: Instant,
    ) -> Result<u64, Refused> {
        let mut state = self.lock();
        if state.ending.is_some() {
            return Err(Refused::Closed);
        }
        state.check(seq)?;
        // A message larger than the bound is still taken when nothing else waits.
        if !state.chunks.is_empty() && state.bytes + bytes.len() > state.bound_bytes {
            return Err(Refused::Full);
        }
        let seq = state.next_seq;
        state.next_seq = seq.saturating_add(1);
        state.bytes += bytes.len();
        state.chunks.push_back(AudioChunk { seq, bytes, received_at });
        drop(state);
        self.filled.notify_one();
        Ok(seq)
    }

    /// Takes no more audio, and ends the lease at once; what waits is still handed out, unless
    /// another owner asks for it. The first ending stands, and is returned; but who was lost may be
    /// back.
    pub fn close(&self, ending: Ending) -> Ending {
        let mut state = self.lock();
        state.ending.take_if(|was| *was == Ending::Lost && ending == Ending::Released);
        let ending = *state.ending.get_or_insert(ending);
        let lease = state.lease.take();
        if ending == Ending::Released {
            state.clear();
        }
        drop(state);
        match lease {
            Some(lease) if ending == Ending::Released => lease.hand_over(),
            ended => drop(ended),
        }
        self.filled.notify_one();
        self.drained.notify_waiters();
        ending
    }

    /// Asks for finals of everything that came so far.
    pub fn finalize(&self) {
        let mut state = self.lock();
        state.finalize_at = Some(state.next_seq);
        drop(state);
        self.wanted.notify_one();
    }

    /// Takes the demand for finals, if one is there and all that it is about was handed out.
    pub fn take_finalize(&self) -> bool {
        let mut state = self.lock();
        let next_seq = state.chunks.front().map_or(state.next_seq, |chunk| chunk.seq);
        state.finalize_at.take_if(|at| *at <= next_seq).is_some()
    }

    /// Waits for such a demand. For one reader.
    pub async fn finalize_wanted(&self) {
        while !self.take_finalize() {
            self.wanted.notified().await;
        }
    }

    /// The next chunk, or `None` once closed and empty. For one reader.
    pub async fn next(&self) -> Option<AudioChunk> {
        loop {
            match self.take() {
                Next::Chunk(chunk) => return Some(chunk),
                Next::End => return None,
                Next::Wait => self.filled.notified().await,
            }
        }
    }

    /// Waits until there is room again: back-pressure for doors that have it.
    pub async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            if self.has_room() {
                return;
            }
            drained.await;
        }
    }

    /// Waits until there is a chunk to hand out; false if there will be none any more.
    pub async fn has_more(&self) -> bool {
        loop {
            let (more, closed) = {
                let state = self.lock();
                (!state.chunks.is_empty(), state.ending.is_some())
            };
            if more || closed {
                return more;
            }
            self.filled.notified().await;
        }
    }

    /// Waits until its client has gone, or another owner asks. For its one reader.
    pub async fn left(&self) {
        while matches!(self.ending(), None | Some(Ending::Stopped)) {
            self.filled.notified().await;
        }
    }

    /// Why no more audio is taken, once that is so.
    pub fn ending(&self) -> Option<Ending> {
        self.lock().ending
    }

    /// Drops what waits; how many chunks that were.
    pub fn clear(&self) -> u64 {
        self.lock().clear()
    }

    /// Keeps a lease for as long as audio is taken.
    pub fn occupy(&self, lease: Lease) {
        let mut state = self.lock();
        let closed = state.ending.is_some();
        let unused = if closed { Some(lease) } else { state.lease.replace(lease) };
        drop(state);
        drop(unused);
    }

    /// Ends the lease, unless audio waits; whether it did.
    pub fn vacate(&self) -> bool {
        let mut state = self.lock();
        let ended = if state.chunks.is_empty() { state.lease.take() } else { None };
        drop(state);
        ended.is_some()
    }

    /// Why no more audio may be taken, if the lease was lost to others.
    pub fn loss(&self) -> Option<Error> {
        self.lock().lease.as_ref().and_then(Lease::loss)
    }

    fn has_room(&self) -> bool {
        let state = self.lock();
        state.ending.is_some() || state.bytes * 2 <= state.bound_bytes
    }

    fn take(&self) -> Next {
        let mut state = self.lock();
        let Some(chunk) = state.chunks.pop_front() else {
            return if state.ending.is_some() { Next::End } else { Next::Wait };
        };
        state.bytes -= chunk.bytes.len();
        if state.finalize_at.is_some() {
            self.wanted.notify_one();
        }
        if state.bytes * 2 <= state.bound_bytes {
            self.drained.notify_waiters();
        }
        Next::Chunk(chunk)
    }

    /// A panic elsewhere cannot leave the queue half changed, so poison means nothing here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(inbox: &Inbox, bytes: &'static [u8]) -> Result<u64, Refused> {
        inbox.push(Bytes::from_static(bytes), None, Instant::now())
    }

    #[tokio::test]
    async fn keeps_order_and_ends_after_the_last_chunk() {
        let inbox = Inbox::new(100, 0);
        assert_eq!(push(&inbox, b"one"), Ok(0));
        assert_eq!(push(&inbox, b"two"), Ok(1));
        assert_eq!(inbox.close(Ending::Parked), Ending::Parked);
        assert_eq!(inbox.close(Ending::Stopped), Ending::Parked, "the first stands");
        assert_eq!(push(&inbox, b"three"), Err(Refused::Closed));
        assert_eq!(inbox.next().await.map(|chunk| chunk.bytes), Some(Bytes::from_static(b"one")));
        assert_eq!(inbox.next().await.map(|chunk| chunk.seq), Some(1));
        assert!(inbox.next().await.is_none());
        assert!(inbox.next().await.is_none());
    }

    #[test]
    fn who_was_lost_may_be_back() {
        let inbox = Inbox::new(100, 0);
        assert_eq!(inbox.close(Ending::Lost), Ending::Lost);
        assert_eq!(inbox.close(Ending::Stopped), Ending::Lost);
        assert_eq!(inbox.close(Ending::Released), Ending::Released);
        assert_eq!(inbox.close(Ending::Parked), Ending::Released);
    }

    #[test]
    fn a_client_that_counts_is_taken_in_its_order_and_once() {
        let inbox = Inbox::new(100, 5);
        let push = |seq| inbox.push(Bytes::from_static(b"x"), Some(seq), Instant::now());
        assert_eq!(push(5), Ok(5));
        assert_eq!(push(5), Err(Refused::Known));
        assert_eq!(push(7), Err(Refused::Ahead(6)));
        assert_eq!(push(6), Ok(6));
        // Who counts otherwise is not listened to.
        let inbox = Inbox::new(100, 0);
        let push = |seq| inbox.push(Bytes::from_static(b"x"), Some(seq), Instant::now());
        assert_eq!([push(1000), push(1000), push(3)], [Ok(0), Ok(1), Ok(2)]);
    }

    #[tokio::test]
    async fn finals_are_wanted_once_all_that_came_before_is_out() {
        let inbox = Inbox::new(100, 0);
        assert_eq!(push(&inbox, b"one"), Ok(0));
        inbox.finalize();
        assert_eq!(push(&inbox, b"two"), Ok(1));
        let mut wanted = std::pin::pin!(inbox.finalize_wanted());
        assert!(futures_util::poll!(wanted.as_mut()).is_pending());
        assert!(inbox.next().await.is_some());
        wanted.await;
        assert!(!inbox.take_finalize(), "once");
        inbox.finalize();
        assert!(inbox.next().await.is_some());
        assert!(inbox.take_finalize());
    }

    #[tokio::test]
    async fn is_bounded_and_tells_of_room() {
        let inbox = Inbox::new(8, 0);
        assert_eq!(push(&inbox, b"12345678"), Ok(0));
        assert_eq!(push(&inbox, b"9"), Err(Refused::Full));
        assert!(inbox.next().await.is_some());
        inbox.room().await;
        assert_eq!(push(&inbox, b"larger than the bound"), Ok(1));
    }
}
