//! Which configurations start, and what is said of those that do not.

use super::{Config, Env, LiveProvider, LogLevel, VARIABLES, env_example, markdown};

const GOOD: [(&str, &str); 10] = [
    ("ENVIRONMENT", "production"),
    ("DATABASE_URL", "postgres://api:f00dcafe@db.internal/api?sslmode=require"),
    ("REDIS_URL", "rediss://:f00dcafe@redis.internal:6379"),
    ("AUTH0_DOMAIN", "acme.eu.auth0.com"),
    ("AUTH0_AUDIENCE", "https://api.acme.test"),
    ("DEEPGRAM_API_KEY", "dg-51f0c2"),
    ("OPENAI_API_KEY", "sk-51f0c2"),
    ("DEEPSEEK_API_KEY", "ds-51f0c2"),
    ("JWT_SECRET_KEY", "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c"),
    ("SECRET_KEY", "1f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c"),
];

fn production() -> Env {
    Env::from(GOOD)
}

fn fault(env: &Env) -> String {
    Config::load(env).err().map_or_else(String::new, |faults| faults.to_string())
}

#[test]
fn development_needs_nothing() {
    let config = Config::load(&Env::default()).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!((config.server.port, config.server.metrics_port), (5000, Some(9090)));
    assert_eq!(config.auth.auth0_missing, Some("AUTH0_DOMAIN"));
    assert!(config.deepgram.is_none() && config.deepgram_max_streams.is_none());
    assert!(config.server.cors_origins.allows("http://localhost:3000"));
}

#[test]
fn production_tells_all_that_is_missing_at_once() {
    let env = Env::from([("RENDER", "true"), ("REDIS_URL", ""), ("PORT", "http")]);
    assert_eq!(
        fault(&env),
        "Missing required environment variables: DATABASE_URL, REDIS_URL, AUTH0_DOMAIN, \
         AUTH0_AUDIENCE, DEEPGRAM_API_KEY, OPENAI_API_KEY, DEEPSEEK_API_KEY, JWT_SECRET_KEY, \
         SECRET_KEY; PORT must be a whole number from 0 to 65535"
    );
    assert_eq!(fault(&production()), "");
}

#[test]
fn risky_settings_are_said_aloud() {
    let warnings = |env: Env| Config::load(&env).unwrap().warnings;
    assert_eq!(
        warnings(production()),
        [
            "CORS_ORIGINS allows a localhost origin in production",
            "SOCKETIO_ORIGINS allows a localhost origin in production"
        ]
    );
    let quiet = production().with("CORS_ORIGINS", "https://meet.acme.test/");
    assert!(warnings(quiet.clone()).is_empty());
    assert_eq!(
        warnings(quiet.with("SOCKETIO_ORIGINS", "*").with("API_KEY", "k7")),
        [
            "SOCKETIO_ORIGINS allows every origin in production",
            "API_KEY is shorter than 32 characters"
        ]
    );
    let session = Env::from([("ALLOW_INSECURE_SESSION_AUTH", "true")]);
    let warning = "⚠️  SECURITY WARNING: ALLOW_INSECURE_SESSION_AUTH is enabled!";
    assert!(warnings(session)[0].starts_with(warning));
}

/// What a value of a variable comes to in production: nothing, or the sentence.
type Case = (&'static str, &'static str, &'static str);

const PORT_RANGE: &str = "must be a whole number from 0 to 65535";
const PLACEHOLDER: &str = "is still a placeholder";
const MISSING: &str = "Missing required environment variables: ";
const URL: &str = "must be an http:// or https:// address";
const FLAG: &str = "must be true or false";
const ENVIRONMENTS: &str =
    "must be one of development, dev, local, test, testing, production, prod";
const SERVERS: &str =
    "must be a comma-separated list of deepgram, whisper, assemblyai and local, each once";
const ANY: &str = "";

/// At least a malformed or placeholder value of every variable; `ANY` where no value is wrong.
const ALLOWANCE: &str = "must be a number or unlimited, then plan=number, comma-separated";
const LIMIT: &str = "must be a number from 1 to 1000000 or unlimited";
const CASES: &[Case] = &[
    ("ENVIRONMENT", "staging", ENVIRONMENTS),
    ("ENVIRONMENT", "PROD", ANY),
    ("FLASK_ENV", "live", ENVIRONMENTS),
    ("RENDER", "x", ANY),
    ("KUBERNETES_SERVICE_HOST", "x", ANY),
    ("PORT", "5000x", PORT_RANGE),
    ("PORT", "65536", PORT_RANGE),
    ("PORT", "-1", PORT_RANGE),
    ("PORT", "0", ANY),
    ("METRICS_PORT", "on", "must be off or a whole number from 0 to 65535"),
    ("METRICS_PORT", "OFF", ANY),
    ("METRICS_PORT", "0", ANY),
    ("REPLICA_PORT", "on", "must be off or a whole number from 0 to 65535"),
    ("REPLICA_PORT", "off", ANY),
    ("REPLICA_ADDRESS", "a b", "must be a host name or an address, with a port or without"),
    ("REPLICA_ADDRESS", "10.0.0.7:4000", ANY),
    ("DRAIN_SECONDS", "soon", "must be a whole number from 0 to 3600"),
    ("MAX_CONNECTIONS", "0", "must be a whole number from 1 to 1000000"),
    ("TRUSTED_PROXIES", "11", "must be a whole number from 0 to 10"),
    ("EDGE_RATE", "0", "must be a whole number from 1 to 1000000"),
    ("EDGE_BURST", "many", "must be a whole number from 1 to 1000000"),
    ("CORS_ORIGINS", "*", ANY),
    ("SOCKETIO_ORIGINS", "*", ANY),
    ("DATABASE_URL", "mysql://db", "must be a postgresql:// or postgres:// address"),
    (
        "DATABASE_URL",
        "postgresql://a:f00d@db:port/x",
        "must be a postgresql:// or postgres:// address",
    ),
    ("DATABASE_URL", "postgresql://postgres:postgres@localhost:5432/mydb", PLACEHOLDER),
    ("DATABASE_URL", "postgresql+psycopg2://api:f00d@db/api", ANY),
    ("DATABASE_URL", "", MISSING),
    ("DATABASE_POOL_SIZE", "0", "must be a whole number from 1 to 200"),
    ("MIGRATE_ON_START", "maybe", FLAG),
    ("REDIS_URL", "http://redis", "must be a redis:// or rediss:// address"),
    ("REDIS_URL", "redis-sentinel://redis:26379/0?sentinelServiceName=main", ANY),
    ("REDIS_URL", "", MISSING),
    ("REDIS_PREFIX", "a:b", "must be 1 to 40 letters, digits, -, _ or ."),
    ("REDIS_PREFIX", "acme.eu-1_a", ANY),
    ("AUTH0_DOMAIN", "https://acme.eu.auth0.com/", ANY),
    ("AUTH0_DOMAIN", "acme eu", "must be a host name such as acme.eu.auth0.com"),
    ("AUTH0_DOMAIN", "your-tenant.auth0.com", PLACEHOLDER),
    ("AUTH0_DOMAIN", "", MISSING),
    ("AUTH0_AUDIENCE", "https://your-api-identifier", PLACEHOLDER),
    ("AUTH0_AUDIENCE", " ", MISSING),
    ("AUTH0_ISSUER_URL", "http://issuer.test", "must be an https:// address in production"),
    ("AUTH0_ISSUER_URL", "issuer.test", URL),
    ("AUTH0_REQUEST_TIMEOUT", "0", "must be a whole number from 1 to 120"),
    ("API_KEY", "your-api-key-here", PLACEHOLDER),
    ("API_KEY", "", ANY),
    ("JWT_SECRET_KEY", "Change-Me-please", PLACEHOLDER),
    ("JWT_SECRET_KEY", "", MISSING),
    ("JWT_SECRET_KEY_PREVIOUS", "anything", ANY),
    ("JWT_SECRET_KEY_PREVIOUS", "your-jwt-secret-change-in-production", PLACEHOLDER),
    ("SECRET_KEY", "secret", PLACEHOLDER),
    ("SECRET_KEY", "", MISSING),
    ("SECRET_KEY_PREVIOUS", "anything", ANY),
    ("SECRET_KEY_PREVIOUS", "dev-secret-key", PLACEHOLDER),
    ("ALLOW_INSECURE_SESSION_AUTH", "true", "must not be true in production"),
    ("ALLOW_INSECURE_SESSION_AUTH", "ja", FLAG),
    ("LIMIT_REQUESTS", "100/min", ALLOWANCE),
    ("LIMIT_REQUESTS", "100,pro=300,legacy=unlimited", ANY),
    ("LIMIT_TRANSCRIPTIONS", "10,gold=5", ALLOWANCE),
    ("LIMIT_SOCKET_OPENS", "0", ALLOWANCE),
    ("LIMIT_OPEN_SOCKETS", "0", ALLOWANCE),
    ("LIMIT_SHARE_SOCKETS", "5,pro=6", LIMIT),
    ("LIMIT_LIVE_SESSIONS", "free=1", ALLOWANCE),
    ("LIMIT_LIVE_SESSIONS_TOTAL", "none", LIMIT),
    ("LIMIT_LOGINS", "5,pro=6", LIMIT),
    ("LIMIT_REGISTRATIONS", "-1", LIMIT),
    ("LIMIT_REFRESHES", "Unlimited", ANY),
    ("LIVE_PROVIDER", "whisper", "must be one of auto, deepgram, assemblyai, local"),
    (
        "LIVE_FALLBACKS",
        "whisper",
        "must be a comma-separated list of deepgram, assemblyai and local",
    ),
    ("LIVE_MAX_SESSIONS", "many", "must be a whole number from 1 to 1000000"),
    ("DEEPGRAM_API_KEY", "your_deepgram_api_key", PLACEHOLDER),
    ("DEEPGRAM_API_KEY", "", MISSING),
    ("DEEPGRAM_BASE_URL", "wss://api.deepgram.com", URL),
    ("DEEPGRAM_MODEL", "anything", ANY),
    ("DEEPGRAM_MAX_STREAMS", "-5", "must be a whole number from 0 to 1000000"),
    ("ASR_MODEL_DIR", "anything", ANY),
    ("ASR_WORKERS", "0", "must be a whole number from 1 to 256"),
    ("ASR_MAX_STREAMS", "0", "must be a whole number from 1 to 10000"),
    ("LIVE_IDLE_SECONDS", "4", "must be a whole number from 5 to 3600"),
    ("USAGE_CHECKPOINT_SECONDS", "0.5", "must be a whole number from 1 to 300"),
    ("ROOM_HISTORY_SECONDS", "1d", "must be a whole number from 60 to 2592000"),
    ("ROOM_HISTORY_SECONDS", "60", ANY),
    ("USAGE_SCRATCH_DIR", "off", ANY),
    ("TRANSCRIPT_RETENTION_DAYS", "-1", "must be a whole number from 0 to 36500"),
    ("TRANSCRIPT_RETENTION_DAYS", "0", ANY),
    ("MAX_UPLOAD_MB", "0", "must be a whole number from 1 to 16384"),
    ("UPLOAD_SECONDS", "0", "must be a whole number from 1 to 86400"),
    ("UPLOAD_DIR", "anything", ANY),
    ("UPLOAD_SPACE_MB", "none", "must be a whole number from 1 to 16777216"),
    ("TRANSCRIPTION_SECONDS", "1h", "must be a whole number from 1 to 86400"),
    ("TRANSCRIPTION_PARALLEL", "0", "must be a whole number from 1 to 10000"),
    ("TRANSCRIPTION_ORDER", "openai", SERVERS),
    ("TRANSCRIPTION_ORDER", "local, Whisper", ANY),
    ("AUDIO_URL_PORTS", "80,http", "must be a comma-separated list of ports"),
    ("AUDIO_URL_ALLOW", "minio", "must be a comma-separated list of host:port"),
    ("AUDIO_URL_ALLOW", "minio:9000, 10.0.0.7:80", ANY),
    ("DUPLICATE_SECONDS", "a day", "must be a whole number from 0 to 2592000"),
    ("DUPLICATE_BILLED", "perhaps", "must be true or false"),
    ("OPENAI_API_KEY", "<openai key>", PLACEHOLDER),
    ("OPENAI_API_KEY", "", MISSING),
    ("OPENAI_MODEL", "anything", ANY),
    ("OPENAI_TRANSCRIPTION_MODEL", "anything", ANY),
    ("OPENAI_BASE_URL", "api.openai.com", URL),
    ("MODEL_ALIASES", "old=", "must be a comma-separated list of old=new"),
    ("MODEL_ALIASES", "old=new, older=new", ANY),
    ("MODEL_RETIREMENTS", "m=2027-02-30", "must be a comma-separated list of model=YYYY-MM-DD"),
    ("ASSEMBLYAI_API_KEY", "anything", ANY),
    ("ASSEMBLYAI_BASE_URL", "ftp://a", URL),
    ("ASSEMBLYAI_STREAMING_URL", "wss://streaming.assemblyai.com", URL),
    ("DEEPSEEK_API_KEY", "xxxxxxxx", PLACEHOLDER),
    ("DEEPSEEK_API_KEY", "", MISSING),
    ("DEEPSEEK_BASE_URL", "http://", URL),
    ("DEEPSEEK_MODEL", "anything", ANY),
    ("GOOGLE_APPLICATION_CREDENTIALS", "anything", ANY),
    ("GOOGLE_TRANSLATE_BASE_URL", "x", URL),
    ("GOOGLE_TRANSLATE_VERSION", "v1", "must be v2 or v3"),
    ("GOOGLE_SHEETS_BASE_URL", "x", URL),
    ("MAKE_WEBHOOK_URL", "x", URL),
    ("MAKE_WEBHOOK_DEV_URL", "x", URL),
    ("MAKE_WEBHOOK_SECRET", "anything", ANY),
    ("TRANSLATION_SECONDS", "0", "must be a whole number from 1 to 86400"),
    ("LOG_LEVEL", "verbose", "must be one of DEBUG, INFO, WARNING, ERROR"),
    ("LOG_LEVEL", "warning", ANY),
    ("LOG_FORMAT", "xml", "must be one of text, json"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", URL),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "x", URL),
    ("OTEL_EXPORTER_OTLP_HEADERS", "no-value", "must be name=value pairs separated by commas"),
    ("OTEL_SERVICE_NAME", "anything", ANY),
    ("OTEL_TRACES_SAMPLER_ARG", "2", "must be a number from 0 to 1"),
];

#[test]
fn every_value_of_every_variable_has_its_sentence() {
    for (name, value, sentence) in CASES {
        let expected = match *sentence {
            ANY => String::new(),
            MISSING => format!("{MISSING}{name}"),
            sentence => format!("{name} {sentence}"),
        };
        let told = fault(&production().with(name, *value));
        assert_eq!(told, expected, "{name}={value}");
    }
}

#[test]
fn every_variable_is_in_the_cases_and_may_be_empty_in_development() {
    for variable in VARIABLES {
        assert!(CASES.iter().any(|(name, ..)| *name == variable.name), "{}", variable.name);
        assert_eq!(fault(&Env::from([(variable.name, "")])), "", "{}", variable.name);
    }
}

#[test]
fn a_fault_never_quotes_a_secret() {
    for name in ["DATABASE_URL", "REDIS_URL", "MAKE_WEBHOOK_URL", "OTEL_EXPORTER_OTLP_HEADERS"] {
        let told = fault(&Env::from([(name, "canary-7319")]));
        assert!(told.starts_with(name) && !told.contains("canary"), "{told}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let mut env = production().with("ENVIRONMENT", "development");
    let secrets = [
        "DATABASE_URL",
        "REDIS_URL",
        "API_KEY",
        "JWT_SECRET_KEY",
        "JWT_SECRET_KEY_PREVIOUS",
        "SECRET_KEY",
        "SECRET_KEY_PREVIOUS",
        "DEEPGRAM_API_KEY",
        "OPENAI_API_KEY",
        "ASSEMBLYAI_API_KEY",
        "DEEPSEEK_API_KEY",
        "MAKE_WEBHOOK_URL",
        "MAKE_WEBHOOK_DEV_URL",
        "OTEL_EXPORTER_OTLP_HEADERS",
    ];
    for name in secrets {
        let value = match name {
            "DATABASE_URL" => "postgres://u:canary@h/d",
            "REDIS_URL" => "redis://:canary@h:1",
            "MAKE_WEBHOOK_URL" | "MAKE_WEBHOOK_DEV_URL" => "https://hook.test/canary",
            "OTEL_EXPORTER_OTLP_HEADERS" => "authorization=canary",
            _ => "canary",
        };
        env = env.with(name, value);
    }
    let shown = format!("{:?}", Config::load(&env).unwrap());
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("REDACTED"));
}

#[test]
fn values_are_read_as_documented() {
    let env = Env::from([
        ("AUTH0_DOMAIN", "https://Acme.eu.auth0.com/"),
        ("AUTH0_AUDIENCE", "aud"),
        ("DEEPGRAM_API_KEY", "k"),
        ("DEEPGRAM_BASE_URL", "http://127.0.0.1:9000/"),
        ("DEEPGRAM_MAX_STREAMS", "50"),
        ("LIVE_PROVIDER", "Deepgram"),
        ("LOG_LEVEL", "warning"),
        ("METRICS_PORT", "off"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/"),
    ]);
    let config = Config::load(&env).unwrap();
    let auth0 = config.auth.auth0.unwrap();
    assert_eq!(auth0.issuer, "https://acme.eu.auth0.com/");
    assert_eq!(auth0.jwks_url, "https://acme.eu.auth0.com/.well-known/jwks.json");
    assert_eq!(config.deepgram.unwrap().base_url, "http://127.0.0.1:9000");
    assert_eq!(config.deepgram_max_streams, Some(50));
    assert_eq!(config.live.provider, LiveProvider::Deepgram);
    assert_eq!(config.telemetry.log_level, LogLevel::Warning);
    assert_eq!(config.server.metrics_port, None);
    let traces = config.telemetry.otlp_endpoint.unwrap();
    assert_eq!(traces, "http://collector:4318/v1/traces");
}

#[test]
fn a_test_issuer_needs_no_domain() {
    let env = Env::from([("AUTH0_ISSUER_URL", "http://127.0.0.1:7000"), ("AUTH0_AUDIENCE", "a")]);
    let auth0 = Config::load(&env).unwrap().auth.auth0.unwrap();
    assert_eq!(
        (auth0.issuer.as_str(), auth0.domain.as_str()),
        ("http://127.0.0.1:7000/", "127.0.0.1")
    );
}

#[test]
fn a_provider_alone_needs_its_key() {
    for (name, key) in [("deepgram", "DEEPGRAM_API_KEY"), ("assemblyai", "ASSEMBLYAI_API_KEY")] {
        let told = fault(&Env::from([("LIVE_PROVIDER", name)]));
        assert_eq!(told, format!("LIVE_PROVIDER={name} needs {key}"));
        assert_eq!(fault(&Env::from([("LIVE_PROVIDER", name), (key, "k")])), "");
    }
}

#[test]
fn fallbacks_need_their_keys_and_are_nobody_twice() {
    let with = |first: &'static str, others: &'static str| {
        Env::from([("LIVE_PROVIDER", first), ("LIVE_FALLBACKS", others), ("DEEPGRAM_API_KEY", "k")])
    };
    let twice = |name: &str| format!("LIVE_FALLBACKS names {name}, which is in line already");
    assert_eq!(
        fault(&with("deepgram", "assemblyai")),
        "LIVE_FALLBACKS=assemblyai needs ASSEMBLYAI_API_KEY"
    );
    assert_eq!(fault(&with("auto", "deepgram")), twice("deepgram"));
    assert_eq!(fault(&with("deepgram", "local, local")), twice("local"));
    assert_eq!(fault(&with("local", "Deepgram, local")), twice("local"));
    let env = Env::from([
        ("LIVE_FALLBACKS", " assemblyai,Local ,"),
        ("DEEPGRAM_API_KEY", "k"),
        ("ASSEMBLYAI_API_KEY", "k"),
    ]);
    let fallbacks = Config::load(&env).unwrap().live.fallbacks;
    assert_eq!(fallbacks, [LiveProvider::AssemblyAi, LiveProvider::Local]);
}

#[test]
fn the_documents_are_those_of_the_table() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap_or_default();
    let hint = "run: audio-transcription-api config --markdown > docs/CONFIGURATION.md";
    assert_eq!(read("docs/CONFIGURATION.md"), markdown(), "{hint}");
    let hint = "run: audio-transcription-api config --env-example > .env.example";
    assert_eq!(read(".env.example"), env_example(), "{hint}");
}
