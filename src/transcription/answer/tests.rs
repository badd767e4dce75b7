//! Answers held to the contract's fields.

use serde_json::{Value, json};

use super::*;
use crate::providers::recorded::Stretch;

fn heard() -> Transcription {
    let word = |text: &str, start_ms, speaker| Word {
        word: text.to_lowercase().trim_end_matches('.').to_owned(),
        punctuated_word: Some(text.to_owned()),
        start_ms,
        end_ms: start_ms + 400,
        confidence: 0.9,
        speaker: Some(speaker),
    };
    let stretch = |text: &str, start_ms, end_ms| Stretch {
        text: text.to_owned(),
        start_ms,
        end_ms,
        speaker: Some(0),
        confidence: None,
    };
    Transcription {
        transcript: "Good morning. Hello.".into(),
        confidence: Some(0.9),
        language: Some("en".into()),
        model: "nova-2".into(),
        duration_ms: Some(3_000),
        words: vec![word("Good", 0, 0), word("morning.", 500, 0), word("Hello.", 2_000, 1)],
        segments: vec![stretch("Good morning.", 0, 900), stretch("Hello.", 2_000, 2_400)],
        paragraphs: vec![stretch("Good morning. Hello.", 0, 2_400)],
        ..Transcription::default()
    }
}

fn told(provider: &'static str, options: &RecordedOptions, heard: &Transcription) -> Value {
    let told = Told {
        heard,
        provider,
        options,
        asked_language: "en",
        asked_model: "nova-2",
        bytes: 1024 * 1024,
        pieces: (1, 3_000),
        attempts: &[],
    };
    told.object()
}

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn deepgram_has_every_field() {
    let options =
        RecordedOptions { language: Some("en".into()), diarize: true, ..Default::default() };
    let body = told("deepgram", &options, &heard());
    for field in [
        "transcript",
        "confidence",
        "language",
        "model",
        "service",
        "words",
        "duration",
        "paragraphs",
        "diarization",
        "processing_info",
        "word_count",
        "duration_seconds",
    ] {
        assert!(names(&body).contains(&field), "{field}: {body}");
    }
    assert_eq!(body["duration"], 2.4);
    assert_eq!(
        body["processing_info"],
        json!({
            "service": "deepgram", "model_used": "nova-2", "language_requested": "en",
            "diarization_enabled": true, "paragraphs_enabled": false,
        })
    );
    assert_eq!(
        body["paragraphs"],
        json!([{
            "paragraph_id": 1, "text": "Good morning. Hello.", "start_time": 0.0, "end_time": 2.4,
            "duration": 2.4, "word_count": 3,
        }])
    );
    let diarization = &body["diarization"];
    assert_eq!(diarization["speakers_detected"], 2);
    assert_eq!(
        diarization["speakers"][0],
        json!({
            "speaker_id": "Speaker_0", "total_words": 2, "total_duration": 0.8,
            "average_confidence": 0.9, "speaking_percentage": 33.3,
        })
    );
    assert_eq!(
        diarization["segments"][0],
        json!({
            "speaker": "Speaker_0", "speaker_id": 0, "text": "good morning", "start_time": 0.0,
            "end_time": 0.9, "duration": 0.9, "word_count": 2,
        })
    );
    let silence = told("deepgram", &options, &Transcription::default());
    assert_eq!(silence["transcript"], "");
    let none = json!({ "error": "No word-level data available for speaker detection" });
    assert_eq!((&silence["diarization"], &silence["words"]), (&none, &json!([])));
}

#[test]
fn the_others_have_theirs() {
    let options = RecordedOptions { language: Some("en".into()), ..Default::default() };
    let whisper = told("whisper", &options, &heard());
    for (field, value) in [
        ("language", json!("en")),
        ("service", json!("openai_whisper")),
        ("file_size_mb", json!(1.0)),
        ("processing_method", json!("single_file")),
    ] {
        assert_eq!(whisper[field], value, "{field}");
    }
    assert!(whisper.get("total_chunks").is_none());
    let assemblyai = told("assemblyai", &options, &heard());
    assert_eq!(
        (&assemblyai["speakers"], &assemblyai["service"]),
        (&json!(1), &json!("assemblyai"))
    );
    assert_eq!(told("local", &options, &heard())["service"], "local");
}

#[test]
fn who_was_asked_before_is_told() {
    let (heard, options) = (heard(), RecordedOptions::default());
    let attempts = [Attempt { provider: "deepgram", code: "provider_unavailable".into() }];
    let told = Told {
        heard: &heard,
        provider: "whisper",
        options: &options,
        asked_language: "en",
        asked_model: "",
        bytes: 5,
        pieces: (3, 600_000),
        attempts: &attempts,
    };
    let body = told.object();
    assert_eq!(
        body["attempts"],
        json!([{ "provider": "deepgram", "code": "provider_unavailable" }])
    );
    assert_eq!(body["provider"], "whisper");
    assert_eq!((&body["total_chunks"], &body["chunk_duration_minutes"]), (&json!(3), &json!(10.0)));
}

#[test]
fn every_provider_has_subtitles() {
    let options = RecordedOptions::default();
    let write = |heard: &Transcription, form| {
        Told {
            heard,
            provider: "local",
            options: &options,
            asked_language: "en",
            asked_model: "",
            bytes: 0,
            pieces: (1, 0),
            attempts: &[],
        }
        .write(form)
        .unwrap()
    };
    let whole = heard();
    assert_eq!(write(&whole, Form::Text), "Good morning. Hello.\n");
    let srt = write(&whole, Form::Srt);
    assert!(srt.starts_with("1\n00:00:00,000 --> "), "{srt}");
    let segments = Transcription { words: Vec::new(), ..heard() };
    assert!(write(&segments, Form::Vtt).starts_with("WEBVTT"));
    // Nothing but a text and a length: it is spread over it.
    let bare = Transcription { segments: Vec::new(), ..segments };
    let spread = write(&bare, Form::Srt);
    assert!(spread.contains("Good morning.") && spread.contains("Hello."), "{spread}");
    assert_eq!(write(&Transcription::default(), Form::Srt), "");
    let verbose: Value = serde_json::from_str(&write(&whole, Form::VerboseJson)).unwrap();
    assert_eq!(names(&verbose), ["duration", "language", "segments", "task", "text", "words"]);
    assert_eq!((&verbose["language"], &verbose["duration"]), (&json!("english"), &json!(3.0)));
    assert_eq!(verbose["words"][1], json!({ "word": "morning.", "start": 0.5, "end": 0.9 }));
    let spoken: Value = serde_json::from_str(&write(
        &Transcription { segments: Vec::new(), ..heard() },
        Form::VerboseJson,
    ))
    .unwrap();
    let texts: Vec<_> =
        spoken["segments"].as_array().unwrap().iter().map(|segment| &segment["text"]).collect();
    assert_eq!(texts, ["Good morning.", "Hello."]);
}
