//! Starts the real service with everything around it, and takes it down again.

mod app;
pub mod binary;
mod cluster;
pub mod doors;
mod ledger;
mod numbers;
mod output;
mod process;
mod services;
#[cfg(feature = "local-speech")]
mod speech;
mod terminal;

pub use app::{Setup, TestApp};
pub use cluster::{Cluster, Shape};
pub use ledger::{Ledger, billed_once};
pub use numbers::Speaker;
pub use process::ServiceProcess;
pub use services::{postgres, redis, redis_url};
#[cfg(feature = "local-speech")]
pub use speech::Speech;
pub use terminal::Terminal;

use std::time::Duration;

/// The key of the simulated AssemblyAI.
pub const ASSEMBLYAI_KEY: &str = "test-assemblyai-key";
/// How long anything may take that should happen at once.
pub const SOON: Duration = Duration::from_secs(10);
/// How long a stream of recorded speech may take.
pub const LONG: Duration = Duration::from_secs(60);
