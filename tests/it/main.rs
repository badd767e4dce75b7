//! The integration tests: the real service on real sockets, the outside world by wire only.
#![expect(clippy::expect_used, reason = "a test that cannot go on fails with the sentence")]
#![expect(clippy::disallowed_methods, reason = "tests spawn clients, which no shutdown waits for")]

mod abandoned;
mod access_events;
mod access_matrix;
mod accounts;
mod assemblyai;
mod auth_doors;
#[cfg(feature = "local-speech")]
mod browser;
mod canary;
mod chaos;
mod container_reconnect;
mod crash;
mod described;
mod doors;
mod failover;
mod harness;
mod idempotency;
mod init_db;
mod limits_edge;
mod limits_leases;
mod limits_requests;
mod listener;
mod live_admission;
mod live_bounds;
mod live_containers;
mod live_doors;
mod live_drain;
mod live_frames;
mod live_memory;
mod live_misuse;
mod live_options;
mod live_panic;
mod live_session;
mod live_slow;
#[cfg(feature = "local-speech")]
mod local_engine;
mod metrics;
mod official_clients;
mod openapi;
mod operator_commands;
mod oracle;
mod outages;
mod pages;
mod polling;
#[cfg(feature = "local-speech")]
mod real_seams;
#[cfg(feature = "local-speech")]
mod real_speech;
mod recorded;
mod redis_rights;
mod resume;
mod resume_bounds;
mod resume_parked;
mod resume_stopped;
mod rooms;
mod secret_rotation;
mod sockets;
mod specs;
mod startup;
mod stored_after_death;
mod tenant_accounts;
mod tenant_keys;
mod tenant_routes;
mod tenant_userinfo;
mod tidy;
mod traces;
mod transcripts;
mod translated;
mod upstream_faults;
mod upstream_idle;
mod upstream_oddities;
mod upstream_recovery;
mod upstream_refusals;
mod upstream_slots;
mod upstream_speakers;
mod usage_fallback;
