//! Text over REST.
