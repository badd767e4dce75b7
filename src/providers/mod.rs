//! Speech providers behind one seam: a [`LiveStream`] is a pair of channels, not a trait.

pub mod assemblyai;
pub mod chat;
pub mod deepgram;
pub mod failure;
pub mod google;
pub mod lineup;
pub mod live;
#[cfg(feature = "local-speech")]
pub mod local;
pub mod make;
pub mod openai;
mod prompt;
pub mod recorded;
mod socket;
pub mod stream;
pub mod transcriber;
pub mod translator;

pub use crate::outbound::{ErrorClass, ProviderError};
pub use lineup::Lineup;
pub use live::Live;
pub use stream::{
    CloseReason, Closed, Endpointing, LiveStream, StreamCommand, StreamEvent, StreamOptions,
};
