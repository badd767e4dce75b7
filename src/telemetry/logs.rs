//! Logs for people and for machines.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::config::{LogFormat, TelemetryConfig};

/// Installs the process's subscriber; a second call, as in tests, changes nothing.
pub fn start(config: &TelemetryConfig) {
    let filter = EnvFilter::new(format!(
        "{level},hyper=warn,h2=warn,rustls=warn,sqlx=warn,fred=warn,opentelemetry=warn,ort=warn",
        level = config.log_level.as_filter()
    ));
    let registry = tracing_subscriber::registry().with(filter);
    let installed = match config.log_format {
        LogFormat::Json => registry.with(fmt::layer().json().flatten_event(true)).try_init(),
        LogFormat::Text => registry
            .with(fmt::layer().with_target(false).with_ansi(std::io::stdout().is_terminal()))
            .try_init(),
    };
    if installed.is_err() {
        tracing::debug!("a log subscriber is installed already");
    }
}
