//! OTLP export of spans over HTTP, and its flush at the end.

use std::{collections::HashMap, time::Duration};

use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider},
};

use secrecy::ExposeSecret;

use crate::config::TelemetryConfig;

/// Spans that may wait for the collector: four seconds of 4 000 sampled chunks a second.
const QUEUE: usize = 16_384;
const TIMEOUT: Duration = Duration::from_secs(3);

/// Starts the exporter, where an endpoint is configured.
pub fn start(config: &TelemetryConfig) -> anyhow::Result<Option<SdkTracerProvider>> {
    let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
    let headers: HashMap<String, String> = config
        .otlp_headers
        .iter()
        .map(|(name, value)| (name.clone(), value.expose_secret().to_owned()))
        .collect();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_headers(headers)
        .with_timeout(TIMEOUT)
        .build()?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_scheduled_delay(Duration::from_secs(1))
        .build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    let resource = Resource::builder().with_service_name(config.service_name.clone()).build();
    let provider =
        SdkTracerProvider::builder().with_span_processor(processor).with_resource(resource);
    Ok(Some(provider.build()))
}

/// Flushes what waits, for at most `limit`. The exporter's own threads block, so this does too, on
/// a thread of its own, which a collector that hangs may hold for a while longer.
pub async fn stop(provider: SdkTracerProvider, limit: Duration) {
    let stopping = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(limit));
    match tokio::time::timeout(limit, stopping).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!("spans could not be flushed: {error}"),
        Ok(Err(error)) => tracing::warn!("flushing spans failed: {error}"),
        Err(_) => tracing::warn!("spans could not be flushed in time"),
    }
}
