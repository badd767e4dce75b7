//! Channels that are listened to through every loss of the server, with losses told.

use std::time::Duration;

use fred::{
    clients::Client,
    interfaces::{EventInterface, PubsubInterface},
};
use tokio::sync::{broadcast::error::RecvError, mpsc};

use super::Redis;
use crate::lifecycle::Shutdown;

/// Messages that may wait for their listener; past them it is told of a gap.
const WAITING: usize = 1024;
/// How often a subscription is made anew without a reason: it costs nothing and mends what was lost
/// unnoticed.
const RENEW: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(250);

/// What a listener hears.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message.
    Message(String),
    /// Messages may have been missed since the last one.
    Gap,
}

impl Redis {
    /// Listens to a channel until the hard stop, in order, on a connection of its own.
    pub fn listen(&self, channel: String, shutdown: &Shutdown) -> mpsc::Receiver<Heard> {
        let (heard, listener) = mpsc::channel(WAITING);
        let subscriber = self.connect_another(shutdown);
        let stop = shutdown.hard().clone();
        shutdown.spawn(async move {
            stop.run_until_cancelled(relay(&subscriber, &channel, &heard)).await;
        });
        listener
    }

    /// A second client with the same settings, since a subscriber's connection is its own.
    pub(super) fn connect_another(&self, shutdown: &Shutdown) -> Client {
        let client = self.client.clone_new();
        super::keep_connected(client.clone(), shutdown);
        client
    }
}

/// Passes messages on; ends with the listener.
async fn relay(client: &Client, channel: &str, heard: &mpsc::Sender<Heard>) {
    let (mut messages, mut reconnects) = (client.message_rx(), client.reconnect_rx());
    let mut renew = tokio::time::interval(RENEW);
    loop {
        let next = tokio::select! {
            message = messages.recv() => match message {
                Ok(message) if &*message.channel == channel => {
                    message.value.into_string().map(Heard::Message)
                }
                Ok(_) => None,
                Err(RecvError::Lagged(_)) => Some(Heard::Gap),
                Err(RecvError::Closed) => return,
            },
            _ = reconnects.recv() => {
                subscribe(client, channel).await;
                Some(Heard::Gap)
            }
            _ = renew.tick() => {
                subscribe(client, channel).await;
                None
            }
        };
        if let Some(next) = next
            && heard.send(next).await.is_err()
        {
            return;
        }
    }
}

/// Subscribes, again and again while the server is away.
async fn subscribe(client: &Client, channel: &str) {
    while let Err(error) = client.subscribe(channel).await {
        tracing::debug!("a channel cannot be listened to: {error}");
        tokio::time::sleep(RETRY).await;
    }
}
