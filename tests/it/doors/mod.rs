//! Doors for clients of other services.

mod deepgram;
mod openai;
mod sdks;
