//! The integration tests: the real service on real sockets, the outside world by wire only.
#![expect(clippy::expect_used, reason = "a test that cannot go on fails with the sentence")]

mod auth_doors;
mod browser;
mod crash;
mod harness;
mod live_doors;
#[cfg(feature = "local-speech")]
mod local_engine;
mod metrics;
mod official_clients;
mod outages;
mod pages;
mod real_speech;
mod startup;
mod traces;
