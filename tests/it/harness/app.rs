//! The real service in this process, on a free port, on the real configuration path.

use std::collections::BTreeMap;

use audio_transcription_api::{config::Config, server::Running};
use serde_json::json;
use testkit::{
    assemblyai,
    deepgram::{self, Simulator},
    raw_ws::RawSocket,
    socketio,
};

use super::{output, services};

/// What a test wants to have around its service.
pub struct Setup {
    variables: BTreeMap<String, String>,
    deepgram: Option<deepgram::Config>,
}

impl Setup {
    /// Variables that a replica cannot do without, and a Deepgram that counts words.
    pub fn new() -> Self {
        let database = services::postgres().create_database().expect("a database");
        Self::on(&database, &services::redis_url())
    }

    /// The same on databases of the test's own.
    pub fn on(database_url: &str, redis_url: &str) -> Self {
        let setup =
            Self { variables: BTreeMap::new(), deepgram: Some(deepgram::Config::default()) };
        setup
            .with("ENVIRONMENT", "development")
            .with("PORT", "0")
            .with("METRICS_PORT", "0")
            .with("USAGE_CHECKPOINT_SECONDS", "1")
            .with("DATABASE_URL", database_url)
            .with("REDIS_URL", redis_url)
            // Tests share a server, but neither limits nor sessions.
            .with("REDIS_PREFIX", format!("it-{}", uuid::Uuid::new_v4().simple()))
            .with("SECRET_KEY", "the secret of replicas under test")
            .with("JWT_SECRET_KEY", "the secret of tokens under test")
    }

    /// Sets a variable.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// Another Deepgram.
    pub fn deepgram(mut self, config: deepgram::Config) -> Self {
        self.deepgram = Some(config);
        self
    }

    /// An AssemblyAI beside it, which a test holds; `LIVE_PROVIDER` says who transcribes.
    pub fn assemblyai(self, simulator: &assemblyai::Simulator) -> Self {
        self.with("ASSEMBLYAI_API_KEY", super::ASSEMBLYAI_KEY)
            .with("ASSEMBLYAI_STREAMING_URL", simulator.base_url())
    }

    /// A Deepgram that somebody else starts.
    pub fn without_deepgram(mut self) -> Self {
        self.deepgram = None;
        self
    }

    /// The embedded engine instead of Deepgram.
    #[cfg(feature = "local-speech")]
    pub fn local(mut self) -> Self {
        self.deepgram = None;
        let default = || format!("{}/.dev/speech-model", env!("CARGO_MANIFEST_DIR")).into();
        let model_dir = std::env::var_os("ASR_MODEL_DIR").unwrap_or_else(default);
        let model_dir = model_dir.into_string().expect("a path in UTF-8");
        self.with("LIVE_PROVIDER", "local").with("ASR_MODEL_DIR", model_dir)
    }

    /// The variables, with the simulator's address among them.
    pub async fn variables(mut self) -> (BTreeMap<String, String>, Option<Simulator>) {
        let Some(config) = self.deepgram.take() else { return (self.variables, None) };
        let simulator = Simulator::start(config).await.expect("the simulator starts");
        self.variables.insert("DEEPGRAM_API_KEY".into(), "test-deepgram-key".into());
        self.variables.insert("DEEPGRAM_BASE_URL".into(), simulator.base_url());
        (self.variables, Some(simulator))
    }

    /// Starts the service and waits until it has seen its schema.
    pub async fn start(self) -> TestApp {
        let (variables, deepgram) = self.variables().await;
        replica(&variables, deepgram).await
    }

    /// Starts replicas on one database and one Redis; the first of them holds the simulator.
    pub async fn start_many(self, replicas: usize) -> Vec<TestApp> {
        let (variables, mut deepgram) = self.variables().await;
        let mut started = Vec::new();
        for _ in 0..replicas {
            started.push(replica(&variables, deepgram.take()).await);
        }
        started
    }
}

async fn replica(variables: &BTreeMap<String, String>, deepgram: Option<Simulator>) -> TestApp {
    output::collect();
    // The first caller wins; a later error only says so.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let config =
        Config::load(&variables.clone().into_iter().collect()).expect("a good configuration");
    let running = Running::start(config).await.expect("the service starts");
    let mut schema = running.app.database.watch_schema();
    schema.wait_for(|seen| *seen).await.expect("the schema is seen");
    TestApp { running, deepgram, database_url: variables["DATABASE_URL"].clone() }
}

/// A running replica.
pub struct TestApp {
    pub running: Running,
    pub deepgram: Option<Simulator>,
    pub database_url: String,
}

impl TestApp {
    /// A replica with the usual things around it.
    pub async fn start() -> Self {
        Setup::new().start().await
    }

    /// Where it serves.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.running.address.port())
    }

    /// A credential that it accepts.
    pub fn token(&self) -> String {
        self.running.app.auth.development_token().expect("a development token").to_owned()
    }

    /// Its Deepgram.
    pub fn deepgram(&self) -> &Simulator {
        self.deepgram.as_ref().expect("this test has a simulator")
    }

    /// A Socket.IO client in the namespace, past its greeting.
    pub async fn socketio(&self) -> socketio::Client {
        let options = socketio::Options {
            namespace: "/audio-stream".into(),
            auth: json!({ "token": self.token() }),
            ..Default::default()
        };
        let mut client = socketio::Client::connect(&self.url(), options).await.expect("admitted");
        client.receive_event("connected", super::SOON).await.expect("greeted");
        client
    }

    /// A raw WebSocket client, past its greeting.
    pub async fn websocket(&self) -> RawSocket {
        let url = format!("ws://127.0.0.1:{}/audio-stream", self.running.address.port());
        let bearer = format!("Bearer {}", self.token());
        let headers = [("authorization", bearer.as_str())];
        let mut socket = RawSocket::connect(&url, &headers).await.expect("admitted");
        let greeting = socket.receive_json(super::SOON).await.expect("greeted");
        assert_eq!(greeting["type"], "connected");
        socket
    }

    /// One value out of its database.
    pub async fn sql<T>(&self, query: &'static str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let pool = self.running.app.database.pool();
        sqlx::query_scalar(query).fetch_one(pool).await.expect("the query runs")
    }

    /// What its metrics say of one instrument, added up over labels that are not named.
    pub fn metric(&self, name: &str, labels: &[&str]) -> i64 {
        let text = self.running.app.metrics.render().expect("metrics render");
        let named = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        };
        let values = text.lines().filter(|line| !line.starts_with('#')).filter(named);
        let values = values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum::<f64>().round() as i64
    }
}
