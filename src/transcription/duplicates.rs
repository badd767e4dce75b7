//! Recordings that were heard before: what an account had transcribed is answered from Redis, sealed,
//! for as long as the configuration says; nothing is kept where it does not.

use std::time::Duration;

use fred::{interfaces::KeysInterface, types::Expiration};
use serde::{Deserialize, Serialize};

use super::{Job, answer::Attempt, pipeline::Heard, work::Served};
use crate::{
    auth::{Purpose, Secrets, digest},
    config::DuplicatesConfig,
    providers::{
        recorded::{RecordedOptions, Transcription},
        transcriber::Transcribers,
    },
    redis::Redis,
    telemetry::{Metrics, metrics::label},
};

/// Bytes of what is kept of one recording.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// How long Redis is waited for; without it the recording is heard again.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known of recordings that were heard before. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Duplicates {
    config: DuplicatesConfig,
    redis: Redis,
    secrets: Secrets,
    metrics: Metrics,
}

/// What is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    provider: String,
    options: RecordedOptions,
    transcription: Transcription,
    pieces: (usize, u64),
    attempts: Vec<(String, String)>,
}

impl Duplicates {
    /// Keeps them there.
    pub const fn new(
        config: DuplicatesConfig,
        redis: Redis,
        secrets: Secrets,
        metrics: Metrics,
    ) -> Self {
        Self { config, redis, secrets, metrics }
    }

    /// Whether anything is kept, so that uploads have to be told apart.
    pub const fn are_kept(&self) -> bool {
        !self.config.life.is_zero()
    }

    /// Whether an answer from here costs what the first one cost.
    pub const fn are_billed(&self) -> bool {
        self.config.billed
    }

    /// What was heard of the same recording, by the same account, with the same wishes.
    pub(super) async fn look(&self, job: &Job, transcribers: &Transcribers) -> Option<Served> {
        let name = self.name(job)?;
        let get = self.redis.client().get::<Option<String>, _>(self.redis.keys().duplicate(&name));
        let sealed = match tokio::time::timeout(PATIENCE, get).await {
            Ok(Ok(sealed)) => sealed,
            Ok(Err(_)) | Err(_) => {
                self.count("unavailable");
                None
            }
        };
        let kept =
            sealed.and_then(|text| self.secrets.open::<Kept>(Purpose::Duplicate, &name, &text));
        self.count(if kept.is_some() { "hit" } else { "miss" });
        let kept = kept?;
        let provider = transcribers.get(&kept.provider)?.name();
        let attempt = |(provider, code): &(String, String)| {
            Some(Attempt { provider: transcribers.get(provider)?.name(), code: code.clone() })
        };
        Some(Served {
            provider,
            options: kept.options,
            heard: Heard { transcription: kept.transcription, pieces: kept.pieces },
            attempts: kept.attempts.iter().filter_map(attempt).collect(),
            cached: true,
        })
    }

    /// Keeps what was heard.
    pub(super) async fn keep(&self, job: &Job, served: &Served) {
        let Some(name) = self.name(job) else { return };
        let kept = Kept {
            provider: served.provider.to_owned(),
            options: served.options.clone(),
            transcription: served.heard.transcription.clone(),
            pieces: served.heard.pieces,
            attempts: served
                .attempts
                .iter()
                .map(|attempt| (attempt.provider.to_owned(), attempt.code.clone()))
                .collect(),
        };
        let sealed = self.secrets.seal(Purpose::Duplicate, &name, &kept);
        let Some(sealed) = sealed.ok().filter(|sealed| sealed.len() <= MOST_BYTES) else {
            return self.count("too_large");
        };
        let life =
            Some(Expiration::PX(self.config.life.as_millis().try_into().unwrap_or(i64::MAX)));
        let key = self.redis.keys().duplicate(&name);
        let set = self.redis.client().set::<(), _, _>(key, sealed, life, None, false);
        match tokio::time::timeout(PATIENCE, set).await {
            Ok(Ok(())) => self.count("kept"),
            Ok(Err(_)) | Err(_) => self.count("unavailable"),
        }
    }

    /// Whose recording, which, and how it is to be heard.
    fn name(&self, job: &Job) -> Option<String> {
        if !self.are_kept() {
            return None;
        }
        let options = serde_json::to_string(&job.asked.options).ok()?;
        let account = job.caller.principal.account();
        let audio = job.source.digest?;
        let wish = (account, job.provider, job.asked.auto, options, audio);
        Some(digest::of(&serde_json::to_string(&wish).ok()?))
    }

    fn count(&self, outcome: &'static str) {
        self.metrics.acts.duplicates.add(1, &[label("outcome", outcome)]);
    }
}
