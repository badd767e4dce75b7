//! The words of the domain, without input or output.

pub mod audio;
pub mod clock;
pub mod error;
pub mod ids;
pub mod language;
pub mod money;
pub mod mpeg;
pub mod plan;
pub mod transcript;

pub use audio::{AudioChunk, AudioFormat, Container, Encoding, RawFormat};
pub use clock::Clock;
pub use error::{Error, ErrorKind};
pub use ids::SessionId;
pub use language::Language;
pub use money::Micros;
pub use plan::Plan;
pub use transcript::{Segment, Timing, Word};
