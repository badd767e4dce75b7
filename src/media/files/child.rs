//! One ffmpeg child that turns a file into samples, within bounds of time and memory.

use std::{io::ErrorKind, path::Path, process::Stdio, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::AsyncReadExt,
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use super::{FileError, Kind};

/// Bytes read at once: two seconds of samples.
const READ_BYTES: usize = 64 * 1024;
/// How long the child may give nothing.
const STILL: Duration = Duration::from_secs(30);
/// How long it may take to exit once its output has ended.
const EXIT: Duration = Duration::from_secs(5);
/// Seconds of a core for one file: ten hours of MP3 take a third of it.
const CPU_SECONDS: &str = "120";
/// Bytes that it may have mapped.
const MEMORY_BYTES: &str = "1073741824";

/// A file while it is decoded; dropping it kills the child.
pub(super) struct Decoding {
    child: Child,
    stdout: ChildStdout,
    buffer: BytesMut,
    heard: bool,
}

impl Decoding {
    pub(super) fn start(program: &Path, path: &Path, kind: Kind) -> Result<Self, FileError> {
        let mut child = command(program, path, kind).spawn().map_err(|error| {
            let missing = error.kind() == ErrorKind::NotFound;
            FileError::Unusable(if missing {
                "prlimit is not installed".into()
            } else {
                error.to_string()
            })
        })?;
        let missing = || FileError::Unusable("its pipe is missing".to_owned());
        let stdout = child.stdout.take().ok_or_else(missing)?;
        Ok(Self { child, stdout, buffer: BytesMut::with_capacity(READ_BYTES), heard: false })
    }

    /// The next samples; nothing at the end of a file that was decoded well.
    pub(super) async fn samples(&mut self) -> Result<Option<Vec<i16>>, FileError> {
        loop {
            self.buffer.reserve(READ_BYTES);
            let read = timeout(STILL, self.stdout.read_buf(&mut self.buffer)).await;
            match read.map_err(|_| FileError::Late)? {
                Ok(0) => return self.end().await.map(|()| None),
                Ok(_) if self.buffer.len() < 2 => {}
                Ok(_) => return Ok(Some(self.take())),
                Err(error) => return Err(FileError::Unusable(error.to_string())),
            }
        }
    }

    fn take(&mut self) -> Vec<i16> {
        self.heard = true;
        let whole = self.buffer.len() / 2 * 2;
        let bytes = self.buffer.split_to(whole);
        bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }

    /// A file that breaks off has sound all the same; one without any is none.
    async fn end(&mut self) -> Result<(), FileError> {
        let status = timeout(EXIT, self.child.wait()).await.map_err(|_| FileError::Late)?;
        let status = status.map_err(|error| FileError::Unusable(error.to_string()))?;
        match (status.success(), status.code(), self.heard) {
            // Killed by a bound: what came is not all.
            (_, None, _) => Err(FileError::Undecodable("it takes too much to decode".to_owned())),
            (_, _, true) => Ok(()),
            (true, _, false) => Err(FileError::Undecodable("there is no sound in it".to_owned())),
            (false, ..) => {
                Err(FileError::Undecodable("it is damaged, or something else".to_owned()))
            }
        }
    }
}

/// Nothing but the file is read, as what its first bytes say, whatever it names.
fn command(program: &Path, path: &Path, kind: Kind) -> Command {
    let mut input = std::ffi::OsString::from("file:");
    input.push(path);
    let mut command = Command::new("prlimit");
    command
        .args([format!("--cpu={CPU_SECONDS}"), format!("--as={MEMORY_BYTES}"), "--core=0".into()])
        .arg("--")
        .arg(program)
        .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
        .args(["-protocol_whitelist", "file", "-threads", "1"])
        .args(["-f", kind.demuxer(), "-i"])
        .arg(input)
        .args(["-map", "0:a:0", "-vn", "-sn", "-dn"])
        .args(["-f", "s16le", "-ac", "1", "-ar", "16000", "pipe:1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // A damaged file makes it complain without end.
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}
