//! `/v1/listen` over REST, as Deepgram documents it.

use reqwest::{Client, header::HeaderMap};
use serde_json::Value;
use testkit::{
    recorded::{KEY, Recorders, Refusal},
    speech,
};

use crate::{
    harness::{Setup, TestApp},
    recorded::{clip, said, setup},
};

const CLIP: &str = "jfk.wav";

async fn start() -> (TestApp, Recorders) {
    let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
    let app = setup(&recorders).start().await;
    (app, recorders)
}

async fn ask(app: &TestApp, token: &str, query: &str, body: Vec<u8>) -> (u16, HeaderMap, Value) {
    let url = format!("{}/v1/listen?{query}", app.url());
    let request = Client::new().post(url).header("authorization", format!("Token {token}"));
    let answer = request.body(body).send().await.expect("an answer");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.json().await.expect("JSON"))
}

fn wav() -> Vec<u8> {
    std::fs::read(speech::fixture_path(CLIP)).expect("the clip")
}

fn transcript(body: &Value) -> &str {
    body["results"]["channels"][0]["alternatives"][0]["transcript"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_asked_with_its_own_parameters_and_answers_with_its_own_object() {
    let (app, recorders) = start().await;
    let query =
        "model=nova-3&smart_format=true&keyterm=country&keyterm=ask&utterances=true&tag=a+b";
    let (status, _, body) = ask(&app, &app.token(), query, wav()).await;
    assert_eq!((status, transcript(&body)), (200, said().as_str()), "{body}");
    assert!(body["metadata"]["request_id"].is_string());
    let asked = recorders.requests().remove(0);
    assert_eq!(asked.query, query);
    assert_eq!(asked.headers["authorization"], format!("Token {KEY}"), "our key, not the caller's");
    let row: String = app
        .sql("SELECT concat_ws(' ', service, endpoint, model, cost_micros) FROM usage_logs")
        .await;
    assert_eq!(row, "deepgram /v1/listen nova-3 788");
    ask(&app, &app.token(), "", wav()).await;
    assert_eq!(recorders.requests()[1].query, "model=nova-2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_as_deepgram_writes_them() {
    let (app, recorders) = start().await;
    let token = app.token();
    let told = |(status, _, body): (u16, HeaderMap, Value)| {
        (
            status,
            body["err_code"].as_str().unwrap_or_default().to_owned(),
            body["err_msg"].is_string(),
        )
    };
    let code = |status, code: &str| (status, code.to_owned(), true);
    assert_eq!(told(ask(&app, "wrong", "", wav()).await), code(401, "INVALID_AUTH"));
    assert_eq!(told(ask(&app, &token, "", b"no audio".to_vec()).await), code(400, "Bad Request"));
    assert_eq!(told(ask(&app, &token, "", Vec::new()).await), code(400, "Bad Request"));
    let back = ask(&app, &token, "callback=http%3A%2F%2F127.0.0.1", wav()).await;
    assert_eq!(told(back), code(400, "Bad Request"));
    recorders.refuse("deepgram", std::iter::repeat_n(Refusal::of(503), 4));
    assert_eq!(told(ask(&app, &token, "", wav()).await), code(503, "PROVIDER_UNAVAILABLE"));
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM usage_logs").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_may_be_as_large_as_an_upload_and_no_byte_more() {
    let (app, recorders) = start().await;
    drop(app);
    let app = setup(&recorders).with("MAX_UPLOAD_MB", "1").start().await;
    let mut body = wav();
    body.resize(1024 * 1024, 0);
    assert_eq!(ask(&app, &app.token(), "", body.clone()).await.0, 200);
    body.push(0);
    let (status, _, told) = ask(&app, &app.token(), "", body).await;
    assert_eq!((status, &told["code"]), (413, &"payload_too_large".into()));
}

/// Where there is no Deepgram, whoever is there answers in its shape.
#[cfg(feature = "local-speech")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_deepgram_the_embedded_engine_answers_in_its_shape() {
    let app = Setup::new().local().start().await;
    let (status, _, body) = ask(&app, &app.token(), "punctuate=true", wav()).await;
    assert_eq!(status, 200, "{body}");
    assert!(transcript(&body).to_lowercase().contains("country"), "{body}");
    assert!(body["metadata"]["duration"].as_f64().is_some_and(|long| (long - 11.0).abs() < 0.1));
    assert!(body["results"]["channels"][0]["alternatives"][0]["words"][0]["start"].is_number());
}
