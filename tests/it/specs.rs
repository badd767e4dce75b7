//! What providers' official documents say, held against who plays them here, against what we ask
//! them, and against our doors for their clients.

use reqwest::{Client, multipart};
use serde_json::{Value, json};
use testkit::{
    deepgram::{self, Script, Simulator},
    raw_ws::RawSocket,
    recorded::{KEY, Recorders},
    speech,
    translators::{self, Translators},
};
use tokio::process::Command;

use crate::{
    harness::{LONG, Setup, TestApp, binary},
    recorded::{self, CLIP, clip},
    translated,
};

const LISTEN: &str = "model=nova-3&language=en&encoding=linear16&sample_rate=16000\
                      &interim_results=true&punctuate=true&vad_events=true&utterance_end_ms=1000";

const OUR_DOOR: &str = "our door";

/// Messages, each with the schema that it has to fit.
#[derive(Default)]
struct Samples(Vec<Value>);

impl Samples {
    fn add(&mut self, from: &str, document: &str, schema: &str, message: &Value) {
        self.0.push(json!({
            "from": from, "document": document, "schema": schema, "message": message }));
    }

    /// What the documents say to them, a line each.
    async fn verdicts(&self) -> Vec<String> {
        let root = env!("CARGO_MANIFEST_DIR");
        let python = format!("{root}/.dev/venv-schemathesis/bin/python");
        let mut command = Command::new(binary::need(&python, "tests/clients/setup"));
        command.arg(format!("{root}/tests/clients/specs/check.py"));
        let lines: Vec<String> = self.0.iter().map(Value::to_string).collect();
        let finished = binary::tell(command, &(lines.join("\n") + "\n"), LONG).await;
        let verdicts: Vec<_> = finished.stdout.lines().map(str::to_owned).collect();
        assert_eq!(verdicts.len(), lines.len(), "{finished:?}");
        verdicts
    }

    /// All of them have to fit, and there have to be at least so many.
    async fn judge(self, least: usize) {
        assert!(self.0.len() >= least, "only {} were heard: {:#?}", self.0.len(), self.0);
        let verdicts = self.verdicts().await;
        let failed: Vec<_> = verdicts.iter().filter(|line| !line.starts_with("PASS ")).collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }
}

fn speaking() -> deepgram::Config {
    let config = deepgram::Config::speaking(Script::fixture(CLIP).expect("a script"));
    config.with_recordings(&speech::fixture_path("transcripts.json")).expect("recordings")
}

fn wav() -> Vec<u8> {
    std::fs::read(speech::fixture_path(CLIP)).expect("the clip")
}

/// Live messages and a recording's answer of whoever speaks Deepgram's protocol there.
async fn listen(samples: &mut Samples, from: &str, url: &str, key: &str) {
    let authorization = format!("Token {key}");
    let headers = [("authorization", authorization.as_str())];
    let live = format!("{url}/v1/listen?{LISTEN}");
    let mut socket = RawSocket::connect(&live, &headers).await.expect("admitted");
    for chunk in clip(CLIP).pcm.chunks(3200) {
        socket.send_binary(chunk).await.expect("sent");
    }
    socket.send_json(&json!({ "type": "CloseStream" })).await.expect("sent");
    let (heard, _) = socket.drain(LONG).await.expect("an end");
    for message in &heard {
        let kind = message["type"].as_str().expect("a type");
        samples.add(from, "deepgram", &format!("live.{kind}"), message);
    }
    let query = "model=nova-3&smart_format=true&utterances=true&paragraphs=true&diarize=true";
    let request = Client::new().post(format!("{url}/v1/listen?{query}"));
    let request = request.header("authorization", authorization).body(wav());
    let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    samples.add(from, "deepgram", "recorded", &answer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_found() {
    let mut samples = Samples::default();
    samples.add("nobody", "deepgram", "live.Results", &json!({ "type": "Results" }));
    samples.add("nobody", "openai", "CreateChatCompletionResponse", &json!({ "choices": 1 }));
    samples.add("nobody", "google", "v3.TranslateTextResponse", &json!({ "translation": [] }));
    let verdicts = samples.verdicts().await;
    assert!(verdicts.iter().all(|line| line.starts_with("FAIL ")), "{verdicts:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deepgrams() {
    let mut samples = Samples::default();
    let simulator = Simulator::start(speaking()).await.expect("the simulator starts");
    listen(&mut samples, "the simulator", &simulator.base_url(), KEY).await;
    let app = Setup::new().deepgram(speaking()).start().await;
    listen(&mut samples, OUR_DOOR, &app.url(), &app.token()).await;
    let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
    let request = Client::new().post(format!("{}/v1/listen?paragraphs=true", recorders.base_url()));
    let request = request.header("authorization", format!("Token {KEY}")).body(wav());
    let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    samples.add("the simulator of recordings", "deepgram", "recorded", &answer);
    samples.judge(30).await;
}

/// The data of server-sent events.
fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| data.parse().expect("JSON")).collect()
}

/// Transcriptions in each form of JSON, and an error, of whoever speaks OpenAI's protocol there.
async fn transcribe(samples: &mut Samples, from: &str, url: &str, key: &str) {
    let ask = async |key: &str, fields: &[(&'static str, &'static str)]| {
        let file = multipart::Part::bytes(wav()).file_name("a.wav");
        let form = multipart::Form::new().part("file", file);
        let form = fields.iter().fold(form, |form, (name, value)| form.text(*name, *value));
        let request = Client::new().post(format!("{url}/v1/audio/transcriptions"));
        let answer = request.bearer_auth(key).multipart(form).send().await.expect("an answer");
        answer.text().await.expect("a body")
    };
    let whisper = ("model", "whisper-1");
    let words = ("timestamp_granularities[]", "word");
    for (fields, schema) in [
        (&[("model", "gpt-4o-transcribe")][..], "CreateTranscriptionResponseJson"),
        (&[whisper, ("response_format", "json")], "CreateTranscriptionResponseJson"),
        (&[whisper, ("response_format", "verbose_json")], "CreateTranscriptionResponseVerboseJson"),
        (
            &[whisper, ("response_format", "verbose_json"), words],
            "CreateTranscriptionResponseVerboseJson",
        ),
    ] {
        let answer = ask(key, fields).await.parse().expect("JSON");
        samples.add(from, "openai", schema, &answer);
    }
    let refusal = ask("wrong", &[whisper]).await.parse().expect("JSON");
    samples.add(from, "openai", "ErrorResponse", &refusal);
    let stream = ask(key, &[("model", "gpt-4o-transcribe"), ("stream", "true")]).await;
    let events = events(&stream);
    assert!(events.len() > 1, "{from}: {stream}");
    for event in &events {
        samples.add(from, "openai", "CreateTranscriptionResponseStreamEvent", event);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais() {
    let mut samples = Samples::default();
    let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
    transcribe(&mut samples, "the simulator", &recorders.base_url(), KEY).await;
    let app = recorded::setup(&recorders).start().await;
    transcribe(&mut samples, OUR_DOOR, &app.url(), &app.token()).await;
    samples.judge(12).await;
}

async fn post(url: String, key: &str, body: Value) -> String {
    let request = Client::new().post(url).bearer_auth(key).json(&body);
    request.send().await.expect("an answer").text().await.expect("a body")
}

/// Has the service translate, so that it asks everybody.
async fn translate(app: &TestApp, route: &str, more: Value) {
    let mut body = json!({ "text": "Good morning.", "target_language": "it" });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let (status, answer) = translated::send(app, route, body).await;
    assert_eq!(status, 200, "{route}: {answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn translators_answers_and_our_questions() {
    let mut samples = Samples::default();
    let texts = Translators::start().await.expect("the translators start");
    let (base, key) = (texts.base_url(), translators::KEY);
    let messages = json!([{ "role": "user", "content": "Good morning." }]);
    for path in ["/v1/chat/completions", "/chat/completions"] {
        let asked =
            json!({ "model": "a-model", "messages": messages, "thinking": { "type": "disabled" } });
        let whole = post(format!("{base}{path}"), key, asked.clone()).await;
        let whole = whole.trim().parse().expect("JSON");
        samples.add("the simulator", "openai", "CreateChatCompletionResponse", &whole);
        let mut asked = asked;
        asked["stream"] = true.into();
        asked["stream_options"] = json!({ "include_usage": true });
        for event in events(&post(format!("{base}{path}"), key, asked.clone()).await) {
            samples.add("the simulator", "openai", "CreateChatCompletionStreamResponse", &event);
        }
        let refusal = post(format!("{base}{path}"), "wrong", asked).await.parse().expect("JSON");
        samples.add("the simulator", "openai", "ErrorResponse", &refusal);
    }
    let before = [texts.asked("openai"), texts.asked("deepseek")];
    let (v2, v3) = (translated::setup(&texts), translated::setup(&texts));
    let v2 = v2.with("GOOGLE_TRANSLATE_VERSION", "v2").start().await;
    let v3 = v3.with("GOOGLE_TRANSLATE_VERSION", "v3").start().await;
    for (app, route) in [(&v2, "openai"), (&v2, "deepseek"), (&v2, "google"), (&v3, "google")] {
        translate(app, route, json!({})).await;
        translate(app, route, json!({ "source_language": "en" })).await;
    }
    for (provider, before) in ["openai", "deepseek"].into_iter().zip(before) {
        for request in texts.requests(provider).into_iter().skip(before) {
            samples.add("we", "openai", "CreateChatCompletionRequest", &request.body);
        }
    }
    google(&mut samples, &texts).await;
    samples.judge(24).await;
}

/// What we asked Google, and what it answers to the same.
async fn google(samples: &mut Samples, texts: &Translators) {
    for request in texts.requests("google") {
        let is_v3 = request.body.get("contents").is_some();
        let (version, path, answer) = if is_v3 {
            (
                "v3",
                "/v3/projects/a-project/locations/global:translateText",
                "v3.TranslateTextResponse",
            )
        } else {
            ("v2", "/language/translate/v2", "v2.TranslationsListResponse")
        };
        let asked = format!("{version}.TranslateTextRequest");
        samples.add("we", "google", &asked, &request.body);
        let header = request.headers["authorization"].to_str().expect("text");
        let token = header.strip_prefix("Bearer ").expect("a token");
        let told = post(format!("{}{path}", texts.base_url()), token, request.body).await;
        let told: Value = told.parse().expect("JSON");
        let told = if is_v3 { &told } else { &told["data"] };
        samples.add("the simulator", "google", answer, told);
    }
}
