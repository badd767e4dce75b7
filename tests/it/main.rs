//! The one integration-test binary: a list of modules.

#[cfg(feature = "local-speech")]
mod local_engine;
