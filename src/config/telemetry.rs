//! Logs and traces.

use secrecy::SecretString;

use super::{
    reader::Reader,
    variables::{
        LOG_FORMAT, LOG_LEVEL, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS,
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER_ARG,
    },
};

/// Least severe line that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What happens.
    Info,
    /// What should not happen.
    Warning,
    /// What failed.
    Error,
}

impl LogLevel {
    /// The level as a `tracing` filter.
    pub const fn as_filter(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warn",
            Self::Error => "error",
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `time | LEVEL | logger | message`.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where logs and traces go.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// Least severe line that is logged.
    pub log_level: LogLevel,
    /// How lines are written.
    pub log_format: LogFormat,
    /// Full address that receives traces; none are made where unset.
    pub otlp_endpoint: Option<String>,
    /// Headers for that address, which may carry a key.
    pub otlp_headers: Vec<(String, SecretString)>,
    /// Name of this service in traces.
    pub service_name: String,
    /// Share of live sessions that are traced, 0 to 1.
    pub sample_ratio: f64,
}

impl TelemetryConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            log_level: log_level(reader),
            log_format: reader
                .choice(&LOG_FORMAT, &[("text", LogFormat::Text), ("json", LogFormat::Json)]),
            otlp_endpoint: endpoint(reader),
            otlp_headers: headers(reader),
            service_name: reader.text(&OTEL_SERVICE_NAME).to_owned(),
            sample_ratio: reader.number(&OTEL_TRACES_SAMPLER_ARG, 0.0..=1.0),
        }
    }
}

fn log_level(reader: &mut Reader<'_>) -> LogLevel {
    let levels = [
        ("DEBUG", LogLevel::Debug),
        ("INFO", LogLevel::Info),
        ("WARNING", LogLevel::Warning),
        ("ERROR", LogLevel::Error),
    ];
    reader.choice(&LOG_LEVEL, &levels)
}

/// The address of traces, taken as it is, or the collector's with `/v1/traces` after it.
fn endpoint(reader: &mut Reader<'_>) -> Option<String> {
    let base = reader.optional_url(&OTEL_EXPORTER_OTLP_ENDPOINT);
    let traces = reader.optional_url(&OTEL_EXPORTER_OTLP_TRACES_ENDPOINT);
    traces.or_else(|| base.map(|base| format!("{base}/v1/traces")))
}

fn headers(reader: &mut Reader<'_>) -> Vec<(String, SecretString)> {
    let Some(text) = reader.set(&OTEL_EXPORTER_OTLP_HEADERS) else { return Vec::new() };
    let headers: Option<Vec<_>> = text
        .split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let name = name.trim().to_ascii_lowercase();
            (!name.is_empty()).then(|| (name, SecretString::from(value.trim())))
        })
        .collect();
    headers.unwrap_or_else(|| {
        reader.wrong(&OTEL_EXPORTER_OTLP_HEADERS, "name=value pairs separated by commas");
        Vec::new()
    })
}
