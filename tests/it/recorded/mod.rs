//! Recorded audio over REST, against providers reached by wire.

mod addresses;
mod billing;
mod bounds;
mod duplicates;
mod failures;
mod forms;
mod hostile;
mod long;
mod neighbours;
mod rebinding;
mod routes;

use reqwest::{
    Client, Response,
    header::HeaderMap,
    multipart::{Form, Part},
};
use serde_json::Value;
use testkit::{
    recorded::{KEY, Recorders, Speech, Spoken},
    speech,
};

use crate::harness::{Setup, TestApp};

/// What is said in most of these tests.
pub(crate) const CLIP: &str = "jfk.wav";

/// The words and samples of a clip.
pub(crate) fn clip(name: &str) -> Speech {
    let wav = std::fs::read(speech::fixture_path(name)).expect("the clip");
    let text = std::fs::read_to_string(speech::fixture_path("transcripts.json")).expect("read");
    let clips: Vec<Value> = serde_json::from_str(&text).expect("transcripts");
    let clip = clips.iter().find(|clip| clip["file"] == name).expect("its words");
    let ms = |value: &Value| (value.as_f64().expect("a time") * 1000.0).round() as u64;
    let words = clip["words"].as_array().expect("words").iter().map(|word| Spoken {
        word: word["word"].as_str().expect("a word").to_owned(),
        start_ms: ms(&word["start"]),
        end_ms: ms(&word["end"]),
    });
    let data = wav.windows(4).position(|four| four == b"data").expect("samples") + 8;
    Speech { pcm: wav[data..].to_vec(), words: words.collect() }
}

/// A service whose providers are these; limits of users stand in nobody's way.
pub(crate) fn setup(recorders: &Recorders) -> Setup {
    let base = recorders.base_url();
    let names = ["LIMIT_REQUESTS", "LIMIT_TRANSCRIPTIONS"];
    let setup = names.into_iter().fold(Setup::new(), |setup, name| setup.with(name, "unlimited"));
    setup
        .without_deepgram()
        .with("DEEPGRAM_API_KEY", KEY)
        .with("DEEPGRAM_BASE_URL", &base)
        .with("OPENAI_API_KEY", KEY)
        .with("OPENAI_BASE_URL", format!("{base}/v1"))
        .with("ASSEMBLYAI_API_KEY", KEY)
        .with("ASSEMBLYAI_BASE_URL", &base)
}

/// Providers that know the clip, and a service before them.
async fn start() -> (TestApp, Recorders) {
    let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
    let app = setup(&recorders).start().await;
    (app, recorders)
}

/// An answer, read to its end.
struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.expect("a body") }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The contract's text of a failure, with the status and code that came with it.
    fn failure(&self) -> (u16, String, String) {
        let body = self.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (self.status, text("code"), text("error"))
    }
}

fn form(fields: &[(&'static str, &'static str)]) -> Form {
    fields.iter().fold(Form::new(), |form, (name, value)| form.text(*name, *value))
}

fn file(bytes: Vec<u8>, name: &'static str) -> Part {
    Part::bytes(bytes).file_name(name)
}

async fn post(app: &TestApp, route: &str, form: Form) -> Answer {
    let request = Client::new().post(format!("{}/transcriptions/{route}", app.url()));
    let request = request.bearer_auth(app.token()).multipart(form);
    Answer::read(request.send().await.expect("an answer")).await
}

/// Sends the clip with these fields.
async fn send(app: &TestApp, route: &str, fields: &[(&'static str, &'static str)]) -> Answer {
    let wav = std::fs::read(speech::fixture_path(CLIP)).expect("the clip");
    post(app, route, form(fields).part("audio", file(wav, "speech.bin"))).await
}

pub(crate) fn said() -> String {
    let words: Vec<String> = clip(CLIP).words.into_iter().map(|word| word.word).collect();
    words.join(" ")
}
