//! What production demands, what it refuses, and what is said aloud at boot.

use super::{
    Config,
    reader::Reader,
    variables::{
        API_KEY, AUTH0_AUDIENCE, AUTH0_DOMAIN, DATABASE_URL, DEEPGRAM_API_KEY, DEEPSEEK_API_KEY,
        JWT_SECRET_KEY, JWT_SECRET_KEY_PREVIOUS, OPENAI_API_KEY, REDIS_URL, SECRET_KEY,
        SECRET_KEY_PREVIOUS, Variable,
    },
};

/// What production cannot start without, in the order in which it is told.
const REQUIRED: [Variable; 9] = [
    DATABASE_URL,
    REDIS_URL,
    AUTH0_DOMAIN,
    AUTH0_AUDIENCE,
    DEEPGRAM_API_KEY,
    OPENAI_API_KEY,
    DEEPSEEK_API_KEY,
    JWT_SECRET_KEY,
    SECRET_KEY,
];

/// Pieces of values that were never meant to be used, lower case.
const PLACEHOLDERS: [&str; 16] = [
    "your-",
    "your_",
    "yourdomain",
    "changeme",
    "change-me",
    "change_me",
    "change-this",
    "change-in-production",
    "placeholder",
    "insecure",
    "example.com",
    "example.auth0",
    "postgres:postgres@",
    "user:password@",
    "username:password@",
    "xxxx",
];

/// Whole values that are as good as none, lower case.
const WEAK: [&str; 10] = [
    "secret",
    "secret-key",
    "secret_key",
    "dev",
    "dev-secret-key",
    "jwt-secret-key",
    "jwt-secret-string",
    "super-secret",
    "password",
    "test",
];

pub(super) fn demand(reader: &mut Reader<'_>) {
    for variable in &REQUIRED {
        if reader.set(variable).is_none() {
            reader.faults.missing.push(variable.name);
        }
    }
    // A former secret still verifies: one that everybody knows would let everybody in.
    let former = [&API_KEY, &JWT_SECRET_KEY_PREVIOUS, &SECRET_KEY_PREVIOUS];
    for variable in REQUIRED.iter().chain(former) {
        if reader.set(variable).is_some_and(is_placeholder) {
            reader.faults.wrong.push(format!("{} is still a placeholder", variable.name));
        }
    }
}

fn is_placeholder(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    WEAK.contains(&value.as_str())
        || PLACEHOLDERS.iter().any(|piece| value.contains(piece))
        || (value.starts_with('<') && value.ends_with('>'))
}

/// Refuses what is insecure in production, and says aloud what is allowed but risky.
pub(super) fn inspect(config: &Config, reader: &mut Reader<'_>) {
    if config.auth.allow_insecure_session_auth {
        if config.is_production() {
            let fault = "ALLOW_INSECURE_SESSION_AUTH must not be true in production";
            reader.faults.wrong.push(fault.to_owned());
        }
        reader.warnings.push(
            "⚠️  SECURITY WARNING: ALLOW_INSECURE_SESSION_AUTH is enabled! \
             /mobile-auth hands out sessions without a password"
                .to_owned(),
        );
    }
    if let Some(path) = &config.providers.google_credentials
        && let Err(error) = std::fs::File::open(path)
    {
        let warning = format!("GOOGLE_APPLICATION_CREDENTIALS cannot be read: {error}");
        reader.warnings.push(warning);
    }
    if config.server.max_connections < config.live.max_sessions {
        let warning = "MAX_CONNECTIONS is below LIVE_MAX_SESSIONS, which is then never reached";
        reader.warnings.push(warning.to_owned());
    }
    if config.is_production() {
        warn_of_exposure(config, reader);
    }
}

fn warn_of_exposure(config: &Config, reader: &mut Reader<'_>) {
    let origins = [
        ("CORS_ORIGINS", &config.server.cors_origins),
        ("SOCKETIO_ORIGINS", &config.server.socketio_origins),
    ];
    for (name, origins) in origins {
        if let Some(risk) = origins.risk() {
            reader.warnings.push(format!("{name} {risk} in production"));
        }
    }
    for variable in
        [JWT_SECRET_KEY, SECRET_KEY, API_KEY, JWT_SECRET_KEY_PREVIOUS, SECRET_KEY_PREVIOUS]
    {
        if reader.set(&variable).is_some_and(|value| value.len() < 32) {
            reader.warnings.push(format!("{} is shorter than 32 characters", variable.name));
        }
    }
    for (name, address) in [
        ("DEEPGRAM_BASE_URL", config.deepgram.as_ref().map(|it| &it.base_url)),
        ("ASSEMBLYAI_STREAMING_URL", config.assemblyai.as_ref().map(|it| &it.streaming_url)),
    ] {
        if address.is_some_and(|address| address.starts_with("http://")) {
            let warning = format!("{name} is plain http: key and audio travel readable");
            reader.warnings.push(warning);
        }
    }
}
