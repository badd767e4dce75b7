//! Real files, cut at any place and begun again: what is left decodes to what was left.

use proptest::prelude::*;
use testkit::speech::ffmpeg;

use super::{Cutter, Piece};
use crate::model::Container;

fn speech() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/audio/jfk.wav");
    std::fs::read(path).expect("the fixture")
}

fn encoded(container: Container) -> Vec<u8> {
    let speech = speech();
    match container {
        Container::WebM => {
            ffmpeg(&speech, &["-c:a", "libopus", "-f", "webm", "-live", "1"]).expect("ffmpeg")
        }
        Container::Ogg => {
            ffmpeg(&speech, &["-c:a", "libopus", "-page_duration", "100000", "-f", "ogg"])
                .expect("ffmpeg")
        }
        _ => ffmpeg(&speech, &["-c:a", "libmp3lame", "-f", "mp3"]).expect("ffmpeg"),
    }
}

fn decoded_seconds(bytes: &[u8]) -> f64 {
    let pcm = ffmpeg(bytes, &["-f", "s16le", "-ac", "1", "-ar", "16000"]).expect("ffmpeg");
    pcm.len() as f64 / 32_000.0
}

fn cut(cutter: &mut Cutter, bytes: &[u8], chunk: usize) -> Vec<Piece> {
    bytes.chunks(chunk).flat_map(|chunk| cutter.feed(chunk).expect("readable")).collect()
}

#[test]
fn the_rest_of_a_stream_decodes_to_the_rest_of_its_audio() {
    for container in [Container::WebM, Container::Ogg, Container::Mp3] {
        let bytes = encoded(container);
        for (chunk, from_us) in [(1, 4_000_000), (977, 0), (65_536, 8_000_000)] {
            let mut cutter = Cutter::of(container).expect("it can be cut");
            let pieces = cut(&mut cutter, &bytes, chunk);
            let rest: Vec<_> = pieces.iter().filter(|piece| piece.start_us >= from_us).collect();
            let origin_us = rest.first().expect("a piece").start_us;
            let mut stream = cutter.head().to_vec();
            for piece in rest {
                stream.extend_from_slice(&cutter.write(piece, origin_us));
            }
            let seconds = decoded_seconds(&stream);
            let expected = 11.0 - origin_us as f64 / 1e6;
            assert!((seconds - expected).abs() < 0.15, "{container:?}: {seconds} for {expected}");
        }
    }
}

proptest! {
    #[test]
    fn nonsense_is_refused_or_waited_for(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        for container in [Container::WebM, Container::Ogg, Container::Mp3] {
            let mut cutter = Cutter::of(container).expect("it can be cut");
            for chunk in bytes.chunks(97) {
                if cutter.feed(chunk).is_err() {
                    break;
                }
            }
        }
    }
}
