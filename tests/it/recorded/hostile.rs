//! Files that are scripts in disguise, and files that are larger than they look.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use testkit::recorded::Recorders;
use tokio::net::TcpListener;

use super::{CLIP, clip, file, form, post, said, send, setup};
use crate::harness::TestApp;

/// Whoever is decoded with this model is decoded by ffmpeg.
pub(super) const DECODED: (&str, &str) = ("model", "gpt-transcribe");

async fn start() -> (TestApp, Recorders) {
    let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
    let app = setup(&recorders).start().await;
    (app, recorders)
}

/// A box of MP4 with what is in it.
fn boxed(name: [u8; 4], inside: &[&[u8]]) -> Vec<u8> {
    let inside = inside.concat();
    let size = u32::try_from(inside.len() + 8).expect("a small box").to_be_bytes();
    [&size[..], &name, &inside].concat()
}

/// A film whose sound is in another file.
fn outside(url: &str) -> Vec<u8> {
    let url = boxed(*b"url ", &[&[0; 4], url.as_bytes(), &[0]]);
    let dref = boxed(*b"dref", &[&[0, 0, 0, 0, 0, 0, 0, 1], &url]);
    let minf = boxed(*b"minf", &[&boxed(*b"dinf", &[&dref])]);
    let trak = boxed(*b"trak", &[&boxed(*b"mdia", &[&minf])]);
    [boxed(*b"ftyp", &[b"isom\0\0\x02\0isom"]), boxed(*b"moov", &[&trak])].concat()
}

/// A film that only says where the film is.
fn reference(url: &str) -> Vec<u8> {
    let length = u32::try_from(url.len() + 1).expect("a short address").to_be_bytes();
    let rdrf = boxed(*b"rdrf", &[&[0; 4], b"url ", &length, url.as_bytes(), &[0]]);
    let rmra = boxed(*b"rmra", &[&boxed(*b"rmda", &[&rdrf])]);
    [boxed(*b"ftyp", &[b"qt  \0\0\x02\0qt  "]), boxed(*b"moov", &[&rmra])].concat()
}

/// Files that make a careless decoder read this machine's files, or call somebody.
fn polyglots(url: &str, secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let list = format!("#EXTM3U\n#EXTINF:1,\n{url}\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n");
    let master = format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}\n");
    let key =
        format!("#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"{url}\"\n#EXTINF:1,\nfile://{secret}\n");
    let concat = format!("ffconcat version 1.0\nfile '{url}'\nfile '{secret}'\n");
    let with = |head: &[u8], text: &str| [head, text.as_bytes()].concat();
    let wav = b"RIFF\xFF\xFF\xFF\xFFWAVEfmt \x10\0\0\0\x55\0\x01\0\x80\x3E\0\0\0\x7D\0\0\x02\0\x10\0data\xFF\xFF\xFF\xFF";
    vec![
        ("playlist", list.clone().into_bytes()),
        ("master playlist", master.into_bytes()),
        ("playlist with a key", key.into_bytes()),
        ("concat script", concat.clone().into_bytes()),
        (
            "sdp",
            format!("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio {url} RTP/AVP 0\r\n").into_bytes(),
        ),
        (
            "subtitles",
            format!("[Script Info]\nScriptType: v4.00+\n[Fonts]\nfontname: {secret}\n")
                .into_bytes(),
        ),
        ("pls", format!("[playlist]\nFile1={url}\n").into_bytes()),
        ("asx", format!("<asx><entry><ref href=\"{url}\"/></entry></asx>").into_bytes()),
        (
            "dash",
            format!("<?xml version=\"1.0\"?><MPD><BaseURL>{url}</BaseURL></MPD>").into_bytes(),
        ),
        ("image with a script", with(b"GIF89a", &concat)),
        ("wav with a playlist", with(wav, &list)),
        ("tag before a playlist", with(b"ID3\x04\0\0\0\0\0\0", &list)),
        ("tag before a concat script", with(b"ID3\x04\0\0\0\0\0\0", &concat)),
        ("ogg with a playlist", with(b"OggS\0\x02\0\0\0\0\0\0\0\0", &list)),
        (
            "matroska with a playlist",
            with(b"\x1A\x45\xDF\xA3\x01\0\0\0\0\0\0\x1F\x42\x82\x84webm", &list),
        ),
        ("flac with a playlist", with(b"fLaC\x80\0\0\x22", &list)),
        ("film with outside sound", outside(url)),
        ("film with outside sound on disk", outside(&format!("file://{secret}"))),
        ("film that is a reference", reference(url)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_makes_the_decoder_open_another_or_call_anybody() {
    let (app, recorders) = start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/a.ts", listener.local_addr().expect("an address"));
    let called = Arc::new(AtomicUsize::new(0));
    let counted = called.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let secret = std::env::temp_dir().join(format!("secret-{}", uuid::Uuid::new_v4().simple()));
    std::fs::write(&secret, "the secret of this machine").expect("written");
    let traps = polyglots(&url, secret.to_str().expect("a path"));
    assert!(traps.len() >= 15);
    for (name, bytes) in traps {
        let upload = form(&[DECODED]).part("audio", file(bytes, "speech.wav"));
        let answer = post(&app, "whisper", upload).await;
        assert!(!answer.text.contains("the secret"), "{name}: {}", answer.text);
        assert_eq!(answer.failure().0, 400, "{name}: {}", answer.text);
    }
    std::fs::remove_file(&secret).expect("removed");
    assert_eq!((called.load(Ordering::SeqCst), recorders.requests().len()), (0, 0));
}

/// A header of WAV that declares all that a header can.
fn wav_of(channels: u16, rate: u32, declared: u32, data: &[u8]) -> Vec<u8> {
    let block = channels * 2;
    let head = [
        &b"RIFF\xFF\xFF\xFF\xFFWAVEfmt \x10\0\0\0\x01\0"[..],
        &channels.to_le_bytes(),
        &rate.to_le_bytes(),
        &(rate * u32::from(block)).to_le_bytes(),
        &block.to_le_bytes(),
        b"\x10\0data",
        &declared.to_le_bytes(),
    ];
    [head.concat().as_slice(), data].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_more_than_it_looks_is_an_answer_and_no_more() {
    let (app, _recorders) = start().await;
    let second = vec![0; 32_000];
    // An empty frame of AAC, a million times.
    let frames = [0xFF, 0xF1, 0x50, 0x80, 0x00, 0xFF, 0xFC].repeat(1_000_000);
    let bombs = [
        ("four gigabytes declared", wav_of(1, 16_000, u32::MAX, &second)),
        ("64 channels at 384 kHz", wav_of(64, 384_000, u32::MAX, &vec![0; 5_000_000])),
        ("no channels", wav_of(0, 16_000, u32::MAX, &second)),
        ("a rate of nothing", wav_of(1, 0, u32::MAX, &second)),
        ("a million frames", frames),
        ("gzip in gzip", [&b"\x1F\x8B\x08\0\0\0\0\0"[..], &[0; 1_000]].concat()),
    ];
    for (name, bytes) in bombs {
        let upload = form(&[DECODED]).part("audio", file(bytes, "speech.wav"));
        let answer = post(&app, "whisper", upload).await;
        assert!([200, 400].contains(&answer.status), "{name}: {}", answer.text);
        // Its neighbours are served as ever.
        let answer = send(&app, "deepgram", &[]).await;
        assert_eq!(
            (answer.status, answer.json()["transcript"].clone()),
            (200, said().into()),
            "{name}"
        );
    }
}
