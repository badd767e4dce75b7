//! Deepgram live transcription: one WebSocket a stream.
//!
//! Wire facts: <https://developers.deepgram.com/reference/speech-to-text/listen-streaming>.

mod closing;
mod connection;
mod handshake;
mod message;
pub mod model;
mod query;
pub mod recorded;

use tokio::sync::mpsc;

use super::{LiveStream, ProviderError, StreamOptions};
use crate::{config::DeepgramConfig, lifecycle::Shutdown};

/// The name on the wire and in metrics.
pub const PROVIDER: &str = "deepgram";
/// Commands that may wait for the socket; the session keeps the rest in its own ring.
const COMMANDS: usize = 64;
/// Events that may wait for the session.
const EVENTS: usize = 64;

/// Opens streams to one Deepgram project.
#[derive(Clone, Debug)]
pub struct Deepgram {
    config: DeepgramConfig,
    shutdown: Shutdown,
}

impl Deepgram {
    /// A client for that project; connects only when a stream is opened.
    pub fn new(config: DeepgramConfig, shutdown: Shutdown) -> Self {
        Self { config, shutdown }
    }

    /// The model that a stream with these options would use.
    pub fn model_for(&self, options: &StreamOptions) -> String {
        let named = options.model.as_deref().filter(|name| model::MODELS.contains(name));
        let wanted = named.unwrap_or(&self.config.model);
        model::choose(wanted, options.language, named.is_some()).to_owned()
    }

    /// Opens a stream, or says within the handshake deadline why not.
    pub async fn open(&self, options: &StreamOptions) -> Result<LiveStream, ProviderError> {
        let model = self.model_for(options);
        let url = query::url(&self.config.base_url, options, &model)?;
        let (socket, request_id) = handshake::connect(&url, &self.config.api_key).await?;
        let (commands, from_session) = mpsc::channel(COMMANDS);
        let (to_session, events) = mpsc::channel(EVENTS);
        let connection = connection::Connection::new(options, request_id.clone());
        self.shutdown.spawn(connection.run(socket, from_session, to_session));
        Ok(LiveStream { provider: PROVIDER, model, request_id, commands, events })
    }
}
