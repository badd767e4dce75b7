//! Real-time and recorded speech to text, on any number of replicas.
//!
//! Slices stand on floors: a file imports only from lower floors or from its own slice.
//!
//! ```text
//! main ► cli · server · app · live accounts transcription · translation rooms · idempotency usage
//!      · limits · transcripts · providers · media relay · auth · web outbound · fleet
//!      · postgres redis · telemetry · probe backoff · lifecycle config · model
//! ```
//!
//! The life of an audio chunk: a doorway in [`live`] takes it from the socket and pushes it, in
//! arrival order, into the session's inbox; the session sends it to a provider; the provider's
//! transcript comes back on the timeline of the audio, goes to the client, and moves the cursor
//! under which [`usage`] bills.

mod accounts;
mod app;
mod auth;
mod backoff;
pub mod cli;
pub mod config;
mod fleet;
mod idempotency;
pub mod lifecycle;
pub mod limits;
pub mod live;
pub mod media;
pub mod model;
mod outbound;
mod postgres;
mod probe;
pub mod providers;
mod redis;
mod relay;
pub mod rooms;
pub mod server;
pub mod telemetry;
mod transcription;
mod transcripts;
mod translation;
pub mod usage;
mod web;
