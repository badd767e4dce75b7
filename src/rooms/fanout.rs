//! Brings rooms to this replica: one connection that listens, one reader for each room that somebody
//! here watches, however many they are.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::sync::{Notify, Semaphore, mpsc};

use super::{
    Label, RoomName, Text,
    feed::Feed,
    history::{History, PAGE},
};
use crate::{
    lifecycle::Shutdown,
    model::{Error, SessionId},
    redis::{Listener, News, Redis},
    telemetry::{Metrics, metrics::label},
};

/// After how long without a word a room is asked for.
const SILENCE: Duration = Duration::from_secs(2);
/// How often that is looked at.
const TICK: Duration = Duration::from_millis(250);
/// How long a room is left that could not be read.
const RETRY: Duration = Duration::from_millis(250);
/// Rooms that are asked for at once.
const AT_ONCE: usize = 256;
/// Viewers that may read old pages at once.
const PAGERS: usize = 8;

/// The rooms that somebody on this replica watches.
#[derive(Debug)]
pub(super) struct Fanout {
    redis: Redis,
    pub(super) history: History,
    pub(super) metrics: Metrics,
    pub(super) pagers: Semaphore,
    listener: Listener,
    /// By their channels, with how many watch.
    feeds: Mutex<HashMap<String, (Arc<Feed>, usize)>>,
    /// Channels of rooms that are to be read.
    due: Mutex<HashSet<String>>,
    woken: Notify,
}

impl Fanout {
    /// Begins to listen, until the hard stop.
    pub(super) fn start(
        redis: Redis,
        history: History,
        metrics: Metrics,
        shutdown: &Shutdown,
    ) -> Arc<Self> {
        let (listener, news) = redis.listener(shutdown);
        let fanout = Arc::new(Self {
            redis,
            history,
            metrics,
            pagers: Semaphore::new(PAGERS),
            listener,
            feeds: Mutex::default(),
            due: Mutex::default(),
            woken: Notify::new(),
        });
        let (stop, driven) = (shutdown.hard().clone(), fanout.clone());
        shutdown.spawn(async move { stop.run_until_cancelled(driven.drive(news)).await });
        fanout
    }

    /// Takes a seat before a room's feed, which begins with the first.
    pub(super) fn enter(&self, room: &RoomName) -> Arc<Feed> {
        let channel = self.redis.keys().room_channel(room.as_str());
        let mut feeds = self.feeds();
        let (feed, seats) = feeds.entry(channel.clone()).or_insert_with(|| {
            self.listener.add(channel.clone());
            self.due().insert(channel);
            self.woken.notify_one();
            (Arc::new(Feed::new(room.clone())), 0)
        });
        *seats += 1;
        feed.clone()
    }

    /// Gives the seat back; with the last, the feed ends.
    pub(super) fn leave(&self, room: &RoomName) {
        let channel = self.redis.keys().room_channel(room.as_str());
        let mut feeds = self.feeds();
        let Some((_, seats)) = feeds.get_mut(&channel) else { return };
        *seats -= 1;
        if *seats == 0 {
            feeds.remove(&channel);
            self.listener.remove(&channel);
        }
    }

    /// The feed of a room, if somebody here watches it.
    pub(super) fn feed(&self, room: &RoomName) -> Option<Arc<Feed>> {
        self.feed_of(&self.redis.keys().room_channel(room.as_str()))
    }

    pub(super) fn count(&self, outcome: &'static str) {
        self.metrics.room_recoveries.add(1, &[label("outcome", outcome)]);
    }

    /// Reads what is due, again and again.
    async fn drive(&self, mut news: mpsc::Receiver<News>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                heard = news.recv() => match heard {
                    Some(heard) => self.note(heard),
                    None => return,
                },
                () = self.woken.notified() => {}
                _ = tick.tick() => {
                    self.note_silence();
                    self.feeds().values().for_each(|(feed, _)| feed.tell_count());
                }
            }
            while let Ok(heard) = news.try_recv() {
                self.note(heard);
            }
            if !self.read_due().await {
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    fn note(&self, news: News) {
        match news {
            News::Listening(channel) => drop(self.due().insert(channel)),
            News::Gap => self.due().extend(self.feeds().keys().cloned().collect::<Vec<_>>()),
            News::Message { channel, text } => {
                let Some(feed) = self.feed_of(&channel) else { return };
                if self.heard(&feed, (&channel, &text)).unwrap_or(true) {
                    self.due().insert(channel);
                }
            }
        }
    }

    /// Takes a message of a room's channel; whether the room is to be read. Nothing if it is not ours.
    fn heard(&self, feed: &Feed, (channel, text): (&str, &str)) -> Option<bool> {
        let Some(interim) = text.strip_prefix("I ") else { return told(feed, text) };
        let mut parts = interim.splitn(6, ' ');
        let fence = parts.next()?.parse().ok()?;
        let account = parts.next()?;
        let session = SessionId(parts.next()?.parse().ok()?);
        let label = Label { session, n: parts.next()?.parse().ok()? };
        let mark = parts.next()?;
        let text = Text { label, body: parts.next()?.to_owned() };
        let genuine = self.history.is_said(channel, (fence, account), &text, mark);
        Some(genuine && !feed.interim(account, fence, text))
    }

    fn note_silence(&self) {
        let silent: Vec<String> = self
            .feeds()
            .iter()
            .filter(|(_, (feed, _))| feed.was_silent(SILENCE))
            .map(|(channel, _)| channel.clone())
            .collect();
        self.due().extend(silent);
    }

    /// Reads the rooms that are due, many with one write to Redis; whether it answered.
    async fn read_due(&self) -> bool {
        let due: Vec<String> = std::mem::take(&mut *self.due()).into_iter().collect();
        let mut answered = true;
        for some in due.chunks(AT_ONCE) {
            let reads = some.iter().map(|channel| self.read(channel));
            for (channel, more) in some.iter().zip(join_all(reads).await) {
                if more.as_ref().map_or(true, |more| *more) {
                    self.due().insert(channel.clone());
                    self.woken.notify_one();
                }
                answered &= more.is_ok();
            }
        }
        answered
    }

    /// Reads a room on; whether there may be more.
    async fn read(&self, channel: &str) -> Result<bool, Error> {
        let Some(feed) = self.feed_of(channel) else { return Ok(false) };
        let read = self.read_feed(&feed).await;
        if let Err(error) = &read {
            tracing::debug!(room = %feed.room, "a room cannot be read: {error:?}");
            feed.degrade();
        }
        read
    }

    async fn read_feed(&self, feed: &Feed) -> Result<bool, Error> {
        let (loaded, degraded, cursor) = {
            let state = feed.state();
            (state.loaded, state.degraded, state.cursor)
        };
        if !loaded {
            feed.load(self.history.read_end(&feed.room, PAGE).await?);
            return Ok(false);
        }
        let (owner, read) = self.history.read_after(&feed.room, &cursor, PAGE).await?;
        let (more, hole) = feed.apply(owner, read);
        match hole {
            Some(reason) => self.count(reason.code()),
            None if degraded => self.count("recovered"),
            None => {}
        }
        Ok(more)
    }

    fn feed_of(&self, channel: &str) -> Option<Arc<Feed>> {
        self.feeds().get(channel).map(|(feed, _)| feed.clone())
    }

    fn feeds(&self) -> MutexGuard<'_, HashMap<String, (Arc<Feed>, usize)>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn due(&self) -> MutexGuard<'_, HashSet<String>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what a replica says of a room: whether the room is to be read. Nothing if it is none of that.
fn told(feed: &Feed, text: &str) -> Option<bool> {
    let (kind, rest) = text.split_once(' ')?;
    match kind {
        // A claim: it is to be seen whose the room is now.
        "C" => Some(true),
        "F" => Some(feed.wake(rest.split_once(' ')?.1.parse().ok()?)),
        "V" => {
            feed.count(rest.split_once(' ')?.1.parse().ok()?);
            Some(false)
        }
        _ => None,
    }
}
