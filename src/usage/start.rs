//! What a live session's rows say about it, made fit for the database.

use std::{borrow::Cow, net::IpAddr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{auth::Owner, model::SessionId};

/// Characters of a `User-Agent` that are kept.
const USER_AGENT_CHARACTERS: usize = 255;

/// What is known of a live session when it opens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionStart {
    /// The session.
    pub session_id: SessionId,
    /// Whose account pays.
    pub owner: Owner,
    /// Who transcribes: `deepgram` or `local`.
    pub service: Cow<'static, str>,
    /// The provider's model.
    pub model: String,
    /// What is spoken.
    pub language: String,
    /// Whether speakers are told apart, which some providers charge for.
    pub diarize: bool,
    /// Channels that the provider charges for, at least one.
    pub billed_channels: u16,
    /// Where the audio came in, such as `/audio-stream`.
    pub endpoint: Cow<'static, str>,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// The client's `User-Agent`; what is beyond 255 characters is cut.
    pub user_agent: Option<String>,
    /// The session's options, as they are to be kept.
    pub options: serde_json::Value,
}

impl SessionStart {
    /// The same without what Postgres refuses, so that nobody escapes billing by a NUL.
    pub(super) fn storable(mut self) -> Self {
        self.model = without_nul(&self.model);
        self.language = without_nul(&self.language);
        self.options = storable(self.options);
        self.user_agent = self
            .user_agent
            .map(|agent| without_nul(&agent).chars().take(USER_AGENT_CHARACTERS).collect());
        self
    }
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}

fn storable(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_nul(&text)),
        Value::Array(values) => Value::Array(values.into_iter().map(storable).collect()),
        Value::Object(fields) => {
            let clean = |(name, value): (String, Value)| (without_nul(&name), storable(value));
            Value::Object(fields.into_iter().map(clean).collect())
        }
        other => other,
    }
}
