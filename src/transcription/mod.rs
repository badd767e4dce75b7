//! Recorded audio over REST.

mod scratch;
mod upload;
