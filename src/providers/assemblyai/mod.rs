//! AssemblyAI Universal-Streaming: one WebSocket session after the other, told as one stream.
//!
//! Wire facts: <https://www.assemblyai.com/docs/streaming/universal-streaming/message-sequence>.

pub mod model;
mod query;

use crate::{
    config::AssemblyAiConfig,
    lifecycle::Shutdown,
    providers::{ErrorClass, LiveStream, ProviderError, StreamOptions},
};

/// The provider's name.
pub const PROVIDER: &str = "assemblyai";
/// Hints that it understands; others are left out.
pub const HINTS: [&str; 2] = ["profanity_filter", "keyterm"];
/// Longest word to listen for, in characters.
pub const MAX_KEYTERM_CHARS: usize = 50;

/// Opens streams on one AssemblyAI account.
#[derive(Clone, Debug)]
pub struct AssemblyAi {
    config: AssemblyAiConfig,
    shutdown: Shutdown,
}

impl AssemblyAi {
    /// A client for that account; connects only when a stream is opened.
    pub fn new(config: AssemblyAiConfig, shutdown: Shutdown) -> Self {
        Self { config, shutdown }
    }

    /// Opens a stream, or says within the handshake deadline why not.
    pub async fn open(&self, options: &StreamOptions) -> Result<LiveStream, ProviderError> {
        let raw = model::check(options)?;
        query::url(&self.config.streaming_url, options, raw)?;
        Err(ProviderError::new(ErrorClass::Unavailable, "todo", ""))
    }
}
