//! Uploads within bounds of bytes, time and room; what a refusal leaves on disk.

use std::{convert::Infallible, path::PathBuf, time::Duration};

use reqwest::{Client, multipart::Part};
use testkit::{recorded::Recorders, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Answer, CLIP, clip, file, form, post, setup};
use crate::harness::{SOON, ServiceProcess, TestApp};

const MIB: usize = 1024 * 1024;
static SILENCE: [u8; MIB] = [0; MIB];
/// Just less than 2 000 000 000 bytes, the most that Deepgram takes.
const TWO_GIGABYTES: usize = 1907 * MIB;
const TOO_LARGE: &str =
    "File too large. Note: Whisper endpoint automatically handles large files with chunking.";

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("uploads-{}", uuid::Uuid::new_v4())))
    }

    fn entries(&self) -> usize {
        std::fs::read_dir(&self.0).map_or(0, Iterator::count)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is there only if an upload came.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

async fn start(variables: &[(&str, &str)]) -> (TestApp, Recorders, Folder) {
    let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
    let folder = Folder::new();
    let setup = setup(&recorders).with("UPLOAD_DIR", folder.0.to_str().expect("a path"));
    let setup = variables.iter().fold(setup, |setup, (name, value)| setup.with(name, *value));
    (setup.start().await, recorders, folder)
}

fn wav(bytes: usize) -> Vec<u8> {
    let mut wav = clip(CLIP).wav();
    wav.resize(bytes, 0);
    wav
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_upload_passes_and_one_byte_more_does_not() {
    let (app, recorders, folder) = start(&[("MAX_UPLOAD_MB", "2")]).await;
    for (bytes, status) in [(2 * MIB - 1, 200), (2 * MIB, 200), (2 * MIB + 1, 413), (40 * MIB, 413)]
    {
        let answer =
            post(&app, "deepgram", form(&[]).part("audio", file(wav(bytes), "a.wav"))).await;
        assert_eq!(answer.status, status, "{bytes}: {}", answer.text);
        if status == 413 {
            assert_eq!(answer.failure(), (413, "payload_too_large".into(), TOO_LARGE.into()));
        }
    }
    let sizes: Vec<_> = recorders.requests().iter().map(|request| request.audio_bytes).collect();
    assert_eq!(sizes, [2 * MIB - 1, 2 * MIB]);
    assert_eq!(folder.entries(), 0, "nothing stays on disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_has_the_contracts_bound() {
    let (app, _recorders, _folder) = start(&[]).await;
    for (bytes, status) in [(500_000, 400), (500_001, 413)] {
        let form = form(&[]).part("prompt", Part::text("a".repeat(bytes)));
        assert_eq!(post(&app, "deepgram", form).await.status, status, "{bytes}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_too_slowly_is_told() {
    let (app, recorders, folder) = start(&[("UPLOAD_SECONDS", "1")]).await;
    let address = app.running.address.port();
    let mut socket =
        tokio::net::TcpStream::connect(("127.0.0.1", address)).await.expect("a socket");
    let head = format!(
        "POST /transcriptions/deepgram HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: 1000000\r\n\r\n\
         --b\r\ncontent-disposition: form-data; name=\"audio\"; filename=\"a.wav\"\r\n\r\nRIFF",
        app.token()
    );
    socket.write_all(head.as_bytes()).await.expect("the head is taken");
    let mut answer = Vec::new();
    tokio::time::timeout(SOON, socket.read_to_end(&mut answer)).await.expect("in time").ok();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("request_timeout"), "{answer}");
    assert!(recorders.requests().is_empty());
    assert_eq!(folder.entries(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_leaves_nothing() {
    let (app, _recorders, folder) = start(&[]).await;
    let (pieces, body) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(1);
    let head = b"--b\r\ncontent-disposition: form-data; name=\"audio\"; filename=\"a.wav\"\r\n\r\n";
    let stream = futures_util::stream::unfold(body, |mut body| async move {
        body.recv().await.map(|piece| (piece, body))
    });
    let request = Client::new()
        .post(format!("{}/transcriptions/deepgram", app.url()))
        .bearer_auth(app.token())
        .header("content-type", "multipart/form-data; boundary=b")
        .body(reqwest::Body::wrap_stream(stream));
    let sending = tokio::spawn(request.send());
    pieces.send(Ok([&head[..], &vec![7; 100_000]].concat())).await.expect("taken");
    wait_until("it is kept", SOON, async || folder.entries() == 1).await.expect("kept");
    sending.abort();
    drop(pieces);
    wait_until("it is gone", SOON, async || folder.entries() == 0).await.expect("gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_finds_no_room_is_refused() {
    let (app, _recorders, folder) = start(&[("UPLOAD_SPACE_MB", "2")]).await;
    let send =
        |bytes: usize| post(&app, "deepgram", form(&[]).part("audio", file(wav(bytes), "a.wav")));
    let (status, code, text) = send(3 * MIB).await.failure();
    assert_eq!(
        (status, code.as_str(), text.as_str()),
        (503, "overloaded", "no room for uploads now")
    );
    assert_eq!(send(MIB).await.status, 200, "room is given back");
    assert_eq!(folder.entries(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transcriptions_of_a_user_are_counted() {
    let (app, recorders, _folder) = start(&[("LIMIT_TRANSCRIPTIONS", "2")]).await;
    let send = || post(&app, "deepgram", form(&[]).part("audio", file(wav(MIB), "a.wav")));
    let first = send().await;
    assert_eq!(
        (first.status, &first.headers["x-ratelimit-limit"]),
        (200, &"2".parse().expect("a header"))
    );
    assert_eq!(send().await.status, 200);
    let refused: Answer = send().await;
    assert_eq!((refused.status, refused.failure().1.as_str()), (429, "rate_limited"));
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(recorders.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_tell_its_length_is_refused_when_it_is_too_large() {
    let (app, _recorders, _folder) = start(&[("MAX_UPLOAD_MB", "1")]).await;
    // Refused as soon as it is too large, though its sender goes on for a while.
    let piece = vec![0_u8; MIB];
    let stream =
        futures_util::stream::iter((0..32).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    let part = Part::stream(reqwest::Body::wrap_stream(stream)).file_name("a.wav");
    let answer = tokio::time::timeout(
        Duration::from_secs(30),
        post(&app, "deepgram", form(&[]).part("audio", part)),
    );
    assert_eq!(answer.await.expect("in time").status, 413);
}

/// Kilobytes of a process that are in memory, or were at most.
fn memory(service: &ServiceProcess, name: &str) -> u64 {
    let path = format!("/proc/{}/status", service.guard.pid());
    let status = std::fs::read_to_string(path).expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().expect("kilobytes")
}

/// A service of its own, its uploads in that folder, which has transcribed something before: what
/// that took is not what an upload takes.
async fn warm(folder: &Folder) -> (Sender, Recorders) {
    let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
    let setup = setup(&recorders).with("UPLOAD_DIR", folder.0.to_str().expect("a path"));
    let (variables, _) = setup.variables().await;
    let service = ServiceProcess::start(&variables).await;
    let mut head = clip(CLIP).wav();
    head.resize(MIB, 0);
    let (token, client) = (service.token(), Client::new());
    let sender = Sender { token, client, service, head: head.into() };
    sender.send(MIB).await;
    (sender, recorders)
}

/// Who sends recordings, with all that it takes at hand: who connects, and then works for seconds
/// before a head is sent, is cut off.
struct Sender {
    service: ServiceProcess,
    client: Client,
    token: String,
    head: bytes::Bytes,
}

impl Sender {
    /// Sends a recording of that size, made as it goes.
    async fn send(&self, bytes: usize) {
        let silence = bytes::Bytes::from_static(&SILENCE);
        let pieces = std::iter::once(self.head.clone());
        let pieces = pieces.chain(std::iter::repeat_n(silence, bytes / MIB - 1));
        let pieces = futures_util::stream::iter(pieces.map(Ok::<_, Infallible>));
        let body = reqwest::Body::wrap_stream(pieces);
        let part = Part::stream_with_length(body, bytes as u64).file_name("a.wav");
        let request = self.client.post(format!("{}/transcriptions/deepgram", self.service.url()));
        let request = request.bearer_auth(&self.token).multipart(form(&[]).part("audio", part));
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gigabytes_move_through_without_staying_in_memory() {
    let folder = Folder::new();
    let (sender, recorders) = warm(&folder).await;
    let before = memory(&sender.service, "VmRSS");
    sender.send(TWO_GIGABYTES).await;
    let grown = memory(&sender.service, "VmHWM").saturating_sub(before);
    println!("2 GB: grew by {grown} kB from {before} kB");
    assert!(grown < 32 * 1024, "grew by {grown} kB");
    assert_eq!(recorders.requests()[1].audio_bytes, TWO_GIGABYTES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_at_once_take_little_memory() {
    let folder = Folder::new();
    let (sender, recorders) = warm(&folder).await;
    let sent = (0..200).map(|_| sender.send(10 * MIB));
    futures_util::future::join_all(sent).await;
    let most = memory(&sender.service, "VmHWM");
    println!("200 at once: {most} kB");
    assert!(most < 256 * 1024, "{most} kB");
    let sizes: Vec<_> = recorders.requests().iter().map(|request| request.audio_bytes).collect();
    assert_eq!((sizes.len(), sizes.iter().sum()), (201, 2001 * MIB));
}
