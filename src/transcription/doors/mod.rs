//! Doors for clients of other services: they are asked, and answer, as those do.

mod deepgram;
mod openai;

pub use deepgram::listen;
pub use openai::transcriptions;
