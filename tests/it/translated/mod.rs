//! Texts over REST, against translators reached by wire.

mod bodies;
mod failures;
mod forwarding;
mod long;
mod streams;
mod together;

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use testkit::translators::{KEY, Translators};

use crate::harness::{Setup, TestApp};

/// A service whose translators are these; limits of users stand in nobody's way.
pub(crate) fn setup(translators: &Translators) -> Setup {
    let base = translators.base_url();
    let file = std::env::temp_dir().join(format!("account-{}.json", uuid::Uuid::new_v4().simple()));
    std::fs::write(&file, translators.service_account().to_string()).expect("the account's file");
    let names = ["LIMIT_REQUESTS", "LIMIT_TRANSCRIPTIONS"];
    let setup = names.into_iter().fold(Setup::new(), |setup, name| setup.with(name, "unlimited"));
    setup
        .without_deepgram()
        .with("OPENAI_API_KEY", KEY)
        .with("OPENAI_BASE_URL", format!("{base}/v1"))
        .with("DEEPSEEK_API_KEY", KEY)
        .with("DEEPSEEK_BASE_URL", &base)
        .with("GOOGLE_APPLICATION_CREDENTIALS", file.display().to_string())
        .with("GOOGLE_TRANSLATE_BASE_URL", &base)
        .with("MAKE_WEBHOOK_URL", format!("{base}/hook/usual"))
}

async fn start() -> (TestApp, Translators) {
    let translators = Translators::start().await.expect("the translators start");
    let app = setup(&translators).start().await;
    (app, translators)
}

fn ask(app: &TestApp, route: &str) -> RequestBuilder {
    Client::new().post(format!("{}/translations/{route}", app.url())).bearer_auth(app.token())
}

/// The status and body of an answer.
async fn read(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a body");
    let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (status, body)
}

/// Asks with that body, or with a form of it where the route takes forms.
pub(crate) async fn send(app: &TestApp, route: &str, body: Value) -> (u16, Value) {
    let request = ask(app, route);
    read(if route == "deepseek" { form(request, &body) } else { request.json(&body) }).await
}

/// The fields of an object as a form.
fn form(request: RequestBuilder, body: &Value) -> RequestBuilder {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in body.as_object().expect("fields") {
        form.append_pair(name, value.as_str().expect("text"));
    }
    request.header("content-type", "application/x-www-form-urlencoded").body(form.finish())
}

fn hello() -> Value {
    json!({ "text": "Good morning, doctor.", "target_language": "it" })
}
