//! How providers fail, and what the caller is told: the documented text once, the status by its cause.

use testkit::recorded::{Recorders, Refusal};

use super::{Answer, CLIP, clip, form, post, said, send, setup, start};
use crate::harness::TestApp;

async fn rows(app: &TestApp) -> i64 {
    app.sql("SELECT count(*) FROM usage_logs").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_without_a_file_is_told_as_ever() {
    let (app, recorders) = start().await;
    for route in ["deepgram", "whisper", "assemblyai", "auto"] {
        let missing = post(&app, route, form(&[("language", "en")])).await.failure();
        assert_eq!(missing, (400, "invalid_request".into(), "No audio file provided".into()));
        let unnamed = form(&[]).part("audio", super::file(Vec::new(), ""));
        let unnamed = post(&app, route, unnamed).await.failure();
        assert_eq!(unnamed, (400, "invalid_request".into(), "No audio file selected".into()));
    }
    let request = reqwest::Client::new().post(format!("{}/transcriptions/deepgram", app.url()));
    let json = request.bearer_auth(app.token()).body("{}").send().await.expect("an answer");
    assert_eq!(Answer::read(json).await.failure().2, "No audio file provided");
    assert!(recorders.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_wish_is_said() {
    let (app, recorders) = start().await;
    for (name, value) in
        [("response_format", "docx"), ("language", "no language at all"), ("temperature", "2")]
    {
        let (status, code, text) = match (name, value) {
            ("response_format", _) => send(&app, "whisper", &[("response_format", "docx")]).await,
            ("language", _) => send(&app, "whisper", &[("language", "no language at all")]).await,
            _ => send(&app, "whisper", &[("temperature", "2")]).await,
        }
        .failure();
        assert_eq!((status, code.as_str()), (400, "invalid_request"), "{name}={value}");
        assert!(text.contains(name), "{text}");
    }
    assert!(recorders.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_cause_has_its_status() {
    // A breaker would stand between one cause and the next: each has a service of its own.
    for (cause, status, code, text) in [
        (400, 400, "invalid_request", "as planned"),
        (401, 503, "provider_unavailable", "the provider cannot be used now"),
        (402, 503, "provider_unavailable", "the provider cannot be used now"),
        (429, 429, "rate_limited", "the provider is asked too often"),
        (504, 504, "timeout", "the provider took too long"),
    ] {
        let (app, recorders) = start().await;
        let refusal =
            Refusal { retry_after: (cause == 429).then_some(3_600), ..Refusal::of(cause) };
        recorders.refuse("deepgram", [refusal]);
        let answer = send(&app, "deepgram", &[]).await;
        let wanted = (status, code.to_owned(), format!("Deepgram transcription failed: {text}"));
        assert_eq!(answer.failure(), wanted, "{cause}");
        assert_eq!(recorders.asked("deepgram"), 1, "{cause} is not asked for again");
        if cause == 429 {
            assert_eq!(answer.headers["retry-after"], "3600");
        }
        assert_eq!(rows(&app).await, 0, "what failed is not billed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_none_is_a_bad_gateway() {
    let (app, recorders) = start().await;
    let nonsense = Refusal { status: 200, retry_after: None, body: "<html>".into() };
    recorders.refuse("openai", [nonsense]);
    let failure = send(&app, "whisper", &[]).await.failure();
    let text = "Whisper transcription failed: the provider's answer was not understood";
    assert_eq!(failure, (502, "provider_rejected".into(), text.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_asked_for_again_and_billed_once() {
    let (app, recorders) = start().await;
    recorders.refuse(
        "deepgram",
        [Refusal::of(503), Refusal { retry_after: Some(1), ..Refusal::of(429) }],
    );
    assert_eq!(send(&app, "deepgram", &[]).await.json()["transcript"], said());
    assert_eq!((recorders.asked("deepgram"), rows(&app).await), (3, 1));
    assert_eq!(app.metric("provider_repeats_total", &["deepgram"]), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_serves_where_one_is_away_and_says_so() {
    let (app, recorders) = start().await;
    recorders.refuse("deepgram", vec![Refusal::of(503); 10]);
    let body = send(&app, "auto", &[]).await.json();
    assert_eq!(
        (&body["provider"], &body["service"]),
        (&"whisper".into(), &"openai_whisper".into())
    );
    assert_eq!(body["attempts"][0]["provider"], "deepgram");
    assert_eq!(body["attempts"][0]["code"], "provider_unavailable");
    assert_eq!(body["transcript"], said());
    let service: String = app.sql("SELECT service FROM usage_logs").await;
    assert_eq!(service, "whisper");
    // On a route of its own a provider is asked first, and others where the caller leaves it to us.
    let body = send(&app, "assemblyai", &[("provider", "auto")]).await.json();
    assert_eq!((&body["provider"], body.get("attempts")), (&"assemblyai".into(), None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_audio_is_nobody_elses() {
    let (app, recorders) = start().await;
    recorders.refuse("deepgram", [Refusal::of(400)]);
    let (status, _, text) = send(&app, "auto", &[]).await.failure();
    assert_eq!((status, text.as_str()), (400, "Deepgram transcription failed: as planned"));
    assert_eq!(recorders.requests().len(), 1, "nobody else is asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_without_a_key_names_the_variable() {
    let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
    let app =
        setup(&recorders).with("ASSEMBLYAI_API_KEY", "").with("OPENAI_API_KEY", "").start().await;
    for (route, text) in [
        ("assemblyai", "AssemblyAI transcription failed: ASSEMBLYAI_API_KEY is not set"),
        ("whisper", "Whisper transcription failed: OPENAI_API_KEY is not set"),
    ] {
        let failure = send(&app, route, &[]).await.failure();
        assert_eq!(failure, (503, "provider_unavailable".into(), text.into()));
    }
    let body = send(&app, "auto", &[]).await.json();
    assert_eq!(body["provider"], "deepgram");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_key_is_not_told_even_if_a_provider_quotes_it() {
    let (app, recorders) = start().await;
    let quoting = format!(
        r#"{{"err_code":"Bad Request","err_msg":"Token {} is odd"}}"#,
        testkit::recorded::KEY
    );
    recorders.refuse("deepgram", [Refusal { status: 400, retry_after: None, body: quoting }]);
    let (_, _, text) = send(&app, "deepgram", &[]).await.failure();
    assert_eq!(text, "Deepgram transcription failed: Token [redacted] is odd");
}
