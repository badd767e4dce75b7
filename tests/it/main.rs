//! The integration tests: the real service on real sockets, the outside world by wire only.
#![expect(clippy::expect_used, reason = "a test that cannot go on fails with the sentence")]

mod container_reconnect;
mod crash;
mod harness;
mod live_doors;
#[cfg(feature = "local-speech")]
mod local_engine;
mod official_clients;
mod oracle;
mod outages;
mod startup;
mod tidy;
mod upstream_faults;
mod upstream_idle;
mod upstream_oddities;
mod upstream_refusals;
