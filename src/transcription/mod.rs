//! Recorded audio over REST.
