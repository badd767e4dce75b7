//! Configuration: environment variables only, read once, with every fault told at once.

mod auth;
mod env;
mod environment;
mod limits;
mod live;
mod models;
mod origins;
mod production;
mod providers;
mod reader;
mod recorded;
mod rooms;
mod server;
mod storage;
mod table;
mod telemetry;
#[cfg(test)]
mod tests;
mod variables;

pub use auth::{Auth0Config, AuthConfig};
pub use env::Env;
pub use environment::Environment;
pub use limits::{Allowance, LimitsConfig};
pub use live::{AssemblyAiConfig, DeepgramConfig, LiveConfig, LiveProvider, SpeechConfig};
pub use models::Models;
pub use origins::Origins;
pub use providers::ProvidersConfig;
pub use reader::Faults;
pub use recorded::{DuplicatesConfig, RecordedConfig};
pub use rooms::RoomsConfig;
pub use server::{ReplicaAddress, ServerConfig};
pub use storage::{DatabaseConfig, RedisConfig};
pub use table::{env_example, markdown, text};
pub use telemetry::{LogFormat, LogLevel, TelemetryConfig};
pub use variables::{VARIABLES, Variable};

/// Everything that can be configured. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where this runs.
    pub environment: Environment,
    /// How the service listens.
    pub server: ServerConfig,
    /// Postgres.
    pub database: DatabaseConfig,
    /// Redis.
    pub redis: RedisConfig,
    /// Who may call.
    pub auth: AuthConfig,
    /// How much each user may do.
    pub limits: LimitsConfig,
    /// Deepgram, where there is a key.
    pub deepgram: Option<DeepgramConfig>,
    /// Streams that the Deepgram project allows at once; `None` leaves it to Deepgram.
    pub deepgram_max_streams: Option<usize>,
    /// AssemblyAI's live transcription, where there is a key.
    pub assemblyai: Option<AssemblyAiConfig>,
    /// Live sessions.
    pub live: LiveConfig,
    /// Rooms.
    pub rooms: RoomsConfig,
    /// The embedded speech engine.
    pub speech: SpeechConfig,
    /// Recorded audio over REST.
    pub recorded: RecordedConfig,
    /// Providers behind the REST routes.
    pub providers: ProvidersConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// What is allowed but risky; to be logged at boot.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the configuration; fails with every fault at once.
    pub fn load(env: &Env) -> Result<Self, Faults> {
        let mut reader = reader::Reader::new(env);
        let environment = Environment::read(&mut reader);
        if environment == Environment::Production {
            production::demand(&mut reader);
        }
        let mut config = Self::read(&mut reader, environment);
        production::inspect(&config, &mut reader);
        if !reader.faults.is_empty() {
            return Err(reader.faults);
        }
        config.warnings = reader.warnings;
        Ok(config)
    }

    fn read(reader: &mut reader::Reader<'_>, environment: Environment) -> Self {
        Self {
            environment,
            server: ServerConfig::read(reader),
            database: DatabaseConfig::read(reader),
            redis: RedisConfig::read(reader),
            auth: AuthConfig::read(reader, environment == Environment::Production),
            limits: LimitsConfig::read(reader),
            deepgram: DeepgramConfig::read(reader),
            deepgram_max_streams: DeepgramConfig::read_max_streams(reader),
            assemblyai: AssemblyAiConfig::read(reader),
            live: LiveConfig::read(reader),
            rooms: RoomsConfig::read(reader),
            speech: SpeechConfig::read(reader),
            recorded: RecordedConfig::read(reader),
            providers: ProvidersConfig::read(reader),
            telemetry: TelemetryConfig::read(reader),
            warnings: Vec::new(),
        }
    }

    /// Whether this is production.
    pub fn is_production(&self) -> bool {
        self.environment == Environment::Production
    }
}
