//! ONNX Runtime, loaded from a shared library when the engine is first used.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use ort::{environment::Environment, session::Session};

/// The runtime allows one environment in the life of a process, so that engines share it.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Loads `library`, unless a runtime is loaded already.
pub(super) fn environment(library: &Path) -> Result<Environment, String> {
    let mut shared = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*shared {
        return Ok(environment.clone());
    }
    let builder = ort::init_from(library).map_err(|error| error.to_string())?;
    let environment = builder.with_telemetry(false).build().map_err(|error| error.to_string())?;
    *shared = Some(environment.clone());
    Ok(environment)
}

/// A session of the model in `bytes` that computes on the calling thread alone.
pub(super) fn session(environment: &Environment, bytes: &[u8]) -> Result<Session, String> {
    Session::builder(environment)
        .map_err(|error| error.to_string())?
        .with_intra_threads(1)
        .map_err(|error| error.to_string())?
        .with_inter_threads(1)
        .map_err(|error| error.to_string())?
        .commit_from_memory(bytes)
        .map_err(|error| error.to_string())
}
