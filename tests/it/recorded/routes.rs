//! Each route asks its provider as documented, answers in the contract's shape, and bills one row.

use serde_json::{Value, json};

use super::{Answer, CLIP, clip, said, send, start};
use crate::harness::TestApp;

/// The only row of usage: who, where, seconds of audio, micro-dollars, the old column.
async fn billed(app: &TestApp) -> Value {
    let row: String = app
        .sql(
            "SELECT json_build_array(service, endpoint, audio_duration_seconds, cost_micros, \
             cost_usd, model, user_agent IS NULL, session_id IS NULL)::text FROM usage_logs",
        )
        .await;
    serde_json::from_str(&row).expect("a row")
}

fn assert_said(answer: &Answer, service: &str) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    assert_eq!(body["transcript"], said());
    assert_eq!(body["service"], service);
    assert_eq!(body["word_count"], 22);
    assert!(answer.headers.contains_key("x-request-id"));
    assert!(answer.headers.contains_key("x-ratelimit-limit") || answer.status == 200);
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deepgram() {
    let (app, recorders) = start().await;
    let answer =
        send(&app, "deepgram", &[("language", "en"), ("diarize", "true"), ("paragraphs", "True")])
            .await;
    let body = assert_said(&answer, "deepgram");
    let [request] = &recorders.requests()[..] else { panic!("one request") };
    assert_eq!(
        request.query,
        "model=nova-2&language=en&diarize=true&paragraphs=true&punctuate=true&smart_format=true&utterances=true"
    );
    assert_eq!(request.audio_bytes, 352_078);
    assert_eq!(request.headers["content-type"], "audio/wav");
    assert_eq!(request.headers["content-length"], "352078");
    assert_eq!((&body["model"], &body["language"]), (&json!("nova-2"), &json!("en")));
    let first = &clip(CLIP).words[0];
    assert_eq!(body["words"][0]["start"], first.start_ms as f64 / 1000.0);
    assert_eq!(body["words"][0]["speaker_confidence"], 0.9, "as Deepgram told it");
    assert_eq!(body["duration"], body["words"][21]["end"]);
    assert_eq!(body["diarization"]["speakers_detected"], 1);
    assert_eq!(body["paragraphs"][0]["paragraph_id"], 1);
    assert_eq!(body["processing_info"]["diarization_enabled"], true);
    // Eleven seconds at 0.0043 dollars a minute, and 0.002 for speakers.
    let micros = 11 * 6_300 / 60;
    let usd = f64::from(micros) / 1e6;
    assert_eq!(
        billed(&app).await,
        json!(["deepgram", "/transcriptions/deepgram", 11, micros, usd, "nova-2", true, true])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whisper() {
    let (app, recorders) = start().await;
    let body = assert_said(&send(&app, "whisper", &[]).await, "openai_whisper");
    assert_eq!(body["model"], "whisper-1");
    assert_eq!(
        (&body["language"], &body["processing_method"]),
        (&json!("en"), &json!("single_file"))
    );
    assert_eq!(body["file_size_mb"], 0.34);
    let [request] = &recorders.requests()[..] else { panic!("one request") };
    assert_eq!(request.file_name.as_deref(), Some("audio.wav"), "by its content, not by its name");
    for field in [("model", "whisper-1"), ("language", "en"), ("response_format", "verbose_json")] {
        assert!(request.fields.iter().any(|(name, text)| (name.as_str(), text.as_str()) == field));
    }
    assert_eq!(billed(&app).await[3], 11 * 6_000 / 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn assemblyai() {
    let (app, recorders) = start().await;
    let body = assert_said(&send(&app, "assemblyai", &[]).await, "assemblyai");
    assert_eq!((&body["speakers"], &body["highlights"]), (&json!(1), &json!(["your country"])));
    assert_eq!((&body["language"], &body["confidence"]), (&json!("en"), &json!(0.97)));
    let requests = recorders.requests();
    assert_eq!(requests[0].audio_bytes, 352_078, "the upload comes first");
    let created = &requests[1].fields;
    for field in
        [("speaker_labels", "true"), ("auto_highlights", "true"), ("language_code", "\"en\"")]
    {
        assert!(
            created.iter().any(|(name, text)| (name.as_str(), text.as_str()) == field),
            "{field:?}"
        );
    }
    assert_eq!(requests.len(), 4, "looked at until it was done");
    assert_eq!(billed(&app).await[3], 11 * 2_500 / 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_language_that_nobody_names_is_found_out() {
    let (app, recorders) = start().await;
    let body = send(&app, "deepgram", &[("language", "auto")]).await.json();
    assert_eq!(body["detected_language"], "en");
    let query = &recorders.requests()[0].query;
    assert!(query.contains("detect_language=true") && !query.contains("language=auto"), "{query}");
    assert!(query.contains("keywords=medical"), "what the service always listened for");
    let whisper = send(&app, "whisper", &[("language", "auto")]).await.json();
    assert_eq!(whisper["language"], "en");
    assert!(recorders.requests()[1].fields.iter().all(|(name, _)| name != "language"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_provider_has_every_form() {
    let (app, _recorders) = start().await;
    for route in ["deepgram", "whisper", "assemblyai"] {
        let text = send(&app, route, &[("response_format", "text")]).await;
        assert_eq!(
            (text.text, &text.headers["content-type"]),
            (format!("{}\n", said()), &"text/plain; charset=utf-8".parse().expect("a header"))
        );
        let srt = send(&app, route, &[("response_format", "srt")]).await.text;
        assert!(srt.starts_with("1\n00:00:00,") && srt.contains(" --> "), "{srt}");
        let vtt = send(&app, route, &[("response_format", "vtt")]).await.text;
        assert!(vtt.starts_with("WEBVTT\n"), "{vtt}");
        let verbose = send(&app, route, &[("response_format", "verbose_json")]).await.json();
        assert_eq!((&verbose["language"], &verbose["duration"]), (&json!("english"), &json!(11.0)));
        assert_eq!(verbose["words"].as_array().map(Vec::len), Some(22));
        assert!(
            verbose["segments"][0]["text"].as_str().is_some_and(|text| text.starts_with("and so"))
        );
    }
}
