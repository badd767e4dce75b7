//! Acts that their callers name: done and billed once, whoever asks again, where and how often.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::{Client, RequestBuilder, multipart};
use serde_json::{Value, json};
use testkit::{
    recorded::{KEY, Recorders, Refusal},
    speech,
    translators::{Fault, Translators},
    wait_until,
};

use crate::{
    harness::{LONG, Ledger, ServiceProcess, Setup, TestApp},
    recorded::clip,
    translated::setup,
};

const STATIC_KEY: &str = "a-static-key-of-32-characters-000";
const CLIP: &str = "jfk.wav";
const ROWS: &str = "SELECT count(*) FROM usage_logs";

fn ask(url: &str, name: &str, body: &Value) -> RequestBuilder {
    let request = Client::new().post(format!("{url}/translations/openai")).json(body);
    request.header("x-api-key", STATIC_KEY).header("idempotency-key", name)
}

fn upload(url: &str, name: &str, fields: &[(&'static str, &'static str)]) -> RequestBuilder {
    let wav = std::fs::read(speech::fixture_path(CLIP)).expect("the clip");
    let file = multipart::Part::bytes(wav).file_name("speech.wav");
    let form =
        fields.iter().fold(multipart::Form::new(), |form, (name, text)| form.text(*name, *text));
    let request = Client::new().post(format!("{url}/transcriptions/deepgram"));
    let request = request.header("x-api-key", STATIC_KEY).header("idempotency-key", name);
    request.multipart(form.part("audio", file))
}

/// Status, body, and whether it is said to be an answer from before.
async fn read(request: RequestBuilder) -> (u16, Value, bool) {
    let answer = request.send().await.expect("an answer");
    let (status, replayed) =
        (answer.status().as_u16(), answer.headers().contains_key("idempotent-replayed"));
    let text = answer.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)), replayed)
}

async fn world() -> (Setup, Recorders, Translators) {
    let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
    let translators = Translators::start().await.expect("the translators start");
    let setup = setup(&translators)
        .with("API_KEY", STATIC_KEY)
        .with("DEEPGRAM_API_KEY", KEY)
        .with("DEEPGRAM_BASE_URL", recorders.base_url());
    (setup, recorders, translators)
}

fn hello() -> Value {
    json!({ "text": "Good morning.", "target_language": "it" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_again_in_parallel_and_on_another_replica_gets_the_same_and_one_bill() {
    let (setup, recorders, translators) = world().await;
    let apps: Vec<TestApp> = setup.start_many(2).await;
    let all = (0..10).map(|n| read(ask(&apps[n % 2].url(), "one", &hello())));
    let answers = join_all(all).await;
    let bodies: BTreeSet<String> = answers.iter().map(|answer| answer.1.to_string()).collect();
    assert_eq!((bodies.len(), translators.asked("openai")), (1, 1), "{bodies:?}");
    assert!(answers.iter().all(|answer| answer.0 == 200));
    assert_eq!(answers.iter().filter(|answer| !answer.2).count(), 1, "one was the first");
    let all =
        (0..6).map(|n| read(upload(&apps[n % 2].url(), "one", &[("response_format", "srt")])));
    let answers = join_all(all).await;
    let bodies: BTreeSet<String> = answers.iter().map(|answer| answer.1.to_string()).collect();
    assert_eq!((bodies.len(), recorders.asked("deepgram")), (1, 1), "{bodies:?}");
    assert!(answers.iter().all(|answer| answer.0 == 200), "{answers:?}");
    assert_eq!(apps[0].sql::<i64>(ROWS).await, 2);
    // Another form of it is another wish.
    let (status, told, _) = read(upload(&apps[1].url(), "one", &[])).await;
    assert_eq!((status, &told["code"]), (422, &"idempotency_key_reused".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_body_is_refused_and_another_account_has_names_of_its_own() {
    let (setup, _recorders, translators) = world().await;
    let app = setup.start().await;
    assert_eq!(read(ask(&app.url(), "one", &hello())).await.0, 200);
    let mut other = hello();
    other["target_language"] = "fr".into();
    let (status, told, _) = read(ask(&app.url(), "one", &other)).await;
    assert_eq!((status, &told["code"]), (422, &"idempotency_key_reused".into()));
    let theirs = Client::new().post(format!("{}/translations/openai", app.url())).json(&other);
    let theirs = theirs.bearer_auth(app.token()).header("idempotency-key", "one");
    let (status, _, replayed) = read(theirs).await;
    assert_eq!((status, replayed, translators.asked("openai")), (200, false, 2));
    let long = "x".repeat(256);
    let (status, told, _) = read(ask(&app.url(), &long, &hello())).await;
    assert_eq!((status, &told["code"]), (400, &"invalid_request".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_may_be_asked_again_and_what_is_a_day_old_is_new() {
    let (setup, _recorders, translators) = world().await;
    let app = setup.start().await;
    translators.refuse("openai", [Refusal::of(400)]);
    assert_eq!(read(ask(&app.url(), "one", &hello())).await.0, 400);
    let (status, _, replayed) = read(ask(&app.url(), "one", &hello())).await;
    assert_eq!((status, replayed), (200, false));
    assert!(read(ask(&app.url(), "one", &hello())).await.2);
    let age = "WITH aged AS (UPDATE idempotency_keys SET created_at = created_at - interval '24 hours' \
               RETURNING 1) SELECT count(*) FROM aged";
    assert_eq!(app.sql::<i64>(age).await, 1);
    let (status, _, replayed) = read(ask(&app.url(), "one", &hello())).await;
    assert_eq!((status, replayed, translators.asked("openai")), (200, false, 3));
    assert_eq!(app.sql::<i64>(ROWS).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_asked_for_again_tells_its_end() {
    let (setup, _recorders, translators) = world().await;
    let app = setup.start().await;
    let mut body = hello();
    body["stream"] = true.into();
    let first = read(ask(&app.url(), "one", &body)).await.1;
    let again = read(ask(&app.url(), "one", &body)).await.1;
    let (first, again) = (first.as_str().expect("events"), again.as_str().expect("events"));
    assert!(first.contains("event: delta") && !again.contains("event: delta"), "{again}");
    assert_eq!(first.split("event: done").nth(1), again.split("event: done").nth(1));
    assert_eq!(translators.asked("openai"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_whose_replica_is_killed_is_done_again_elsewhere_and_billed_once() {
    let (setup, _recorders, translators) = world().await;
    let (variables, _) = setup.variables().await;
    let first = ServiceProcess::start(&variables).await;
    first.wait_for_status("/ready", 200, LONG).await;
    // It was billed, and its answer had not been kept yet.
    assert_eq!(read(ask(&first.url(), "one", &hello())).await.0, 200);
    let ledger = Ledger(&variables["DATABASE_URL"]);
    let unkept = "UPDATE idempotency_keys SET body = NULL, content_type = NULL RETURNING 1";
    let rows: Vec<(i32,)> = ledger.rows(unkept).await.expect("updated");
    assert_eq!(rows.len(), 1);
    // Another one is killed while it works.
    translators.fault("openai", [Fault::Hang]);
    let mut other = hello();
    other["text"] = "Good night.".into();
    let asking = tokio::spawn(ask(&first.url(), "two", &other).send());
    wait_until("the translator to be asked", LONG, async || translators.asked("openai") == 2)
        .await
        .expect("asked");
    drop(first);
    drop(asking);
    let second = ServiceProcess::start(&variables).await;
    second.wait_for_status("/ready", 200, LONG).await;
    let (one, two) = tokio::join!(
        read(ask(&second.url(), "one", &hello())),
        read(ask(&second.url(), "two", &other)),
    );
    assert_eq!((one.0, &one.1["translated_text"]), (200, &"GOOD MORNING.".into()));
    assert_eq!((two.0, &two.1["translated_text"]), (200, &"GOOD NIGHT.".into()));
    let rows: Vec<(i64,)> = ledger.rows(ROWS).await.expect("rows");
    assert_eq!(rows, [(2,)]);
}
