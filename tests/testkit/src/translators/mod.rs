//! Translators by their documented wires, on one port: OpenAI's and DeepSeek's chat, Google's v2 and
//! v3 with the exchange of tokens, and a webhook that receives what was translated. They translate
//! by writing everything in capitals, but for terms that they are told, and fail as they are told.

mod chat;
mod google;
mod make;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::{auth0::key::Key, recorded::Refusal, tasks::Tasks};

/// The only key that is let in.
pub const KEY: &str = "a-key-of-the-translators";

/// What happens to a request instead of the usual.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is answered with that.
    Refuse(Refusal),
    /// It is answered so much later.
    Wait(Duration),
    /// Its answer is stopped at the bound.
    Cut,
    /// Its answer breaks off after so many words.
    Break(usize),
    /// It is never answered.
    Hang,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whose route it was: `openai`, `deepseek`, `google`, `google_token` or `make`.
    pub provider: &'static str,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; of a form its fields.
    pub body: Value,
    /// Its body as it came.
    pub raw: Vec<u8>,
}

/// What all routes share.
struct State {
    key: Key,
    /// Tokens that were handed out and not taken back.
    tokens: Mutex<Vec<String>>,
    requests: Mutex<Vec<Request>>,
    faults: Mutex<HashMap<&'static str, VecDeque<Fault>>>,
}

type Shared = Arc<State>;

/// The running translators; they end with this value.
pub struct Translators {
    port: u16,
    state: Shared,
    _tasks: Tasks,
}

impl Translators {
    /// Starts them.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port")?;
        let port = listener.local_addr()?.port();
        let state = Shared::new(State {
            key: Key::generate()?,
            tokens: Mutex::default(),
            requests: Mutex::default(),
            faults: Mutex::default(),
        });
        let routes = Router::new()
            .route("/v1/chat/completions", post(chat::openai))
            .route("/chat/completions", post(chat::deepseek))
            .route("/token", post(google::token))
            .route("/language/translate/v2", post(google::v2))
            .route("/v3/projects/{*call}", post(google::v3))
            .route("/hook/{token}", post(make::receive))
            .with_state(state.clone());
        let tasks = Tasks::new();
        tasks.spawner().spawn(async move {
            // It ends when the task is dropped.
            drop(axum::serve(listener, routes).await);
        });
        Ok(Self { port, state, _tasks: tasks })
    }

    /// Where they are.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The file of a service account that they know.
    pub fn service_account(&self) -> Value {
        google::service_account(&self.state.key, &self.base_url())
    }

    /// What happens to the next requests of that provider.
    pub fn fault(&self, provider: &'static str, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.state.faults).entry(provider).or_default().extend(faults);
    }

    /// The next answers of that provider.
    pub fn refuse(&self, provider: &'static str, refusals: impl IntoIterator<Item = Refusal>) {
        self.fault(provider, refusals.into_iter().map(Fault::Refuse));
    }

    /// Takes back every token of Google's.
    pub fn revoke_tokens(&self) {
        lock(&self.state.tokens).clear();
    }

    /// What came in at that provider, in order.
    pub fn requests(&self, provider: &str) -> Vec<Request> {
        let all = lock(&self.state.requests);
        all.iter().filter(|request| request.provider == provider).cloned().collect()
    }

    /// How many requests of that provider came in.
    pub fn asked(&self, provider: &str) -> usize {
        self.requests(provider).len()
    }
}

impl State {
    /// Notes a request; the fault that it meets, if any, and the answer that this means already.
    async fn note(&self, request: Request) -> Result<Option<Fault>, Response> {
        let provider = request.provider;
        lock(&self.requests).push(request);
        let fault = lock(&self.faults).get_mut(provider).and_then(VecDeque::pop_front);
        match fault {
            Some(Fault::Refuse(refusal)) => Err(refusal.into_response()),
            Some(Fault::Wait(wait)) => {
                tokio::time::sleep(wait).await;
                Ok(None)
            }
            Some(Fault::Hang) => std::future::pending().await,
            fault => Ok(fault),
        }
    }
}

fn refusal(status: StatusCode, body: impl Into<String>) -> Response {
    Refusal { body: body.into(), ..Refusal::of(status.as_u16()) }.into_response()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
