//! What operators see: metrics, logs and traces.

pub mod log_patterns;
pub mod metrics;

pub use metrics::Metrics;
