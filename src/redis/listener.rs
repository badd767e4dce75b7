//! Channels that come and go, all heard over one connection, with losses told.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fred::{
    clients::Client,
    interfaces::{EventInterface, PubsubInterface},
};
use tokio::{
    sync::{
        Notify,
        broadcast::{self, error::RecvError},
        mpsc,
    },
    time::{Instant, sleep_until},
};

use super::Redis;
use crate::lifecycle::Shutdown;

/// What may wait for whoever hears; past that, and what waits for it in turn, a gap is told.
const WAITING: usize = 1024;
/// How often subscriptions are made anew without a reason.
const RENEW: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(250);

/// What is heard of channels.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// A message on a channel.
    Message {
        /// The channel.
        channel: String,
        /// What was said.
        text: String,
    },
    /// From now on a channel is heard; what was said before may have been missed.
    Listening(String),
    /// Messages of any channel may have been missed.
    Gap,
}

/// Chooses which channels are heard. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Listener(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    wanted: Mutex<HashSet<String>>,
    changed: Notify,
}

impl Listener {
    /// Listens to a channel; [`News::Listening`] follows once that holds.
    pub fn add(&self, channel: String) {
        self.0.wanted().insert(channel);
        self.0.changed.notify_one();
    }

    /// Listens to a channel no more.
    pub fn remove(&self, channel: &str) {
        self.0.wanted().remove(channel);
        self.0.changed.notify_one();
    }
}

impl Shared {
    fn wanted(&self) -> MutexGuard<'_, HashSet<String>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A channel to subscribe to (true), or to leave (false).
    fn next(&self, heard: &HashSet<String>) -> Option<(String, bool)> {
        let wanted = self.wanted();
        let missing = wanted.difference(heard).next().map(|channel| (channel.clone(), true));
        missing.or_else(|| heard.difference(&wanted).next().map(|channel| (channel.clone(), false)))
    }
}

impl Redis {
    /// Hears channels that come and go until the hard stop, on one connection of its own.
    pub fn listener(&self, shutdown: &Shutdown) -> (Listener, mpsc::Receiver<News>) {
        let (news, heard) = mpsc::channel(WAITING);
        let (client, shared) = (self.connect_another(shutdown), Arc::new(Shared::default()));
        let (stop, messages) = (shutdown.hard().clone(), client.message_rx());
        let (passing, wanted) = (news.clone(), shared.clone());
        shutdown.spawn(async move {
            stop.run_until_cancelled(pass_on(messages, &passing)).await;
        });
        let stop = shutdown.hard().clone();
        shutdown.spawn(async move {
            stop.run_until_cancelled(keep_subscribed(&client, &wanted, &news)).await;
        });
        (Listener(shared), heard)
    }
}

/// Passes messages on; ends with whoever hears.
async fn pass_on(
    mut messages: broadcast::Receiver<fred::types::Message>,
    news: &mpsc::Sender<News>,
) {
    loop {
        let next = match messages.recv().await {
            Ok(message) => {
                let channel = message.channel.to_string();
                message.value.into_string().map(|text| News::Message { channel, text })
            }
            Err(RecvError::Lagged(_)) => Some(News::Gap),
            Err(RecvError::Closed) => return,
        };
        if let Some(next) = next
            && news.send(next).await.is_err()
        {
            return;
        }
    }
}

/// Brings subscriptions to what is wanted, one channel at a time: now, after every loss of the
/// server, and from time to time in any case.
async fn keep_subscribed(client: &Client, shared: &Shared, news: &mpsc::Sender<News>) {
    let (mut heard, mut reconnects) = (HashSet::new(), client.reconnect_rx());
    let mut renew = Instant::now() + RENEW;
    loop {
        while let Some((channel, join)) = shared.next(&heard) {
            if !change(client, &mut heard, &channel, join).await {
                tokio::time::sleep(RETRY).await;
            } else if join && news.send(News::Listening(channel)).await.is_err() {
                return;
            }
            if reconnected(&mut reconnects) {
                heard.clear();
            }
        }
        tokio::select! {
            () = shared.changed.notified() => {}
            _ = reconnects.recv() => heard.clear(),
            () = sleep_until(renew) => {
                renew = Instant::now() + RENEW;
                heard.clear();
            }
        }
    }
}

/// Whether the connection was made anew, so that nothing is subscribed to any more.
fn reconnected(reconnects: &mut broadcast::Receiver<fred::types::config::Server>) -> bool {
    let mut any = false;
    while !matches!(
        reconnects.try_recv(),
        Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed)
    ) {
        any = true;
    }
    any
}

async fn change(client: &Client, heard: &mut HashSet<String>, channel: &str, join: bool) -> bool {
    let changed =
        if join { client.subscribe(channel).await } else { client.unsubscribe(channel).await };
    match changed {
        Ok(()) if join => heard.insert(channel.to_owned()),
        Ok(()) => heard.remove(channel),
        Err(error) => {
            tracing::debug!("a channel cannot be listened to: {error}");
            false
        }
    }
}
