//! Any form of a recording that ffmpeg reads is taken, by its content.

use std::process::Command;

use testkit::speech;

use super::{CLIP, file, form, post, said, start};

/// The clip in another form.
fn converted(ending: &str, options: &[&str]) -> Vec<u8> {
    let out = std::env::temp_dir().join(format!("form-{}.{ending}", uuid::Uuid::new_v4()));
    let made = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-y", "-i"])
        .arg(speech::fixture_path(CLIP))
        .args(options)
        .arg(&out)
        .status();
    assert!(made.expect("ffmpeg runs").success());
    let bytes = std::fs::read(&out).expect("it made a file");
    std::fs::remove_file(out).expect("it is removed");
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reaches_each_provider_as_it_can_be_read_there() {
    let (app, recorders) = start().await;
    let forms: [(&str, &[&str], &str); 8] = [
        ("wav", &[], "audio.wav"),
        ("mp3", &[], "audio.mp3"),
        ("m4a", &[], "audio.m4a"),
        ("mp4", &["-f", "mp4"], "audio.m4a"),
        ("ogg", &["-c:a", "libopus"], "audio.ogg"),
        ("webm", &["-c:a", "libopus"], "audio.webm"),
        ("flac", &[], "audio.flac"),
        // What OpenAI does not read is sent as WAV.
        ("aiff", &["-ar", "16000"], "audio.wav"),
    ];
    for (ending, options, sent_as) in forms {
        let bytes = converted(ending, options);
        for route in ["deepgram", "whisper"] {
            let upload = form(&[]).part("audio", file(bytes.clone(), "no-name-at-all"));
            let answer = post(&app, route, upload).await;
            assert_eq!(answer.status, 200, "{ending} to {route}: {}", answer.text);
            assert_eq!(answer.json()["transcript"], said(), "{ending} to {route}");
        }
        let requests = recorders.requests();
        let openai = requests.last().expect("a request");
        assert_eq!(openai.file_name.as_deref(), Some(sent_as), "{ending}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_sound_is_refused_before_anybody_is_asked() {
    let (app, recorders) = start().await;
    let traps: [(&str, &[u8]); 7] = [
        ("playlist", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"),
        ("concat", b"ffconcat version 1.0\nfile '/etc/passwd'\n"),
        (
            "sdp",
            b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=audio 9 RTP/AVP 0\r\n",
        ),
        ("archive", b"PK\x03\x04\x14\0\0\0"),
        ("gzip", b"\x1F\x8B\x08\0\0\0\0\0"),
        ("text", b"this is no audio"),
        ("empty", b""),
    ];
    for (name, bytes) in traps {
        let upload = form(&[]).part("audio", file(bytes.to_vec(), "speech.wav"));
        let (status, code, text) = post(&app, "deepgram", upload).await.failure();
        assert_eq!((status, code.as_str()), (400, "invalid_request"), "{name}");
        assert_eq!(text, "Deepgram transcription failed: the file is no audio that can be decoded");
    }
    // What only looks like it is refused by ffmpeg, where it is needed.
    let lie = [b"FORM\0\0\0\0AIFF".to_vec(), vec![7; 4_000]].concat();
    let upload = form(&[]).part("audio", file(lie, "speech.aiff"));
    let (status, _, text) = post(&app, "whisper", upload).await.failure();
    assert_eq!(status, 400, "{text}");
    assert!(text.starts_with("Whisper transcription failed: the audio is not decodable"), "{text}");
    assert!(recorders.requests().is_empty());
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM usage_logs").await, 0);
}
