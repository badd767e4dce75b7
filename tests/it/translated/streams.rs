//! Translations that are told as they come.

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use testkit::{recorded::Refusal, translators::Fault, wait_until};

use super::{ask, form, hello, start};
use crate::harness::LONG;

/// The events of an answer with their names.
async fn events(request: RequestBuilder) -> Vec<(String, Value)> {
    let answer = request.header("accept", "text/event-stream").send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let text = answer.text().await.expect("a body");
    let event = |event: &str| {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
        let data = serde_json::from_str(field("data: ")?).expect("JSON");
        Some((field("event: ")?.to_owned(), data))
    };
    text.split("\n\n").filter_map(event).collect()
}

fn told(events: &[(String, Value)]) -> String {
    let words = events.iter().filter(|(name, _)| name == "delta");
    words.map(|(_, data)| data["text"].as_str().expect("words")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_come_one_after_another_and_then_the_whole() {
    let (app, translators) = start().await;
    for (route, pieces) in [("openai", 3), ("deepseek", 3), ("google", 1)] {
        let request = ask(&app, route);
        let request =
            if route == "deepseek" { form(request, &hello()) } else { request.json(&hello()) };
        let events = events(request).await;
        assert_eq!(told(&events), "GOOD MORNING, DOCTOR.", "{route}");
        assert_eq!(events.len(), pieces + 1, "{route}: {events:?}");
        let (name, body) = events.last().expect("an end");
        assert_eq!(
            (name.as_str(), &body["translated_text"]),
            ("done", &"GOOD MORNING, DOCTOR.".into())
        );
    }
    assert_eq!(translators.requests("openai")[0].body["stream"], true);
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM usage_logs").await, 3);
    assert_eq!(
        app.sql::<i32>("SELECT tokens_used FROM usage_logs WHERE service = 'openai'").await,
        6
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_text_streams_with_what_stands_between_its_pieces() {
    let (app, _translators) = start().await;
    let text = "One sentence is here, of ten words or so now.\n\n".repeat(300);
    let body = json!({ "text": text, "target_language": "it", "stream": true });
    let events = events(ask(&app, "openai").json(&body)).await;
    assert!(told(&events) == text.trim().to_uppercase());
    assert!(events.last().is_some_and(|(_, body)| body["total_chunks"].as_u64() > Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_before_the_first_word_has_a_status_and_later_an_event() {
    let (app, translators) = start().await;
    translators.refuse("openai", [Refusal::of(400)]);
    let body = json!({ "text": "a b c", "target_language": "it", "stream": true });
    let answer = ask(&app, "openai").json(&body).send().await.expect("an answer");
    assert_eq!(answer.status(), 400);
    translators.fault("openai", [Fault::Break(2)]);
    let events = events(ask(&app, "openai").json(&body)).await;
    let (name, error) = events.last().expect("an end");
    assert_eq!((told(&events).as_str(), name.as_str()), ("A B ", "error"));
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&"provider_unavailable".into(), &true.into())
    );
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM usage_logs").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_in_the_middle_pays_for_the_whole() {
    let (app, _translators) = start().await;
    let text = "One sentence is here, of ten words or so now. ".repeat(2_000);
    let body = json!({ "text": text, "target_language": "it", "stream": true });
    let mut answer = ask(&app, "openai").json(&body).send().await.expect("an answer");
    assert!(answer.chunk().await.expect("a piece").is_some());
    drop(answer);
    let billed = async || app.sql::<i64>("SELECT count(*) FROM usage_logs").await == 1;
    wait_until("the act to be billed", LONG, billed).await.expect("billed");
    assert_eq!(app.sql::<i32>("SELECT tokens_used FROM usage_logs").await, 2 * 20_000);
}
