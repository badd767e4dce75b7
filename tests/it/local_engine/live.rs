//! Live streams: interims, finals, the cursor, finalize, refusals, and who goes away.

use std::time::Duration;

use audio_transcription_api::{
    model::{AudioFormat, Encoding, Language, RawFormat},
    providers::{Endpointing, ErrorClass, StreamCommand, StreamEvent},
};
use tokio::time::timeout;

use super::{
    audio::{fixture, noise, raw, synthetic, transcript, word_errors},
    session::{Feed, chunk, engine, listen, next, raw_options, shared},
};

#[tokio::test(flavor = "multi_thread")]
async fn text_comes_while_somebody_speaks() {
    let (_, audio) = raw(&fixture("jfk.wav"));
    let stream = shared().open(&raw_options()).unwrap();
    let begun = std::time::Instant::now();
    let (heard, fed) = listen(stream, audio, Feed::REAL_TIME).await;
    let (interims, finals) = (heard.segments(false), heard.segments(true));
    println!(
        "real time: first interim {:?} after the start, {} interims, {} finals; last final {:?} \
         after the last chunk",
        interims[0].0 - begun,
        interims.len(),
        finals.len(),
        finals.last().unwrap().0 - fed
    );
    assert!(interims.len() >= 5, "{}", interims.len());
    assert!(interims[0].0 - begun < Duration::from_secs(3));
    assert!(finals[0].0 < fed);
    let (wrong, of) = word_errors(&transcript("jfk.wav"), &heard.text());
    assert!(wrong * 10 <= of, "{}", heard.text());
    assert!(heard.finished());
    assert_eq!(heard.closed().audio_ms, Some(11_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cursor_moves_with_silence_and_ends_at_the_end() {
    let stream = shared().open(&raw_options()).unwrap();
    let (heard, _) = listen(stream, synthetic(5, |_| 0.0), Feed::FAST).await;
    let covered = heard.covered_ms();
    assert!(covered.len() > 3 && covered.is_sorted(), "{covered:?}");
    assert_eq!(covered.last(), Some(&5_000));
    assert_eq!(heard.text(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn finals_do_not_overlap_and_the_cursor_never_runs_ahead() {
    let (_, jfk) = raw(&fixture("jfk.wav"));
    let audio = [jfk.clone(), jfk].concat().into();
    let stream = shared().open(&raw_options()).unwrap();
    let (heard, _) = listen(stream, audio, Feed::FAST).await;
    let (mut until, mut covered) = (0, 0);
    for (_, event) in &heard.events {
        match event {
            StreamEvent::Transcript(segment) => {
                assert!(segment.start_ms >= until && segment.start_ms >= covered, "{segment:?}");
                assert!(segment.end_ms > segment.start_ms);
                until = if segment.is_final { segment.end_ms } else { until };
            }
            StreamEvent::Covered { until_ms } => {
                assert!(*until_ms > covered);
                covered = *until_ms;
            }
            _ => {}
        }
    }
    assert_eq!(covered, 22_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn finalize_turns_everything_heard_into_a_final() {
    let (_, audio) = raw(&fixture("jfk.wav"));
    let mut stream = shared().open(&raw_options()).unwrap();
    // 2.2 s: within the first sentence; not a whole number of frames.
    stream.commands.send(chunk(0, audio.slice(..70_402))).await.unwrap();
    stream.commands.send(StreamCommand::Finalize).await.unwrap();
    let last = next(&mut stream, |event| match event {
        StreamEvent::Transcript(segment) if segment.from_finalize => Some(segment),
        _ => None,
    })
    .await;
    assert!(last.is_final && !last.speech_final);
    assert!(last.transcript.to_lowercase().contains("fellow"), "{}", last.transcript);
    assert_eq!(last.end_ms, 2_200);
    let covered = next(&mut stream, |event| match event {
        StreamEvent::Covered { until_ms } => Some(until_ms),
        _ => None,
    });
    assert_eq!(covered.await, 2_200);
    // With nothing new there is still an answer.
    stream.commands.send(StreamCommand::Finalize).await.unwrap();
    let empty = next(&mut stream, |event| match event {
        StreamEvent::Transcript(segment) if segment.from_finalize => Some(segment),
        _ => None,
    });
    assert_eq!(empty.await.transcript, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_were_asked_for_are_told() {
    let (_, audio) = raw(&fixture("jfk.wav"));
    let audio = [&audio[..], &synthetic(2, |_| 0.0)[..]].concat().into();
    let mut options = raw_options();
    options.report_sent = true;
    let stream = shared().open(&options).unwrap();
    let (heard, _) = listen(stream, audio, Feed::FAST).await;
    let events: Vec<_> = heard.events.iter().map(|(_, event)| event).collect();
    let started = events
        .iter()
        .position(|event| matches!(event, StreamEvent::SpeechStarted { at_ms } if *at_ms < 500));
    let ended = events.iter().position(|event| matches!(event, StreamEvent::UtteranceEnd { .. }));
    assert!(started.unwrap() < ended.unwrap());
    let sent = events.iter().filter(|event| matches!(event, StreamEvent::Sent { .. })).count();
    assert_eq!(sent, 130);
}

#[tokio::test(flavor = "multi_thread")]
async fn endpointing_decides_whether_pauses_end_utterances() {
    let (_, audio) = raw(&fixture("jfk.wav"));
    let mut counts = Vec::new();
    for endpointing in [Endpointing::AfterMs(300), Endpointing::Off] {
        let mut options = raw_options();
        options.endpointing = endpointing;
        let stream = shared().open(&options).unwrap();
        let (heard, _) = listen(stream, audio.clone(), Feed::FAST).await;
        let finals = heard.segments(true);
        counts.push(finals.iter().filter(|(_, segment)| segment.speech_final).count());
    }
    assert!(counts[0] >= 3, "{counts:?}");
    assert_eq!(counts[1], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_unless_punctuation_is_asked_for() {
    let (_, audio) = raw(&fixture("jfk.wav"));
    let mut options = raw_options();
    options.punctuate = false;
    let stream = shared().open(&options).unwrap();
    let (heard, _) = listen(stream, audio, Feed::FAST).await;
    let text = heard.text();
    assert!(text.contains("my fellow americans"), "{text}");
    assert!(text.chars().all(|letter| letter.is_lowercase() || letter == ' '), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_come_before_any_audio() {
    let mut options = raw_options();
    options.language = Language::parse("es").unwrap();
    let error = shared().open(&options).unwrap_err();
    assert_eq!(error.class, ErrorClass::Language);
    assert!(error.detail.contains("es") && error.detail.ends_with("only: en"), "{error}");
    for raw in [
        RawFormat { encoding: Encoding::Opus, ..RawFormat::DEFAULT },
        RawFormat { sample_rate: 4_000, ..RawFormat::DEFAULT },
        RawFormat { channels: 9, ..RawFormat::DEFAULT },
    ] {
        options = raw_options();
        options.format = AudioFormat::Raw(raw);
        let error = shared().open(&options).unwrap_err();
        assert_eq!(error.class, ErrorClass::BadRequest);
        assert!(error.detail.contains(raw.encoding.as_str()), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_engine_refuses_and_frees_the_place_of_who_leaves() {
    let (engine, _) = engine(1, 1);
    let first = engine.open(&raw_options()).unwrap();
    let error = engine.open(&raw_options()).unwrap_err();
    assert_eq!(error.class, ErrorClass::Capacity);
    assert!(error.retry_after.is_some());
    // Only the receiver goes: the stream must end by itself.
    let commands = first.commands;
    drop(first.events);
    timeout(Duration::from_secs(5), commands.closed()).await.unwrap();
    let second = engine.open(&raw_options()).unwrap();
    // Only the sender goes: that is the same as a close.
    drop(second.commands);
    let mut events = second.events;
    let last = timeout(Duration::from_secs(5), events.recv()).await.unwrap();
    assert!(matches!(last, Some(StreamEvent::Closed(_))), "{last:?}");
    engine.open(&raw_options()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_read_holds_back_its_audio() {
    let (engine, _) = engine(1, 1);
    let stream = engine.open(&raw_options()).unwrap();
    let second = noise(1, 0.01);
    let mut taken = 0;
    let pause = Duration::from_secs(3);
    while let Ok(sent) = timeout(pause, stream.commands.send(chunk(taken, second.clone()))).await {
        sent.unwrap();
        taken += 1;
        assert!(taken < 600, "ten minutes were taken although nobody reads");
    }
    assert_eq!(stream.commands.capacity(), 0);
}
