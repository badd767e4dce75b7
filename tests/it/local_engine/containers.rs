//! Containers: through ffmpeg, while they still stream, and refused with a reason.

use std::time::{Duration, Instant};

use audio_transcription_api::{
    lifecycle::Shutdown,
    media::Ffmpeg,
    model::{AudioFormat, Container},
    providers::{
        CloseReason, ErrorClass,
        local::{Engine, LocalConfig},
    },
    telemetry::Metrics,
};
use bytes::Bytes;

use super::{
    audio::{encoded, transcript, word_errors},
    session::{Feed, listen, model_dir, options, shared},
};

/// As a browser's MediaRecorder writes it.
const WEBM: [&str; 6] = ["-c:a", "libopus", "-f", "webm", "-cluster_time_limit", "250"];

#[tokio::test(flavor = "multi_thread")]
async fn every_container_is_understood() {
    let fragmented = ["-c:a", "aac", "-f", "mp4", "-movflags", "frag_keyframe+empty_moov"];
    for (container, args) in [
        (Container::WebM, &WEBM[..]),
        (Container::Ogg, &["-c:a", "libopus", "-f", "ogg"]),
        (Container::Mp3, &["-f", "mp3"]),
        (Container::Flac, &["-f", "flac"]),
        (Container::Wav, &["-f", "wav"]),
        (Container::Mp4, &fragmented),
    ] {
        let audio = encoded("jfk.wav", args);
        let stream = shared().open(&options(AudioFormat::Container(container))).unwrap();
        let (heard, _) = listen(stream, audio, Feed::FAST).await;
        assert!(heard.finished(), "{container:?}: {:?}", heard.closed());
        let (wrong, of) = word_errors(&transcript("jfk.wav"), &heard.text());
        assert!(wrong * 10 <= of, "{container:?}: {}", heard.text());
        let audio_ms = heard.closed().audio_ms.unwrap();
        println!("{container:?}: {audio_ms} ms, {wrong} of {of} words wrong");
        assert!((10_950..11_300).contains(&audio_ms), "{container:?}: {audio_ms}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_a_browser_recording_arrive_while_it_streams() {
    let audio = encoded("jfk.wav", &WEBM);
    let stream = shared().open(&options(AudioFormat::Container(Container::WebM))).unwrap();
    let pace = Duration::from_millis(250);
    let feed = Feed { chunk_bytes: audio.len().div_ceil(44), pace: Some(pace) };
    let begun = Instant::now();
    let (heard, last_chunk) = listen(stream, audio, feed).await;
    let interims = heard.segments(false);
    let finals = heard.segments(true);
    println!(
        "webm in real time: first interim {:?} after the start, {} interims, first final {:?}",
        interims[0].0 - begun,
        interims.len(),
        finals[0].0 - begun
    );
    assert!(finals[0].0 < last_chunk, "no final before the audio ended");
    assert!(interims[0].0 - begun < Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_audio_is_poison_at_once() {
    let garbage: Bytes =
        (0..60_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut disguised = b"\x1A\x45\xDF\xA3".to_vec();
    disguised.extend_from_slice(&garbage);
    let plain_mp4 = Bytes::from(
        [b"\0\0\0\x18ftypisom\0\0\0\0isomiso2\0\0\xFF\xFFmdat".as_slice(), &garbage].concat(),
    );
    for (container, audio) in [
        (Container::WebM, garbage.clone()),
        (Container::Ogg, garbage.clone()),
        (Container::Wav, garbage.clone()),
        (Container::Flac, garbage.clone()),
        (Container::Mp3, garbage.clone()),
        (Container::WebM, disguised.into()),
        (Container::Mp4, plain_mp4),
    ] {
        let begun = Instant::now();
        let stream = shared().open(&options(AudioFormat::Container(container))).unwrap();
        let (heard, _) = listen(stream, audio, Feed::FAST).await;
        let CloseReason::Failed(error) = &heard.closed().reason else { panic!("{container:?}") };
        println!("{container:?}: {:?}: {error}", begun.elapsed());
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Poison, "undecodable_audio"));
        assert!(error.detail.contains(container.as_str()), "{error}");
        assert_eq!(error.detail.contains("fragmented"), container == Container::Mp4, "{error}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{container:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_recording_is_let_go_but_not_for_long() {
    let sound = encoded("jfk.wav", &["-c:a", "libopus", "-f", "ogg"]);
    let audio = Bytes::from([&sound[..], &vec![0xAA; 200_000]].concat());
    for (pace, finished) in [(None, true), (Some(Duration::from_millis(50)), false)] {
        let stream = shared().open(&options(AudioFormat::Container(Container::Ogg))).unwrap();
        let (heard, _) = listen(stream, audio.clone(), Feed { chunk_bytes: 3200, pace }).await;
        assert_eq!(heard.finished(), finished, "{:?}", heard.closed());
        let (wrong, of) = word_errors(&transcript("jfk.wav"), &heard.text());
        assert!(wrong * 10 <= of, "what was heard is told: {}", heard.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_ffmpeg_containers_are_refused_by_name() {
    let config = LocalConfig { model_dir: model_dir(), workers: 1, max_streams: 1 };
    let (metrics, ffmpeg) = (Metrics::new().unwrap(), Ffmpeg::at("/nonexistent/ffmpeg"));
    let engine = Engine::load_with(&config, metrics, Shutdown::default(), ffmpeg).unwrap();
    let error = engine.open(&options(AudioFormat::Container(Container::Ogg))).unwrap_err();
    assert_eq!(error.class, ErrorClass::BadRequest);
    assert!(error.detail.contains("ogg") && error.detail.contains("ffmpeg"), "{error}");
}
