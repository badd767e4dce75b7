//! What operators see: metrics, logs and traces.

pub mod export;
pub mod log_patterns;
pub mod logs;
pub mod metrics;
pub mod spans;

pub use metrics::Metrics;
pub use spans::Tracer;
