//! Providers of recorded audio by their documented wires, on one port: Deepgram's `/v1/listen`,
//! OpenAI's `/v1/audio/transcriptions`, and AssemblyAI's `/v2`. They know what is said in one
//! recording, find what they are sent in it, and fail as they are told.

mod assemblyai;
mod deepgram;
mod heard;
mod openai;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::{net::TcpListener, sync::watch};

pub use heard::{Speech, Spoken};

use crate::tasks::Tasks;

/// The only key that is let in.
pub const KEY: &str = "a-key-of-the-recorders";

/// An answer instead of the usual one.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Its status.
    pub status: u16,
    /// Seconds after which to come again.
    pub retry_after: Option<u32>,
    /// Its body, in the provider's own words.
    pub body: String,
}

impl Refusal {
    /// That status, with a body that every provider might send.
    pub fn of(status: u16) -> Self {
        let body = r#"{"error":{"message":"as planned","type":"planned","param":null,"code":null},"err_code":"PLANNED","err_msg":"as planned"}"#;
        Self { status, retry_after: None, body: body.to_owned() }
    }
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whose route it was: `deepgram`, `openai` or `assemblyai`.
    pub provider: &'static str,
    /// Its query.
    pub query: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Fields of its form that are text, and those of a JSON body.
    pub fields: Vec<(String, String)>,
    /// Bytes of its audio.
    pub audio_bytes: usize,
    /// How its audio begins.
    pub head: Vec<u8>,
    /// The name of its file.
    pub file_name: Option<String>,
}

/// How a stream goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// To its end.
    #[default]
    On,
    /// Not yet.
    Held,
    /// Not at all: its connection breaks.
    Broken,
}

/// What all routes share.
#[derive(Default)]
struct State {
    speech: Speech,
    requests: Mutex<Vec<Request>>,
    refusals: Mutex<HashMap<&'static str, VecDeque<Refusal>>>,
    /// What was uploaded to AssemblyAI, and how often each transcript was looked at.
    uploads: Mutex<Vec<Vec<u8>>>,
    looks: Mutex<HashMap<usize, usize>>,
    flow: watch::Sender<Flow>,
}

type Shared = Arc<State>;

/// The running providers; they end with this value.
pub struct Recorders {
    port: u16,
    state: Shared,
    _tasks: Tasks,
}

impl Recorders {
    /// Providers that know what is said there.
    pub async fn start(speech: Speech) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port")?;
        let port = listener.local_addr()?.port();
        let state = Shared::new(State { speech, ..State::default() });
        let routes = Router::new()
            .route("/v1/listen", post(deepgram::listen))
            .route("/v1/audio/transcriptions", post(openai::transcribe))
            .route("/v2/upload", post(assemblyai::upload))
            .route("/v2/transcript", post(assemblyai::create))
            .route("/v2/transcript/{id}", get(assemblyai::look))
            .layer(DefaultBodyLimit::disable())
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

    /// The next answers of that provider.
    pub fn refuse(&self, provider: &'static str, refusals: impl IntoIterator<Item = Refusal>) {
        lock(&self.state.refusals).entry(provider).or_default().extend(refusals);
    }

    /// How streams go on after their first event, those that are open among them.
    pub fn let_streams(&self, flow: Flow) {
        self.state.flow.send_replace(flow);
    }

    /// What came in, in order.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state.requests).clone()
    }

    /// How many requests of that provider came in.
    pub fn asked(&self, provider: &str) -> usize {
        self.requests().iter().filter(|request| request.provider == provider).count()
    }
}

impl State {
    /// Waits while streams are held; whether they go on then.
    async fn goes_on(&self) -> bool {
        let mut flow = self.flow.subscribe();
        let flow = flow.wait_for(|flow| *flow != Flow::Held).await;
        flow.is_ok_and(|flow| *flow == Flow::On)
    }

    /// Notes a request; the answer that stands in for the usual one, if there is one.
    fn note(&self, request: Request, authorization: &str) -> Option<Response> {
        let told = request.headers.get("authorization").and_then(|value| value.to_str().ok());
        let known = told == Some(authorization);
        let provider = request.provider;
        lock(&self.requests).push(request);
        if !known {
            return Some(render(&Refusal {
                body: unknown(provider).to_owned(),
                ..Refusal::of(401)
            }));
        }
        let refusal = lock(&self.refusals).get_mut(provider)?.pop_front()?;
        Some(render(&refusal))
    }
}

/// What each says to a key that it does not know.
fn unknown(provider: &str) -> &'static str {
    match provider {
        "deepgram" => r#"{"err_code":"INVALID_AUTH","err_msg":"Invalid credentials."}"#,
        "openai" => {
            r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#
        }
        _ => r#"{"error":"Authentication error, API token missing/invalid"}"#,
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.body).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert("retry-after", seconds.into());
        }
        response
    }
}

fn render(refusal: &Refusal) -> Response {
    refusal.clone().into_response()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
