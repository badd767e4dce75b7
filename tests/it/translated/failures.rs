//! How a translator's failures are told; nothing is billed for them.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    recorded::Refusal,
    translators::{Fault, Translators},
};

use super::{hello, send, setup, start};
use crate::harness::Setup;

fn body(status: u16, body: Value) -> Refusal {
    Refusal { body: body.to_string(), ..Refusal::of(status) }
}

fn openai(status: u16, code: &str) -> Refusal {
    let error = json!({ "message": "as planned", "type": "planned", "param": null, "code": code });
    body(status, json!({ "error": error }))
}

fn google(status: u16, name: &str) -> Refusal {
    body(status, json!({ "error": { "code": status, "message": "as planned", "status": name } }))
}

/// Who refuses how, and the status, code and text that come of it.
fn rows() -> [(&'static str, Refusal, u16, &'static str, &'static str); 8] {
    [
        (
            "openai",
            openai(400, "bad"),
            400,
            "invalid_request",
            "OpenAI translation failed: as planned",
        ),
        (
            "openai",
            openai(401, "invalid_api_key"),
            503,
            "provider_unavailable",
            "OpenAI translation failed: the provider cannot be used now",
        ),
        (
            "openai",
            openai(429, "insufficient_quota"),
            503,
            "provider_unavailable",
            "OpenAI translation failed: the provider cannot be used now",
        ),
        (
            "openai",
            Refusal { body: "<html>".into(), ..Refusal::of(200) },
            502,
            "provider_rejected",
            "OpenAI translation failed: the provider's answer was not understood",
        ),
        (
            "google",
            google(400, "INVALID_ARGUMENT"),
            400,
            "invalid_request",
            "Google translation failed: as planned",
        ),
        (
            "google",
            google(403, "PERMISSION_DENIED"),
            503,
            "provider_unavailable",
            "Google translation failed: the provider cannot be used now",
        ),
        (
            "deepseek",
            openai(402, "none"),
            503,
            "provider_unavailable",
            "Translation failed: the provider cannot be used now",
        ),
        ("deepseek", openai(422, "bad"), 400, "invalid_request", "Translation failed: as planned"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_has_the_contracts_words_and_the_status_of_its_cause() {
    for (route, refusal, status, code, text) in rows() {
        // Whom a provider refuses leaves it alone for a while: each has a service of its own.
        let (app, translators) = start().await;
        let told = refusal.status;
        translators.refuse(route, [refusal]);
        let answer = send(&app, route, hello()).await;
        let (expected, found) = ((status, code, text), (&answer.1["code"], &answer.1["error"]));
        assert_eq!(
            (answer.0, found.0, found.1),
            (expected.0, &expected.1.into(), &expected.2.into()),
            "{route} {told}"
        );
        assert_eq!(app.sql::<i64>("SELECT count(*) FROM usage_logs").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_asked_again_and_billed_once() {
    let (app, translators) = start().await;
    for route in ["openai", "google", "deepseek"] {
        let busy = Refusal { retry_after: Some(0), ..openai(429, "rate_limit_exceeded") };
        translators.refuse(route, [busy, openai(503, "overloaded")]);
        assert_eq!(send(&app, route, hello()).await.0, 200, "{route}");
        assert_eq!(translators.asked(route), 3, "{route}");
    }
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM usage_logs").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_translator_that_never_answers_is_not_waited_for() {
    let translators = Translators::start().await.expect("they start");
    let app = setup(&translators).with("TRANSLATION_SECONDS", "1").start().await;
    translators.fault("openai", [Fault::Hang]);
    let (status, told) = send(&app, "openai", hello()).await;
    assert_eq!((status, &told["code"], &told["retryable"]), (504, &"timeout".into(), &true.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_translator_that_is_only_slow_is_waited_for() {
    let (app, translators) = start().await;
    translators.fault("deepseek", [Fault::Wait(Duration::from_millis(300))]);
    assert_eq!(send(&app, "deepseek", hello()).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_configured_says_what_is_missing() {
    let app = Setup::new().without_deepgram().start().await;
    for (route, text) in [
        ("openai", "OpenAI translation failed: OPENAI_API_KEY is not set"),
        ("google", "Google Cloud credentials not configured"),
        ("deepseek", "Translation failed: DEEPSEEK_API_KEY is not set"),
    ] {
        let (status, told) = send(&app, route, hello()).await;
        assert_eq!((status, &told["code"]), (503, &"provider_unavailable".into()));
        assert_eq!(told["error"], text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_google_does_not_know_is_ours_to_mend() {
    let (app, translators) = start().await;
    let grant = json!({ "error": "invalid_grant", "error_description": "Invalid JWT Signature." });
    translators.refuse("google_token", [body(400, grant)]);
    let (status, told) = send(&app, "google", hello()).await;
    assert_eq!((status, &told["code"]), (503, &"provider_unavailable".into()));
    assert!(!told.to_string().contains("JWT"), "{told}");
}
