//! Audio formats and supervised decoders.

pub mod wav;
