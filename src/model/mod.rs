//! The words of the domain, without input or output.

pub mod audio;
pub mod clock;
pub mod error;
pub mod ids;
pub mod language;
mod language_name;
pub mod money;
pub mod mpeg;
pub mod plan;
pub mod transcript;

pub use audio::{AudioChunk, AudioFormat, Container, Encoding, RawFormat};
pub use clock::Clock;
pub use error::{Error, ErrorKind};
pub use ids::SessionId;
pub use language::Language;
pub use language_name::{language_code, language_name};
pub use money::Micros;
pub use plan::Plan;
pub use transcript::{Segment, Timing, Word};
