//! Where usage goes while Postgres is away: to Redis, and to the disk while Redis is away too.

mod drain;
#[cfg(test)]
mod owners;
mod range;
mod scratch;
#[cfg(test)]
mod tests;
mod waiting;

use std::{path::PathBuf, sync::Arc};

pub(super) use drain::Drain;
pub(super) use range::Sealed;
pub(super) use scratch::Scratch;
pub(super) use waiting::Waiting;

use crate::{auth::Secrets, redis::Redis};

/// Bytes that the scratch file may have.
const SCRATCH_BYTES: u64 = 64 << 20;

/// What usage needs to survive its replica; cheap to clone.
#[derive(Clone, Debug)]
pub struct Fallback {
    pub(super) waiting: Waiting,
    pub(super) scratch: Scratch,
    pub(super) scratch_of_acts: Scratch,
    pub(super) sealed: Sealed,
}

impl Fallback {
    /// Keeps usage in Redis, and in files of a folder, if any, where Redis is away too. All of it
    /// is sealed, so that nobody without the secrets can have somebody billed.
    pub fn new(redis: Redis, secrets: Secrets, prefix: &str, folder: Option<PathBuf>) -> Self {
        let sealed = Sealed { secrets, name: Arc::from(format!("usage:{prefix}")) };
        let scratch = Scratch::new(folder.clone(), prefix, SCRATCH_BYTES);
        // No prefix has that sign, so these files are nobody else's.
        let scratch_of_acts = Scratch::new(folder, &format!("{prefix}~acts"), SCRATCH_BYTES);
        Self { waiting: Waiting::new(redis), scratch, scratch_of_acts, sealed }
    }
}
