//! Containers to speech samples through a supervised ffmpeg child, while they still stream.

use std::{
    io::ErrorKind,
    path::PathBuf,
    process::Stdio,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};

use crate::{lifecycle::Shutdown, model::Container};

/// Bytes read from the child at once: a quarter of a second of samples.
const READ_BYTES: usize = 8 * 1024;
/// What is kept of the child's complaints.
const STDERR_TAIL_BYTES: usize = 1024;
/// How long the child may be silent after it was given plenty, or after its input ended.
const STALL: Duration = Duration::from_secs(5);
/// How long bytes may still come after the child has ended well.
const LEFTOVER: Duration = Duration::from_secs(2);
/// How long the child may take to exit once its output has ended.
const EXIT: Duration = Duration::from_secs(5);

/// Why a container could not be turned into samples.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MediaError {
    /// There is no such program.
    #[error("{container} audio needs ffmpeg, which is not installed", container = .0.as_str())]
    NotInstalled(Container),
    /// The child could not be started or waited for.
    #[error("ffmpeg cannot be run: {0}")]
    Unusable(String),
    /// The bytes are not what they claim to be.
    #[error("the audio is not decodable as {container}: {detail}", container = .container.as_str())]
    Undecodable {
        /// What it claimed to be.
        container: Container,
        /// What ffmpeg said.
        detail: String,
    },
}

/// Where ffmpeg is.
#[derive(Clone, Debug)]
pub struct Ffmpeg {
    program: PathBuf,
}

impl Default for Ffmpeg {
    fn default() -> Self {
        Self::at("ffmpeg")
    }
}

/// One container on its way to 16 kHz mono linear16.
#[derive(Debug)]
pub struct Transcode {
    /// The container's bytes, in order; dropping it ends the input.
    pub input: mpsc::Sender<Bytes>,
    /// Samples as they come; ends after the first error or the last sample.
    pub output: mpsc::Receiver<Result<Bytes, MediaError>>,
}

impl Ffmpeg {
    /// The program of that path, or of that name on the `PATH`.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Starts a child for one stream; it is killed when either end is dropped.
    pub fn transcode(
        &self,
        container: Container,
        shutdown: &Shutdown,
    ) -> Result<Transcode, MediaError> {
        let child = self.command(container).spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => MediaError::NotInstalled(container),
            _ => MediaError::Unusable(error.to_string()),
        })?;
        let (input, fed) = mpsc::channel(4);
        let (made, output) = mpsc::channel(4);
        let run = Run::new(container);
        let hard = shutdown.hard().clone();
        shutdown.spawn(async move {
            // Leaving the select drops the child, and that kills it.
            tokio::select! {
                () = hard.cancelled() => {}
                () = made.closed() => {}
                result = run.supervise(child, fed, &made) => if let Err(error) = result {
                    // The reader may have gone in the meantime: nobody is left to tell.
                    made.send(Err(error)).await.ok();
                }
            }
        });
        Ok(Transcode { input, output })
    }

    fn command(&self, container: Container) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
            .args(["-protocol_whitelist", "pipe"])
            // Words must come while the container still streams: no look-ahead. Not nobuffer,
            // which throws the first packets away.
            .args(["-probesize", "32", "-analyzeduration", "0"])
            .args(["-threads", "1", "-f", demuxer(container), "-i", "pipe:0"])
            .args(["-vn", "-sn", "-dn", "-f", "s16le", "-ac", "1", "-ar", "16000"])
            .args(["-flush_packets", "1", "pipe:1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// ffmpeg's name of the format.
const fn demuxer(container: Container) -> &'static str {
    match container {
        Container::WebM => "matroska",
        Container::Ogg => "ogg",
        Container::Wav => "wav",
        Container::Mp3 => "mp3",
        Container::Flac => "flac",
        Container::Mp4 => "mp4",
    }
}

/// Bytes after which a sound stream must have given some samples. MP3 and FLAC may open with
/// cover art, MP4 with a long index.
const fn plenty_bytes(container: Container) -> u64 {
    match container {
        Container::WebM | Container::Ogg => 16 * 1024,
        Container::Wav => 64 * 1024,
        Container::Mp3 | Container::Flac | Container::Mp4 => 4 * 1024 * 1024,
    }
}

/// What the parts of one supervision know of each other.
struct Run {
    container: Container,
    fed_bytes: AtomicU64,
    made_bytes: AtomicU64,
    input_ended: AtomicBool,
    plenty: Notify,
    ended: Notify,
}

impl Run {
    fn new(container: Container) -> Self {
        Self {
            container,
            fed_bytes: AtomicU64::new(0),
            made_bytes: AtomicU64::new(0),
            input_ended: AtomicBool::new(false),
            plenty: Notify::new(),
            ended: Notify::new(),
        }
    }

    async fn supervise(
        &self,
        mut child: Child,
        fed: mpsc::Receiver<Bytes>,
        made: &mpsc::Sender<Result<Bytes, MediaError>>,
    ) -> Result<(), MediaError> {
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(MediaError::Unusable("its pipes are missing".to_owned()));
        };
        let watch = async {
            let ((), tail) = tokio::join!(self.read(stdout, made), tail_of(stderr));
            match timeout(EXIT, child.wait()).await {
                Ok(Ok(status)) => self.judge(status.success(), &tail).await,
                Ok(Err(error)) => Err(MediaError::Unusable(error.to_string())),
                Err(_) => Err(self.undecodable("ffmpeg did not end")),
            }
        };
        tokio::select! {
            verdict = watch => verdict,
            error = self.feed(stdin, fed) => Err(error),
            error = self.stalled() => Err(error),
        }
    }

    /// Never returns unless the bytes are refused: the child's output decides when all is over.
    async fn feed(&self, mut stdin: ChildStdin, mut fed: mpsc::Receiver<Bytes>) -> MediaError {
        let plenty = plenty_bytes(self.container);
        let mut open = true;
        while let Some(bytes) = fed.recv().await {
            let before = self.fed_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            if before == 0 && self.is_something_else(&bytes) {
                return self.undecodable("the first bytes are of another format");
            }
            if before + bytes.len() as u64 >= plenty {
                self.plenty.notify_one();
            }
            // Once the child is gone its exit tells why; what still comes is let go.
            if open && stdin.write_all(&bytes).await.is_err() {
                open = false;
            }
        }
        self.input_ended.store(true, Ordering::Relaxed);
        self.ended.notify_one();
        drop(stdin);
        std::future::pending().await
    }

    fn is_something_else(&self, first: &[u8]) -> bool {
        // An MP3 stream may open in mid-frame; the others have magic numbers.
        first.len() >= 12
            && self.container != Container::Mp3
            && Container::sniff(first) != Some(self.container)
    }

    async fn read(&self, mut stdout: ChildStdout, made: &mpsc::Sender<Result<Bytes, MediaError>>) {
        loop {
            let mut bytes = BytesMut::with_capacity(READ_BYTES);
            let count = match timeout(STALL, stdout.read_buf(&mut bytes)).await {
                Ok(Ok(count)) => count,
                Ok(Err(_)) => 0,
                Err(_) if self.input_ended.load(Ordering::Relaxed) => 0,
                Err(_) => continue,
            };
            self.made_bytes.fetch_add(count as u64, Ordering::Relaxed);
            if count == 0 || made.send(Ok(bytes.freeze())).await.is_err() {
                return;
            }
        }
    }

    /// Returns when the child was given plenty and still made nothing of it.
    async fn stalled(&self) -> MediaError {
        self.plenty.notified().await;
        sleep(STALL).await;
        if self.made_bytes.load(Ordering::Relaxed) > 0 {
            return std::future::pending().await;
        }
        self.undecodable("no sound came of it")
    }

    async fn judge(&self, success: bool, tail: &str) -> Result<(), MediaError> {
        let sound = self.made_bytes.load(Ordering::Relaxed) > 0;
        if success && sound {
            // Tags may follow the sound of a recording, but not much for long.
            let ended = self.input_ended.load(Ordering::Relaxed)
                || timeout(LEFTOVER, self.ended.notified()).await.is_ok();
            let error = || self.undecodable("it ended while bytes still came");
            return ended.then_some(()).ok_or_else(error);
        }
        match (self.input_ended.load(Ordering::Relaxed), sound) {
            // A recording that was cut off in mid-packet is a recording all the same.
            (true, true) => Ok(()),
            (true, false) if self.fed_bytes.load(Ordering::Relaxed) == 0 => Ok(()),
            _ => Err(self.undecodable(tail)),
        }
    }

    fn undecodable(&self, detail: &str) -> MediaError {
        let hint = match self.container {
            Container::Mp4 => "; mp4 can be streamed only when it is fragmented",
            _ => "",
        };
        MediaError::Undecodable { container: self.container, detail: format!("{detail}{hint}") }
    }
}

/// The end of what the child complains of, on one line.
async fn tail_of(mut stderr: ChildStderr) -> String {
    let mut tail = BytesMut::with_capacity(2 * STDERR_TAIL_BYTES);
    while matches!(stderr.read_buf(&mut tail).await, Ok(count) if count > 0) {
        if tail.len() > STDERR_TAIL_BYTES {
            let surplus = tail.len() - STDERR_TAIL_BYTES;
            tail = tail.split_off(surplus);
        }
        tail.reserve(STDERR_TAIL_BYTES);
    }
    let text = String::from_utf8_lossy(&tail);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
