//! The embedded engine with its real model: what it hears, refuses and survives.
//!
//! Needs the model directory (`scripts/speech-model`) and ffmpeg.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "what tests call is a test too")]

mod audio;
mod containers;
mod live;
mod recordings;
mod session;
