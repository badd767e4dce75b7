//! Chat completions, as OpenAI documents them and DeepSeek speaks them too.
//!
//! Wire facts: <https://platform.openai.com/docs/api-reference/chat>,
//! <https://api-docs.deepseek.com/api/create-chat-completion>.

mod wire;

use std::time::Duration;

use secrecy::SecretString;

use self::wire::{Chunk, Completion};
use super::{ErrorClass, ProviderError, openai::judge, recorded::Tokens};
use crate::outbound::{Call, Events, Outbound, Peer, protocol};

/// What ends a stream.
const DONE: &str = "[DONE]";

/// Whose language is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's.
    OpenAi,
    /// DeepSeek's: without thinking, which costs and which ignores the temperature.
    DeepSeek,
}

/// A model of one account. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Chat {
    dialect: Dialect,
    key: SecretString,
    model: String,
    peer: Peer,
}

/// What it is asked.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// What it is and how it is to answer.
    pub system: String,
    /// What it is given.
    pub text: String,
    /// Most tokens of the answer.
    pub most_tokens: u32,
}

/// What it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The whole text.
    pub text: String,
    /// The model that said it.
    pub model: String,
    /// What was counted, where the provider tells.
    pub tokens: Option<Tokens>,
    /// Whether it was stopped at the bound.
    pub cut: bool,
}

/// What it says, as it says it.
#[derive(Debug)]
pub struct Saying {
    events: Events,
    said: Said,
    finish: Option<String>,
}

impl Chat {
    /// A client for that account; `base` is the address that `/chat/completions` is added to.
    pub fn new(
        dialect: Dialect,
        key: SecretString,
        model: &str,
        base: &str,
        outbound: &Outbound,
    ) -> Self {
        let name = match dialect {
            Dialect::OpenAi => "openai",
            Dialect::DeepSeek => "deepseek",
        };
        Self { dialect, key, model: model.to_owned(), peer: outbound.peer(name, base) }
    }

    /// The model that is asked.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The whole answer.
    pub async fn ask(&self, prompt: &Prompt, total: Duration) -> Result<Said, ProviderError> {
        let answer = self.peer.send(&self.call("chat", prompt, total, false), judge).await?;
        answer.json::<Completion>()?.into_said(&self.model)
    }

    /// The answer as it comes; `total` bounds the time until it begins.
    pub async fn open(&self, prompt: &Prompt, total: Duration) -> Result<Saying, ProviderError> {
        let opened = self.peer.open(&self.call("chat_stream", prompt, total, true), judge).await?;
        let said = Said { model: self.model.clone(), ..Said::default() };
        Ok(Saying { events: Events::new(opened), said, finish: None })
    }

    fn call(
        &self,
        operation: &'static str,
        prompt: &Prompt,
        total: Duration,
        stream: bool,
    ) -> Call {
        let body = wire::request(self.dialect, &self.model, prompt, stream);
        Call::post(operation, "/chat/completions").bearer(&self.key).json(&body).total(total)
    }
}

impl Saying {
    /// The next words; nothing once all is said.
    pub async fn next(&mut self) -> Result<Option<String>, ProviderError> {
        while let Some(event) = self.events.next().await? {
            if event == DONE {
                return self.done();
            }
            let chunk: Chunk = serde_json::from_str(&event)
                .map_err(|error| protocol(format!("not the expected JSON: {error}")))?;
            let words = chunk.take(&mut self.said, &mut self.finish)?;
            if !words.is_empty() {
                self.said.text.push_str(&words);
                return Ok(Some(words));
            }
        }
        self.done()
    }

    /// All of it, once [`Saying::next`] has told its end.
    pub fn into_said(self) -> Said {
        self.said
    }

    /// An answer that ends without saying why was broken off.
    fn done(&mut self) -> Result<Option<String>, ProviderError> {
        let Some(finish) = &self.finish else {
            return Err(ProviderError::new(ErrorClass::Unavailable, "lost", "it broke off"));
        };
        self.said.cut = wire::is_cut(finish)?;
        Ok(None)
    }
}
