//! A recording of an hour and a half of real speech: cut, transcribed and put together again, every
//! word at its time.

use testkit::recorded::{Recorders, Speech, Spoken};

use super::{clip, file, form, post, setup};

const LONG_MS: u64 = 90 * 60 * 1000;
/// What is said, again and again.
const NAMES: [&str; 4] = [
    "jfk.wav",
    "librivox_austen/sense_and_sensibility_01_austen_64kb-0870.wav",
    "cmu_goforward.wav",
    "librivox_austen/sense_and_sensibility_01_austen_64kb-0930.wav",
];
/// Silence between two recordings, in samples: two seconds.
const PAUSE: usize = 32_000;

/// Recordings one after the other. The silence between two is of a level that no other has, so that
/// whoever hears a piece of it knows where it lies.
fn long() -> Speech {
    let clips: Vec<Speech> = NAMES.map(clip).into();
    let mut long = Speech::default();
    let mut number = 0_i16;
    while long.duration_ms() < LONG_MS {
        let clip = &clips[usize::from(number.unsigned_abs()) % clips.len()];
        let at_ms = long.duration_ms();
        long.words.extend(clip.words.iter().map(|word| Spoken {
            word: word.word.clone(),
            start_ms: at_ms + word.start_ms,
            end_ms: at_ms + word.end_ms,
        }));
        // Whole milliseconds, so that times stay exact.
        long.pcm.extend(&clip.pcm[..clip.pcm.len() / 32 * 32]);
        number += 1;
        // A slope: no stretch of it is like another.
        for sample in 0..PAUSE {
            let level = i16::try_from(sample % 7).expect("small") - 3;
            let mark = if sample % 5 == 0 { number % 50 - 25 } else { level };
            long.pcm.extend(mark.to_le_bytes());
        }
        let id = number.to_le_bytes();
        let end = long.pcm.len();
        // Its number, again and again, so that any second of it tells which it is.
        for at in (end - PAUSE * 2..end).step_by(1_600) {
            long.pcm[at..at + 2].copy_from_slice(&[id[0] & 0x3F, 0]);
            long.pcm[at + 2..at + 4].copy_from_slice(&[id[1] & 0x3F, 0]);
        }
    }
    long
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_word_stands_where_it_was_spoken() {
    let speech = long();
    let (wav, words, long_ms) = (speech.wav(), speech.words.clone(), speech.duration_ms());
    let recorders = Recorders::start(speech).await.expect("the providers start");
    let app = setup(&recorders).start().await;
    let answer = post(&app, "whisper", form(&[]).part("audio", file(wav, "long.wav"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    let pieces = recorders.asked("openai") as u64;
    assert!(pieces >= 7, "{pieces} pieces of at most 13 minutes");
    assert_eq!(
        (&body["processing_method"], &body["total_chunks"]),
        (&"chunked".into(), &pieces.into())
    );
    for request in recorders.requests() {
        assert!(request.audio_bytes <= 26_214_400);
    }
    let heard = body["words"].as_array().expect("words");
    assert_eq!(heard.len(), words.len(), "no word is lost and none comes twice");
    for (heard, said) in heard.iter().zip(&words) {
        assert_eq!(heard["word"], said.word.as_str());
        assert_eq!(heard["start"], said.start_ms as f64 / 1000.0, "{said:?}");
        assert_eq!(heard["end"], said.end_ms as f64 / 1000.0, "{said:?}");
    }
    assert_eq!(body["duration_seconds"], long_ms as f64 / 1000.0);
    let billed: f64 = app.sql("SELECT audio_duration_seconds FROM usage_logs").await;
    assert!((billed - long_ms as f64 / 1000.0).abs() < 0.001, "{billed}");
}
