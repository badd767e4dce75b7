//! The disk that recordings take while they are worked on: a folder for each request, within a bound.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::{
    config::RecordedConfig,
    model::{Error, ErrorKind},
};

/// What room is counted in.
const MIB: u64 = 1024 * 1024;
/// What a process that was killed left is removed after this time: nothing is worked on for longer.
const ABANDONED: Duration = Duration::from_secs(36 * 3600);

/// The folder of all of them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Scratch {
    root: Arc<Path>,
    room: Arc<Semaphore>,
}

/// The folder of one request, which is removed with this value.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    room: Arc<Semaphore>,
    taken: Vec<OwnedSemaphorePermit>,
    taken_mib: u64,
    bytes: u64,
}

impl Scratch {
    /// The folder that the configuration names; what was abandoned there is removed.
    pub fn new(config: &RecordedConfig) -> Self {
        let most_mib = usize::try_from(config.space_bytes / MIB).unwrap_or(usize::MAX);
        let room = Arc::new(Semaphore::new(most_mib.min(Semaphore::MAX_PERMITS)));
        sweep(&config.folder, SystemTime::now());
        Self { root: config.folder.clone().into(), room }
    }

    /// A new folder, which nobody but this account may read.
    pub async fn folder(&self) -> Result<Folder, Error> {
        let path = self.root.join(Uuid::new_v4().simple().to_string());
        let mut builder = tokio::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&path).await.map_err(|error| full(&error))?;
        Ok(Folder { path, room: self.room.clone(), taken: Vec::new(), taken_mib: 0, bytes: 0 })
    }
}

impl Folder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes room for so many bytes more, or says that there is none.
    pub fn grow(&mut self, bytes: u64) -> Result<(), Error> {
        self.bytes += bytes;
        let missing = self.bytes.div_ceil(MIB).saturating_sub(self.taken_mib);
        if missing == 0 {
            return Ok(());
        }
        let permits = u32::try_from(missing).map_err(|_| no_room())?;
        let taken = self.room.clone().try_acquire_many_owned(permits).map_err(|_| no_room())?;
        self.taken.push(taken);
        self.taken_mib += missing;
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A few files: quicker than handing it to another thread.
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!("the folder of an upload cannot be removed: {error}");
        }
    }
}

/// Room that the disk does not have.
pub fn full(error: &std::io::Error) -> Error {
    tracing::error!("uploads cannot be kept: {error}");
    no_room().because(error.to_string())
}

fn no_room() -> Error {
    Error::new(ErrorKind::Overloaded, "no room for uploads now")
}

fn sweep(root: &Path, now: SystemTime) {
    // No folder yet is nothing to sweep.
    let Ok(entries) = std::fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        let changed = entry.metadata().and_then(|about| about.modified());
        let age = changed.ok().and_then(|changed| now.duration_since(changed).ok());
        if age.is_some_and(|age| age > ABANDONED)
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::warn!("an abandoned upload cannot be removed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(space_mib: u64) -> (Scratch, PathBuf) {
        let root = std::env::temp_dir().join(format!("scratch-{}", Uuid::new_v4()));
        let room = Arc::new(Semaphore::new(space_mib as usize));
        (Scratch { root: root.clone().into(), room }, root)
    }

    #[tokio::test]
    async fn room_is_bounded_and_given_back() {
        let (scratch, root) = scratch(3);
        let mut one = scratch.folder().await.unwrap();
        one.grow(MIB + 1).unwrap();
        one.grow(MIB - 1).unwrap();
        let mut other = scratch.folder().await.unwrap();
        other.grow(MIB).unwrap();
        assert_eq!(other.grow(1).unwrap_err().kind, ErrorKind::Overloaded);
        let path = one.path().to_owned();
        assert!(path.is_dir());
        drop(one);
        assert!(!path.exists());
        other.grow(MIB).unwrap();
        drop(other);
        std::fs::remove_dir_all(root).unwrap();
    }

    #[tokio::test]
    async fn what_a_killed_process_left_is_removed_later() {
        let (scratch, root) = scratch(1);
        let folder = scratch.folder().await.unwrap();
        let now = SystemTime::now();
        sweep(&root, now);
        assert!(folder.path().exists());
        sweep(&root, now + ABANDONED + Duration::from_secs(60));
        assert!(!folder.path().exists());
        std::fs::create_dir_all(folder.path()).unwrap();
        drop(folder);
        std::fs::remove_dir_all(root).unwrap();
    }
}
