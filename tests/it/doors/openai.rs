//! `/v1/audio/transcriptions`, as OpenAI documents it.

use reqwest::{
    Client, Response, multipart,
    multipart::{Form, Part},
};
use serde_json::Value;
use testkit::{
    recorded::{Flow, Recorders, Refusal},
    speech,
};
use tokio::time::timeout;

use crate::{
    harness::{LONG, SOON, TestApp},
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
async fn a_stream_tells_words_and_then_all_of_it() {
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

/// A stream that is read as it comes.
struct Stream {
    answer: Response,
    read: String,
}

impl Stream {
    async fn open(app: &TestApp, key: Option<&str>) -> Self {
        let file = Part::bytes(std::fs::read(speech::fixture_path(CLIP)).expect("the clip"));
        let form = Form::new().part("file", file.file_name("a.wav"));
        let form = form.text("model", "gpt-transcribe").text("stream", "true");
        let request = Client::new().post(format!("{}/v1/audio/transcriptions", app.url()));
        let request = request.bearer_auth(app.token()).multipart(form);
        let request = key.into_iter().fold(request, |it, key| it.header("idempotency-key", key));
        let answer = request.send().await.expect("an answer");
        Self { answer, read: String::new() }
    }

    /// Reads on until that is there, or to the end.
    async fn read_until(&mut self, wanted: &str) -> &str {
        while !self.read.contains(wanted) {
            let piece = timeout(LONG, self.answer.chunk()).await.expect("in time");
            let Some(piece) = piece.expect("a piece") else { break };
            self.read.push_str(std::str::from_utf8(&piece).expect("text"));
        }
        &self.read
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_come_while_the_rest_is_still_heard() {
    let (app, recorders) = start().await;
    recorders.let_streams(Flow::Held);
    let mut stream = Stream::open(&app, Some("a-stream")).await;
    let first = said().split(' ').next().expect("a word").to_owned();
    let told = stream.read_until(&first).await;
    assert!(told.contains("transcript.text.delta") && !told.contains("done"), "{told}");
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM usage_logs").await, 0, "it is not over");
    recorders.let_streams(Flow::On);
    let told = stream.read_until("nothing of that kind").await;
    let done = told.split("data: ").last().expect("an event");
    let done: Value = serde_json::from_str(done.trim()).expect("JSON");
    assert_eq!((&done["type"], &done["text"]), (&"transcript.text.done".into(), &said().into()));
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM usage_logs").await, 1);
    // Asked for again under its name it is told whole, and nobody is asked.
    let mut again = Stream::open(&app, Some("a-stream")).await;
    assert!(again.answer.headers().contains_key("idempotent-replayed"));
    assert!(again.read_until("transcript.text.done").await.contains(&said()));
    assert_eq!(recorders.asked("openai"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_is_billed_for_what_was_heard_to_its_end() {
    let (app, recorders) = start().await;
    recorders.let_streams(Flow::Held);
    let mut stream = Stream::open(&app, None).await;
    stream.read_until("delta").await;
    drop(stream);
    recorders.let_streams(Flow::On);
    let billed = async || app.sql::<i64>("SELECT count(*) FROM usage_logs").await == 1;
    testkit::wait_until("the bill", SOON, billed).await.expect("billed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_says_so_and_costs_nothing() {
    let (app, recorders) = start().await;
    recorders.refuse("openai", [Refusal::of(400)]);
    assert_eq!(Stream::open(&app, None).await.answer.status(), 400, "before the first word");
    recorders.let_streams(Flow::Held);
    let mut stream = Stream::open(&app, None).await;
    stream.read_until("delta").await;
    recorders.let_streams(Flow::Broken);
    let told = stream.read_until("nothing of that kind").await;
    let last: Value =
        serde_json::from_str(told.split("data: ").last().expect("an event").trim()).expect("JSON");
    assert_eq!(last["error"]["type"], "server_error", "{told}");
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM usage_logs").await, 0);
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
