//! Doors for clients of other services.

mod deepgram;
mod live;
mod openai;
mod sdks;
