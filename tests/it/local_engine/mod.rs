//! The embedded engine with its real model: what it hears, refuses and survives.
//!
//! Needs the model directory (`scripts/speech-model`) and ffmpeg.

mod audio;
mod containers;
mod figures;
mod live;
mod recordings;
mod session;
