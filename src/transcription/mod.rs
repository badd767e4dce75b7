//! Recorded audio over REST.

mod answer;
mod join;
mod scratch;
mod upload;
