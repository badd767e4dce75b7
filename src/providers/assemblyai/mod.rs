//! AssemblyAI Universal-Streaming: one WebSocket session after the other, told as one stream.
//!
//! Wire facts: <https://www.assemblyai.com/docs/streaming/universal-streaming/message-sequence>.

mod closing;
mod connection;
mod handshake;
mod message;
pub mod model;
mod packer;
mod query;
pub mod recorded;
#[cfg(test)]
mod tests;
mod turns;

use tokio::sync::mpsc;

use self::{
    connection::{Connection, Wanted},
    handshake::Dialer,
    turns::Turns,
};
use super::{LiveStream, ProviderError, StreamOptions};
use crate::{config::AssemblyAiConfig, lifecycle::Shutdown};

/// The provider's name.
pub const PROVIDER: &str = "assemblyai";
/// Hints that it understands; others are left out.
pub const HINTS: [&str; 2] = ["profanity_filter", "keyterm"];
/// Longest word to listen for, in characters.
pub const MAX_KEYTERM_CHARS: usize = 50;

/// Commands that may wait for the socket; the session keeps the rest in its own ring.
const COMMANDS: usize = 64;
/// Events that may wait for the session.
const EVENTS: usize = 64;

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
        let url = query::url(&self.config.streaming_url, options, raw)?;
        let dialer = Dialer { url, key: self.config.api_key.clone() };
        let (socket, session_id) = dialer.dial().await?;
        let request_id = Some(session_id.clone());
        let (commands, from_session) = mpsc::channel(COMMANDS);
        let (to_session, events) = mpsc::channel(EVENTS);
        let (vad_events, report_sent) = (options.vad_events, options.report_sent);
        let wanted = Wanted { raw, vad_events, report_sent };
        let turns = Turns::new(options.interim_results, query::formatted(options));
        let ends = (from_session, to_session);
        let connection = Connection::new((dialer, session_id), wanted, turns, ends);
        self.shutdown.spawn(connection.run(socket));
        let model = model::choose(options).to_owned();
        Ok(LiveStream { provider: PROVIDER, model, request_id, commands, events })
    }
}
