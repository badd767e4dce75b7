//! Files for usage that neither Postgres nor Redis takes: each process has one, and adopts those
//! of processes that died.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A disk that takes longer counts as one that does not work.
const DEADLINE: Duration = Duration::from_secs(2);
/// A record's head: its length (4 bytes, little-endian), and how its SHA-256 begins.
const HEAD: usize = 12;

/// The files of one process; cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::usage) struct Scratch {
    files: Option<Arc<Mutex<Files>>>,
    full: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Files {
    folder: PathBuf,
    /// How the names of our files begin.
    stem: String,
    bound: u64,
    /// Where this process writes, with how long it is.
    own: Option<(Locked, u64)>,
    /// What is in here besides, until all of it is in Postgres or Redis.
    adopted: Vec<Locked>,
}

/// A file that no other process adopts while this one lives.
#[derive(Debug)]
struct Locked {
    file: File,
    path: PathBuf,
}

impl Scratch {
    /// Files in that folder, of so many bytes at most; none without a folder.
    pub(super) fn new(folder: Option<PathBuf>, prefix: &str, bound: u64) -> Self {
        let files = folder.map(|folder| {
            let stem = format!("usage-{prefix}-");
            let files = Files { folder, stem, bound, own: None, adopted: Vec::new() };
            Arc::new(Mutex::new(files))
        });
        Self { files, full: Arc::default() }
    }

    /// Whether there is a folder.
    pub(in crate::usage) const fn is_on(&self) -> bool {
        self.files.is_some()
    }

    /// Whether no more has room.
    pub(in crate::usage) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// What processes left that died; their files stay until [`Self::clear`].
    pub(in crate::usage) async fn restore(&self) -> io::Result<Vec<String>> {
        self.run(Files::restore).await
    }

    /// Adds records. They are on the disk when this returns; fails if there is no room.
    pub(in crate::usage) async fn append(&self, records: Vec<String>) -> io::Result<()> {
        self.run(move |files| files.append(&records)).await
    }

    /// Puts records in the place of all others.
    pub(in crate::usage) async fn replace(&self, records: Vec<String>) -> io::Result<()> {
        let replaced = self.run(move |files| files.replace(&records)).await;
        let is_full = |error: &io::Error| error.kind() == io::ErrorKind::StorageFull;
        self.full.store(replaced.as_ref().is_err_and(is_full), Ordering::Relaxed);
        replaced
    }

    /// Removes every file, since all is elsewhere.
    pub(in crate::usage) async fn clear(&self) -> io::Result<()> {
        self.full.store(false, Ordering::Relaxed);
        self.run(Files::clear).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Files) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let Some(files) = self.files.clone() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let work = tokio::task::spawn_blocking(move || match files.try_lock() {
            Ok(mut files) => work(&mut files),
            // A former write still hangs.
            Err(_) => Err(io::ErrorKind::ResourceBusy.into()),
        });
        tokio::time::timeout(DEADLINE, work).await?.map_err(io::Error::other)?
    }
}

impl Files {
    fn restore(&mut self) -> io::Result<Vec<String>> {
        let mut records = Vec::new();
        let mut room = self.bound;
        let Ok(folder) = std::fs::read_dir(&self.folder) else { return Ok(records) };
        for path in folder.filter_map(|found| Some(found.ok()?.path())) {
            if room == 0 || !self.is_ours(&path) {
                continue;
            }
            let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
            // Where another process holds it, it is in good hands.
            if file.try_lock().is_err() {
                continue;
            }
            let mut bytes = Vec::new();
            Read::by_ref(&mut file).take(self.bound).read_to_end(&mut bytes)?;
            room = room.saturating_sub(bytes.len() as u64);
            records.extend(parse(&bytes));
            self.adopted.push(Locked { file, path });
        }
        Ok(records)
    }

    fn is_ours(&self, path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let id = name.strip_prefix(&self.stem).and_then(|rest| rest.strip_suffix(".scratch"));
        id.is_some_and(|id| Uuid::parse_str(id).is_ok())
    }

    fn append(&mut self, records: &[String]) -> io::Result<()> {
        let bytes = framed(records);
        let (mut own, length) = match self.own.take() {
            Some(own) => own,
            None => (self.create()?, 0),
        };
        if length + bytes.len() as u64 > self.bound {
            self.own = Some((own, length));
            return Err(io::ErrorKind::StorageFull.into());
        }
        match own.file.write_all(&bytes).and_then(|()| own.file.sync_data()) {
            Ok(()) => {
                self.own = Some((own, length + bytes.len() as u64));
                Ok(())
            }
            Err(error) => {
                // What follows a torn record would not be read: the next goes into another file.
                self.adopted.push(own);
                Err(error)
            }
        }
    }

    fn replace(&mut self, records: &[String]) -> io::Result<()> {
        let former = self.own.take();
        let replaced = self.append(records);
        if replaced.is_ok() {
            remove(self.adopted.drain(..).chain(former.map(|former| former.0)))
        } else {
            self.adopted.extend(self.own.take().map(|own| own.0));
            self.own = former;
            replaced
        }
    }

    fn clear(&mut self) -> io::Result<()> {
        let own = self.own.take().map(|own| own.0);
        remove(self.adopted.drain(..).chain(own))
    }

    fn create(&self) -> io::Result<Locked> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let path = self.folder.join(format!("{}{}.scratch", self.stem, Uuid::new_v4()));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).read(true).create_new(true).mode(0o600).open(&path)?;
        file.try_lock()?;
        // The name has to last as well as the content.
        File::open(&self.folder)?.sync_all()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Locked { file, path })
    }
}

fn remove(files: impl Iterator<Item = Locked>) -> io::Result<()> {
    let mut removed = Ok(());
    for locked in files {
        let one = std::fs::remove_file(&locked.path);
        removed = removed.and(one);
        drop(locked.file);
    }
    removed
}

fn framed(records: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&Sha256::digest(record)[..8]);
        bytes.extend_from_slice(record.as_bytes());
    }
    bytes
}

/// The records up to the first that is torn or damaged.
fn parse(mut bytes: &[u8]) -> Vec<String> {
    let mut records = Vec::new();
    while let Some((record, rest)) = next(bytes) {
        records.push(record);
        bytes = rest;
    }
    records
}

fn next(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let length = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    let (record, rest) = rest.split_at_checked(length)?;
    let whole = Sha256::digest(record)[..8] == head[4..];
    Some((String::from_utf8(record.to_vec()).ok().filter(|_| whole)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        std::env::temp_dir().join(format!("scratch-test-{}", Uuid::new_v4()))
    }

    fn records(from: usize, until: usize) -> Vec<String> {
        (from..until).map(|number| format!("record {number}")).collect()
    }

    #[test]
    fn a_torn_tail_costs_one_record() {
        let whole = framed(&records(0, 3));
        for cut in 0..whole.len() {
            let read = parse(&whole[..cut]);
            assert_eq!(read, records(0, cut / (whole.len() / 3)), "{cut}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            assert_eq!(parse(&damaged), records(0, at / (whole.len() / 3)), "{at}");
        }
    }

    #[tokio::test]
    async fn a_living_process_keeps_its_file_and_a_dead_one_leaves_it() {
        let folder = folder();
        let make = |prefix| Scratch::new(Some(folder.clone()), prefix, 1 << 20);
        let (one, other) = (make("a"), make("a"));
        one.append(records(0, 2)).await.unwrap();
        one.append(records(2, 3)).await.unwrap();
        assert_eq!(other.restore().await.unwrap(), Vec::<String>::new());
        drop(one);
        assert_eq!(make("b").restore().await.unwrap(), Vec::<String>::new());
        assert_eq!(other.restore().await.unwrap(), records(0, 3));
        // Killed before all was elsewhere, it leaves it to the next.
        drop(other);
        let next = make("a");
        assert_eq!(next.restore().await.unwrap(), records(0, 3));
        next.append(records(3, 4)).await.unwrap();
        next.clear().await.unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        std::fs::remove_dir(&folder).unwrap();
    }

    #[tokio::test]
    async fn a_full_file_is_said_to_be_full_until_there_is_room() {
        let folder = folder();
        let scratch = Scratch::new(Some(folder.clone()), "a", 200);
        scratch.append(records(0, 8)).await.unwrap();
        assert!(scratch.append(records(8, 11)).await.is_err() && !scratch.is_full());
        scratch.replace(records(0, 20)).await.unwrap_err();
        assert!(scratch.is_full());
        scratch.replace(records(5, 9)).await.unwrap();
        assert!(!scratch.is_full());
        drop(scratch);
        let next = Scratch::new(Some(folder.clone()), "a", 200);
        assert_eq!(next.restore().await.unwrap(), records(5, 9));
        next.clear().await.unwrap();
        std::fs::remove_dir(&folder).unwrap();
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_is_an_error_and_no_more() {
        let scratch = Scratch::new(Some("/proc/none".into()), "a", 200);
        assert_eq!(scratch.restore().await.unwrap(), Vec::<String>::new());
        scratch.append(records(0, 1)).await.unwrap_err();
    }
}
