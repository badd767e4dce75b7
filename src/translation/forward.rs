//! Translations that go on to a webhook, in the background and more than once where it is away.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use uuid::Uuid;

use crate::{
    backoff::Backoff,
    lifecycle::Shutdown,
    providers::make::Webhook,
    telemetry::{Metrics, metrics::label},
    web::Form,
};

/// Deliveries that may wait at once.
const WAITING: usize = 256;
/// Attempts of one.
const ATTEMPTS: u32 = 6;
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// Fields that are handed on as they came.
const FIELDS: [&str; 7] =
    ["fileName", "duration", "driveId", "groupId", "folderId", "fileId", "projectName"];

/// What a caller wants to have forwarded with a translation.
#[derive(Clone, Debug)]
pub struct Parcel {
    fields: Vec<(&'static str, String)>,
    is_dev: bool,
}

/// The webhooks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Forwarding {
    usual: Option<Webhook>,
    dev: Option<Webhook>,
    room: Arc<Semaphore>,
    metrics: Metrics,
    shutdown: Shutdown,
}

impl Parcel {
    /// What a form asks for; nothing where the translation stays here.
    pub fn of_form(form: &Form) -> Option<Self> {
        if form.text("isLocal") == Some("true") {
            return None;
        }
        let field = |name: &'static str| Some((name, form.text(name)?.to_owned()));
        let fields = FIELDS.into_iter().filter_map(field).collect();
        Some(Self { fields, is_dev: form.text("isDev") == Some("true") })
    }
}

impl Forwarding {
    /// To those webhooks, as far as they are there.
    pub fn new(
        usual: Option<Webhook>,
        dev: Option<Webhook>,
        metrics: Metrics,
        shutdown: Shutdown,
    ) -> Self {
        Self { usual, dev, room: Arc::new(Semaphore::new(WAITING)), metrics, shutdown }
    }

    /// Sends it on its way; whether there is somewhere to send it to.
    pub fn send(&self, parcel: Parcel, text: &str, translation: &str) -> bool {
        let webhook = if parcel.is_dev { &self.dev } else { &self.usual };
        let Some(webhook) = webhook.clone() else { return false };
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            self.lost(Uuid::nil(), "too many wait");
            return false;
        };
        let mut fields = parcel.fields;
        fields.push(("translation", translation.to_owned()));
        fields.push(("transcription", text.to_owned()));
        let forwarding = self.clone();
        self.shutdown.spawn(async move { forwarding.deliver(webhook, fields, room).await });
        true
    }

    async fn deliver(
        &self,
        webhook: Webhook,
        fields: Vec<(&'static str, String)>,
        _room: OwnedSemaphorePermit,
    ) {
        let id = Uuid::now_v7();
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, text)| (*name, &**text)).collect();
        let mut backoff = Backoff::new(FIRST, LONGEST);
        for attempt in 1..=ATTEMPTS {
            let failed = tokio::select! {
                () = self.shutdown.hard().cancelled() => {
                    return self.lost(id, "the replica was stopped");
                }
                made = webhook.deliver(id, &fields) => match made {
                    Ok(()) => return self.count("delivered"),
                    Err(failed) => failed,
                },
            };
            if attempt == ATTEMPTS || !failed.class.retryable() {
                return self.lost(id, &failed.to_string());
            }
            self.count("retried");
            let wait = failed.retry_after.unwrap_or_default().min(LONGEST) + backoff.next_delay();
            tokio::select! {
                () = self.shutdown.hard().cancelled() => {}
                () = sleep(wait) => {}
            }
        }
    }

    fn count(&self, outcome: &'static str) {
        self.metrics.acts.webhooks.add(1, &[label("outcome", outcome)]);
    }

    fn lost(&self, id: Uuid, why: &str) {
        self.count("lost");
        tracing::error!(delivery = %id, "a translation was not forwarded: {why}");
    }
}
