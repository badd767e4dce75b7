//! `POST /transcriptions/transcribe-and-translate`.

use reqwest::{Client, multipart};
use serde_json::Value;
use testkit::{
    recorded::{KEY, Recorders, Refusal},
    speech,
    translators::Translators,
};

use super::setup;
use crate::{harness::TestApp, recorded::clip};

const CLIP: &str = "jfk.wav";

async fn start() -> (TestApp, Recorders, Translators) {
    let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
    let translators = Translators::start().await.expect("the translators start");
    let app = setup(&translators)
        .with("DEEPGRAM_API_KEY", KEY)
        .with("DEEPGRAM_BASE_URL", recorders.base_url())
        .start()
        .await;
    (app, recorders, translators)
}

async fn send(app: &TestApp, fields: &[(&'static str, &'static str)]) -> (u16, Value) {
    let wav = std::fs::read(speech::fixture_path(CLIP)).expect("the clip");
    let file = multipart::Part::bytes(wav).file_name("speech.wav");
    let form =
        fields.iter().fold(multipart::Form::new(), |form, (name, value)| form.text(*name, *value));
    let url = format!("{}/transcriptions/transcribe-and-translate", app.url());
    let request = Client::new().post(url).bearer_auth(app.token());
    super::read(request.multipart(form.part("audio", file))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_heard_is_translated_and_both_are_billed() {
    let (app, _recorders, _translators) = start().await;
    let words = ("translate", "true");
    let (status, told) = send(&app, &[words, ("target_language", "it")]).await;
    assert_eq!(status, 200, "{told}");
    let text = told["transcript"].as_str().expect("a transcript");
    assert!(text.contains("country"), "{text}");
    assert_eq!(told["translated_text"], text.to_uppercase());
    assert!(told["formatted_transcript_array"].is_array());
    let services: String = app
        .sql("SELECT string_agg(service || ' ' || endpoint, ', ' ORDER BY service) FROM usage_logs")
        .await;
    let route = "/transcriptions/transcribe-and-translate";
    assert_eq!(services, format!("deepgram {route}, google {route}"));
    let (status, told) = send(&app, &[words, ("translation_model", "openai")]).await;
    assert_eq!((status, &told["translated_text"]), (200, &text.to_uppercase().into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_wish_there_is_no_translation() {
    let (app, _recorders, translators) = start().await;
    for fields in [&[][..], &[("translate", "yes"), ("translation_model", "nobody")]] {
        let (status, told) = send(&app, fields).await;
        assert_eq!((status, &told["translated_text"]), (200, &Value::Null));
    }
    assert_eq!(translators.asked("google"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_translation_that_fails_fails_the_whole_and_what_cannot_be_is_not_begun() {
    let (app, recorders, translators) = start().await;
    let (status, told) = send(&app, &[("translate", "true"), ("translation_model", "bard")]).await;
    let text = "Invalid translation model. Must be \"google\" or \"openai\"";
    assert_eq!((status, &told["error"]), (400, &text.into()));
    assert_eq!(recorders.asked("deepgram"), 0, "nothing is transcribed for it");
    translators.refuse("google", [Refusal::of(403)]);
    let (status, told) = send(&app, &[("translate", "true")]).await;
    assert_eq!((status, &told["code"]), (503, &"provider_unavailable".into()));
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM usage_logs").await, 0, "no part is billed");
}
