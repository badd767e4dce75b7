//! A folder that is removed with its owner, even when the owner is killed.

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::Context;
use uuid::Uuid;

/// Removes the folder once our end of the pipe closes; a dying server may still be writing to it.
const SWEEPER: &str = r#"
cat >/dev/null
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf "$1" 2>/dev/null && exit 0
  sleep 0.2
done
"#;

/// A new folder under the system's temporary one.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    sweeper: Child,
    lifeline: Option<ChildStdin>,
}

impl Folder {
    pub(crate) fn create(purpose: &str) -> anyhow::Result<Self> {
        let name = format!("testkit-{purpose}-{}", Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
        let mut sweeper = Command::new("sh");
        sweeper.args(["-c", SWEEPER, "sweeper"]).arg(&path);
        let silent = sweeper.stdout(Stdio::null()).stderr(Stdio::null());
        let mut sweeper = silent.stdin(Stdio::piped()).spawn()?;
        let lifeline = sweeper.stdin.take();
        Ok(Self { path, sweeper, lifeline })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // A folder that stays behind harms nobody.
        drop(self.sweeper.wait());
    }
}
