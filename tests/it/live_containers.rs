//! Audio that says itself what it is: WAV becomes raw, everything else goes as it came.

use serde_json::json;
use testkit::{
    deepgram::{Config, Query, Record, Script},
    speech::{Wav, ffmpeg, fixture_path},
};

use crate::{
    harness::{Setup, TestApp},
    oracle::{self, SOON},
};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixture_path(name)).expect("the fixture")
}

/// Sends audio in pieces through Socket.IO and stops; what the provider heard, and the finals.
async fn stream(app: &TestApp, pieces: impl Iterator<Item = &[u8]>) -> (Record, Vec<String>) {
    let index = app.deepgram().streams().len();
    let mut client = app.socketio().await;
    for piece in pieces {
        client.emit_binary("audio_chunk", &[piece]).await.expect("sent");
    }
    oracle::stop(&mut client).await;
    let heard = oracle::until_stopped(&mut client, SOON).await;
    let errors: Vec<_> = oracle::named(&heard, "error").collect();
    assert!(errors.is_empty(), "{errors:?}");
    let text = |text: &serde_json::Value| text["transcript"].as_str().expect("text").to_owned();
    (oracle::ended(app, index).await, oracle::finals(&heard).iter().map(text).collect())
}

fn format(query: &Query) -> (Option<&str>, Option<&str>, Option<&str>) {
    (query.get("encoding"), query.get("sample_rate"), query.get("channels"))
}

/// The header comes byte by byte, in pieces, or all at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wav_becomes_raw_however_it_is_cut() {
    let script = Script::fixture("jfk.wav").expect("a transcript");
    let app = Setup::new().deepgram(Config::speaking(script)).start().await;
    let bytes = fixture("jfk.wav");
    let wav = Wav::fixture("jfk.wav").expect("a WAV");
    for first in [1, 7, 44, 3200] {
        let (head, rest) = bytes.split_at(100 * first);
        let pieces = head.chunks(first).chain(rest.chunks(8000));
        let (record, text) = stream(&app, pieces).await;
        assert_eq!(format(&record.query), (Some("linear16"), Some("16000"), Some("1")));
        assert!(record.audio == wav.pcm, "the samples and nothing else, cut at {first}");
        assert!(text.join(" ").contains("ask not what your country"), "{text:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wav_keeps_its_own_rate_and_channels() {
    let app = TestApp::start().await;
    let speech = fixture("jfk.wav");
    for (arguments, expected) in [
        (&["-ar", "8000", "-ac", "1"], ("linear16", "8000", "1")),
        (&["-ar", "44100", "-ac", "2"], ("linear16", "44100", "2")),
        (&["-c:a", "pcm_mulaw", "-ar", "8000"], ("mulaw", "8000", "1")),
        (&["-c:a", "pcm_alaw", "-ar", "8000"], ("alaw", "8000", "1")),
    ] {
        let wav = ffmpeg(&speech, &[arguments.as_slice(), &["-t", "2", "-f", "wav"]].concat())
            .expect("ffmpeg");
        let (record, _) = stream(&app, wav.chunks(4000)).await;
        let (encoding, rate, channels) = expected;
        assert_eq!(format(&record.query), (Some(encoding), Some(rate), Some(channels)));
        assert!(wav.ends_with(&record.audio) && record.audio.len() > 15_000, "{encoding}");
    }
}

/// Deepgram decodes containers better than we could, if it gets every byte and no encoding.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_containers_go_as_they_are() {
    let app = TestApp::start().await;
    let speech = fixture("jfk.wav");
    let encode =
        |arguments: &[&str]| ffmpeg(&speech, &[&["-t", "3"], arguments].concat()).expect("ffmpeg");
    let fragmented = ["-movflags", "frag_keyframe+empty_moov", "-f", "mp4"];
    for (name, bytes) in [
        ("mp3", fixture("jfk.mp3")),
        ("mp3 without a tag", encode(&["-write_xing", "0", "-id3v2_version", "0", "-f", "mp3"])),
        ("webm", encode(&["-c:a", "libopus", "-f", "webm"])),
        ("ogg", encode(&["-c:a", "libopus", "-f", "ogg"])),
        ("flac", encode(&["-f", "flac"])),
        ("mp4", encode(&[["-c:a", "aac"].as_slice(), &fragmented].concat())),
    ] {
        for piece in [bytes.len(), 1000, 11] {
            let cut = if piece == 11 { &bytes[..2200] } else { &bytes[..] };
            let (record, _) = stream(&app, cut.chunks(piece)).await;
            assert_eq!(format(&record.query), (None, None, None), "{name}");
            assert!(record.audio == cut, "{name} in pieces of {piece}, byte for byte");
        }
    }
}

/// A WAV that no decoder of ours knows is refused by name, before anybody pays for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wav_that_cannot_be_read_is_refused() {
    let app = TestApp::start().await;
    let adpcm = ffmpeg(&fixture("jfk.wav"), &["-c:a", "adpcm_ms", "-f", "wav"]).expect("ffmpeg");
    let endless = [b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\x7f".to_vec(), vec![0; 100_000]].concat();
    for (bytes, why) in [(adpcm, "wav"), (endless, "64 KiB")] {
        let mut socket = app.websocket().await;
        for piece in bytes.chunks(9000) {
            socket.send_binary(piece).await.expect("sent");
        }
        let is_error = |message: &serde_json::Value| message["type"] == "error";
        let error = socket.receive_until(SOON, is_error).await.expect("refused");
        assert_eq!(
            (&error["code"], &error["retryable"]),
            (&json!("unsupported_media"), &json!(false))
        );
        assert!(error["message"].as_str().is_some_and(|text| text.contains(why)), "{error}");
    }
    // Cut short before its samples.
    let mut socket = app.websocket().await;
    socket.send_binary(&fixture("jfk.wav")[..30]).await.expect("sent");
    oracle::stop_raw(&mut socket).await;
    let heard = oracle::until_stopped_raw(&mut socket, SOON).await;
    assert_eq!(
        oracle::named(&heard, "error").next().expect("refused")["code"],
        "unsupported_media"
    );
    assert!(app.deepgram().requests().is_empty());
}

/// Compressed audio without a container has no magic to be sniffed: it is what it was called.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_codec_is_not_sniffed() {
    let app = TestApp::start().await;
    let mut socket = app.websocket().await;
    let start = json!({ "type": "start_streaming", "encoding": "opus", "sample_rate": 48000 });
    socket.send_json(&start).await.expect("sent");
    let bytes = b"OggS that is no Ogg".repeat(10);
    socket.send_binary(bytes.clone()).await.expect("sent");
    oracle::stop_raw(&mut socket).await;
    oracle::until_stopped_raw(&mut socket, SOON).await;
    let record = oracle::ended(&app, 0).await;
    assert_eq!(format(&record.query), (Some("opus"), Some("48000"), Some("1")));
    assert_eq!(record.audio, bytes);
}
