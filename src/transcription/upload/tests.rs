//! Forms good and bad, in pieces of every size.

use axum::body::{Body, Bytes};
use proptest::prelude::*;

use super::*;
use crate::{config::Config, transcription::scratch::Scratch};

const BOUNDARY: &str = "a-boundary";

fn scratch() -> (Scratch, std::path::PathBuf) {
    let folder = std::env::temp_dir().join(format!("uploads-{}", uuid::Uuid::new_v4()));
    let mut config = Config::load(&crate::config::Env::default()).unwrap().recorded;
    config.folder = folder.clone();
    (Scratch::new(&config), folder)
}

fn form(parts: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file_name, bytes) in parts {
        let file = file_name.map_or_else(String::new, |name| format!("; filename=\"{name}\""));
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

fn request(body: Vec<u8>, piece: usize) -> Request {
    let pieces: Vec<Result<Bytes, std::io::Error>> =
        body.chunks(piece.max(1)).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    Request::builder().header(header::CONTENT_TYPE, kind).body(body).unwrap()
}

/// The form, and what is on disk of its file.
async fn read_all(body: Vec<u8>, piece: usize, most: u64) -> Result<(Form, Vec<u8>), Error> {
    let (scratch, root) = scratch();
    let mut folder = scratch.folder().await.unwrap();
    let bounds = Bounds { file_bytes: most, total: Duration::from_secs(60), digest: true };
    let form = receive(request(body, piece), "audio", bounds, &mut folder).await;
    let mut kept = Vec::new();
    if let Ok(Form { file: Some(saved), .. }) = &form {
        kept = std::fs::read(&saved.path).unwrap();
        assert_eq!((kept.len() as u64, &kept[..saved.head.len()]), (saved.bytes, &saved.head[..]));
    }
    drop(folder);
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0, "nothing stays");
    std::fs::remove_dir_all(root).unwrap();
    form.map(|form| (form, kept))
}

async fn read(body: Vec<u8>, piece: usize, most: u64) -> Result<Form, Error> {
    read_all(body, piece, most).await.map(|(form, _)| form)
}

#[tokio::test]
async fn a_file_may_be_as_large_as_the_bound_and_no_larger() {
    for (bytes, fits) in [(9_999, true), (10_000, true), (10_001, false)] {
        let body = form(&[("language", None, b"en"), ("audio", Some("a.wav"), &vec![7; bytes])]);
        let read = read(body, 1_000, 10_000).await;
        assert_eq!(
            read.as_ref().map_err(|error| error.kind).err(),
            (!fits).then_some(ErrorKind::PayloadTooLarge)
        );
        if let Ok(form) = read {
            assert_eq!(form.file.as_ref().map(|saved| saved.bytes), Some(bytes as u64));
            assert_eq!((form.text("language"), form.text("model")), (Some("en"), None));
        }
    }
}

#[tokio::test]
async fn text_and_parts_have_bounds() {
    for (bytes, fits) in [(MOST_TEXT_BYTES, true), (MOST_TEXT_BYTES + 1, false)] {
        let body = form(&[("prompt", None, &vec![b'a'; bytes])]);
        assert_eq!(read(body, 4_096, 10).await.is_ok(), fits);
    }
    for (count, fits) in [(MOST_PARTS, true), (MOST_PARTS + 1, false)] {
        let body = form(&vec![("tag", None, &b"x"[..]); count]);
        assert_eq!(read(body, 4_096, 10).await.is_ok(), fits);
    }
}

#[tokio::test]
async fn a_file_without_a_name_was_not_chosen() {
    let form = read(form(&[("audio", Some(""), b"")]), 64, 10).await.unwrap();
    assert!(form.file.is_none() && form.unnamed);
    let other = read(self::form(&[("music", Some("a.wav"), b"abc")]), 64, 10).await.unwrap();
    assert!(other.file.is_none() && !other.unnamed && other.fields.is_empty());
}

#[tokio::test]
async fn what_is_cut_off_or_endless_is_refused() {
    let whole = form(&[("audio", Some("a.wav"), b"abcdefgh")]);
    for end in [10, 60, whole.len() - 20, whole.len() - 10] {
        let error = read(whole[..end].to_vec(), 7, 100).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{end}");
    }
    let mut endless = format!("--{BOUNDARY}\r\nX: ").into_bytes();
    endless.extend(std::iter::repeat_n(b'a', 4 * 1024 * 1024));
    let error = read(endless, 16_384, 100).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidRequest);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn files_arrive_as_they_were_sent(
        bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), any::<u8>()], 0..5_000),
        piece in 1_usize..600,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let body = form(&[("audio", Some("a.wav"), &bytes), ("language", None, b"de")]);
        let (form, kept) = runtime.block_on(read_all(body, piece, 1 << 20)).unwrap();
        prop_assert!(kept == bytes, "what is kept is not what was sent");
        prop_assert_eq!(form.text("language"), Some("de"));
    }
}
