//! `/v1/audio/transcriptions`, as OpenAI documents it.

use reqwest::{Client, multipart};
use serde_json::Value;
use testkit::{
    recorded::{Recorders, Refusal},
    speech,
};

use crate::{
    harness::TestApp,
    recorded::{clip, said, setup},
};

const CLIP: &str = "jfk.wav";

async fn start() -> (TestApp, Recorders) {
    let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
    let app = setup(&recorders).start().await;
    (app, recorders)
}

/// Status, media type and body.
async fn send(
    app: &TestApp,
    token: &str,
    fields: &[(&'static str, &'static str)],
) -> (u16, String, String) {
    let wav = std::fs::read(speech::fixture_path(CLIP)).expect("the clip");
    let file = multipart::Part::bytes(wav).file_name("speech.wav");
    let form =
        fields.iter().fold(multipart::Form::new(), |form, (name, text)| form.text(*name, *text));
    let request = Client::new().post(format!("{}/v1/audio/transcriptions", app.url()));
    let answer = request.bearer_auth(token).multipart(form.part("file", file)).send();
    let answer = answer.await.expect("an answer");
    let kind = answer.headers()["content-type"].to_str().expect("text").to_owned();
    (answer.status().as_u16(), kind, answer.text().await.expect("a body"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_is_as_openai_writes_it() {
    let (app, _recorders) = start().await;
    let token = app.token();
    let (status, _, body) = send(&app, &token, &[("model", "whisper-1")]).await;
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, body["text"].as_str()), (200, Some(said().as_str())));
    assert_eq!(
        (&body["usage"]["type"], &body["usage"]["seconds"]),
        (&"duration".into(), &11.0.into())
    );
    let (_, _, text) =
        send(&app, &token, &[("model", "whisper-1"), ("response_format", "text")]).await;
    assert_eq!(text, format!("{}\n", said()));
    let (_, _, srt) =
        send(&app, &token, &[("model", "whisper-1"), ("response_format", "srt")]).await;
    assert!(srt.starts_with("1\n00:00:0"), "{srt}");
    let (_, _, vtt) =
        send(&app, &token, &[("model", "whisper-1"), ("response_format", "vtt")]).await;
    assert!(vtt.starts_with("WEBVTT\n"), "{vtt}");
    let verbose = [
        ("model", "whisper-1"),
        ("response_format", "verbose_json"),
        ("timestamp_granularities[]", "word"),
    ];
    let (_, _, body) = send(&app, &token, &verbose).await;
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((&body["task"], &body["language"]), (&"transcribe".into(), &"english".into()));
    assert_eq!(body["words"].as_array().map(Vec::len), Some(clip(CLIP).words.len()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_tells_sentences_and_then_all_of_it() {
    let (app, _recorders) = start().await;
    let fields = [("model", "gpt-transcribe"), ("stream", "true")];
    let (status, kind, body) = send(&app, &app.token(), &fields).await;
    assert_eq!((status, kind.as_str()), (200, "text/event-stream"));
    let events: Vec<Value> = body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect();
    let (done, deltas) = events.split_last().expect("events");
    let told: String = deltas.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!((told.as_str(), &done["type"]), (said().as_str(), &"transcript.text.done".into()));
    assert_eq!((&done["text"], &done["usage"]["type"]), (&said().into(), &"tokens".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_of_another_provider_is_heard_there() {
    let (app, recorders) = start().await;
    for (model, provider) in
        [("nova-3", "deepgram"), ("universal-2", "assemblyai"), ("auto", "deepgram")]
    {
        let before = recorders.asked(provider);
        assert_eq!(send(&app, &app.token(), &[("model", model)]).await.0, 200, "{model}");
        assert!(recorders.asked(provider) > before, "{model}");
    }
    assert_eq!(recorders.asked("openai"), 0);
    assert_eq!(
        app.sql::<i64>(
            "SELECT count(*) FROM usage_logs WHERE endpoint = '/v1/audio/transcriptions'"
        )
        .await,
        3
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_as_openai_writes_them() {
    let (app, recorders) = start().await;
    let token = app.token();
    let error = async |token: &str, fields: &[(&'static str, &'static str)]| {
        let (status, _, body) = send(&app, token, fields).await;
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
        assert!(body["error"].get("param").is_some(), "{body}");
        (status, text("type"), text("code"), text("message"))
    };
    let refused = error("sk-wrong", &[("model", "whisper-1")]).await;
    assert_eq!((refused.0, refused.2.as_str()), (401, "invalid_api_key"));
    let missing = error(&token, &[]).await;
    assert_eq!((missing.0, missing.3.as_str()), (400, "you must provide a model parameter"));
    recorders.refuse("openai", [Refusal::of(400)]);
    let bad = error(&token, &[("model", "whisper-1")]).await;
    assert_eq!(
        (bad.0, bad.1.as_str(), bad.2.as_str()),
        (400, "invalid_request_error", "invalid_request")
    );
    recorders.refuse("openai", std::iter::repeat_n(Refusal::of(503), 4));
    let away = error(&token, &[("model", "whisper-1")]).await;
    assert_eq!((away.0, away.1.as_str()), (503, "server_error"));
}
