//! Whole recordings: accuracy on real speech, and nothing where there is no speech.

use audio_transcription_api::model::{AudioFormat, Container, Encoding, RawFormat};
use bytes::Bytes;

use super::{
    audio::{LIBRIVOX, encoded, fixture, noise, raw, synthetic, transcript, word_errors},
    session::{model_dir, shared},
};

async fn text_of(audio: Bytes, format: AudioFormat) -> String {
    let segments = shared().transcribe(audio, format).await.unwrap();
    segments.iter().map(|segment| segment.transcript.as_str()).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_self_test_recording_says_fail_better() {
    let file = std::fs::read(model_dir().join("beckett.wav")).unwrap();
    let text = text_of(file.into(), AudioFormat::Container(Container::Wav)).await;
    assert!(text.to_lowercase().contains("fail better"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_one_word_in_ten_is_wrong() {
    let (mut errors, mut words) = (0, 0);
    for name in ["jfk.wav"].iter().chain(&LIBRIVOX) {
        let (format, audio) = raw(&fixture(name));
        let heard = text_of(audio, AudioFormat::Raw(format)).await;
        let (wrong, of) = word_errors(&transcript(name), &heard);
        println!("{name}: {wrong} of {of} words wrong: {heard}");
        errors += wrong;
        words += of;
    }
    println!("word error rate: {:.1} %", 100.0 * errors as f32 / words as f32);
    assert!(errors * 10 <= words, "{errors} of {words} words are wrong");
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_tone_and_silence_have_no_words() {
    let tone = synthetic(8, |seconds| (seconds * 440.0 * std::f32::consts::TAU).sin() * 0.5);
    for (name, audio) in [
        ("silence", synthetic(8, |_| 0.0)),
        ("tone", tone),
        ("soft noise", noise(8, 0.05)),
        ("loud noise", noise(8, 0.8)),
    ] {
        let text = text_of(audio, AudioFormat::Raw(RawFormat::DEFAULT)).await;
        assert_eq!(text, "", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_raw_encoding_rate_and_channel_count_is_understood() {
    for (encoding, codec, format, rate, channels) in [
        (Encoding::Linear16, "pcm_s16le", "s16le", 48_000, 2),
        (Encoding::Linear16, "pcm_s16le", "s16le", 44_100, 1),
        (Encoding::Linear32, "pcm_f32le", "f32le", 24_000, 8),
        (Encoding::Mulaw, "pcm_mulaw", "mulaw", 8_000, 1),
        (Encoding::Alaw, "pcm_alaw", "alaw", 8_000, 2),
    ] {
        let (rate_arg, channels_arg) = (rate.to_string(), channels.to_string());
        let args = ["-c:a", codec, "-f", format, "-ar", &rate_arg, "-ac", &channels_arg];
        let audio = encoded("jfk.wav", &args);
        let format = AudioFormat::Raw(RawFormat { encoding, sample_rate: rate, channels });
        let heard = text_of(audio, format).await;
        let (wrong, of) = word_errors(&transcript("jfk.wav"), &heard);
        println!("{codec} at {rate} Hz with {channels} channels: {wrong} of {of} wrong");
        assert!(wrong * 10 <= of, "{codec} at {rate} Hz: {heard}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_lie_in_order_within_the_recording() {
    let (format, audio) = raw(&fixture("jfk.wav"));
    let segments = shared().transcribe(audio, AudioFormat::Raw(format)).await.unwrap();
    let words: Vec<_> = segments.iter().flat_map(|segment| &segment.words).collect();
    assert!(words.is_sorted_by(|a, b| a.end_ms <= b.start_ms), "{words:?}");
    assert!(words.last().unwrap().end_ms <= 11_000);
    assert!(words.iter().all(|word| (0.0..=1.0).contains(&word.confidence)));
    assert!(segments.iter().all(|segment| segment.confidence > 0.5), "{segments:?}");
}
