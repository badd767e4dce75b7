//! Local accounts and API keys over REST.

mod crowd;
mod flow;
mod hung_up;
mod keys;
mod outage;
mod secrets;
mod texts;
mod tokens;
mod unicode;

use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};

use crate::harness::{Setup, TestApp};

const PASSWORD: &str = "correct horse 1";

/// A service whose limits stand in nobody's way.
fn setup() -> Setup {
    without_limits(Setup::new())
}

fn without_limits(setup: Setup) -> Setup {
    let names = ["LIMIT_LOGINS", "LIMIT_REGISTRATIONS", "LIMIT_REFRESHES", "LIMIT_REQUESTS"];
    names.into_iter().fold(setup, |setup, name| setup.with(name, "unlimited"))
}

/// An answer, read to its end.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    /// A field that is text.
    fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }

    /// The status and the text of an error.
    fn error(&self) -> (u16, &str) {
        (self.status, self.text("error"))
    }

    /// The status and the text of an error of the routes that say `msg`.
    fn msg(&self) -> (u16, &str) {
        (self.status, self.text("msg"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

/// Calls a route, such as `POST /auth/login`, with a bearer token unless it is empty, and with a
/// JSON body unless it is null.
async fn call(app: &TestApp, route: &str, token: &str, body: Value) -> Answer {
    let (method, path) = route.split_once(' ').expect("a method and a path");
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let mut request = reqwest::Client::new().request(method, format!("{}{path}", app.url()));
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    if !body.is_null() {
        request = request.json(&body);
    }
    answer(request).await
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.expect("an answer");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.expect("a body");
    let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text}"));
    Answer { status, headers, body }
}

async fn register(app: &TestApp, email: &str) -> Answer {
    let body = json!({ "email": email, "password": PASSWORD });
    let answer = call(app, "POST /auth/register", "", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer
}

async fn login(app: &TestApp, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    call(app, "POST /auth/login", "", body).await
}

/// The status of the profile under that credential.
async fn profile(app: &TestApp, token: &str) -> u16 {
    call(app, "GET /auth/profile", token, Value::Null).await.status
}

async fn execute(app: &TestApp, statement: &'static str) {
    sqlx::query(statement).execute(app.running.app.database.pool()).await.expect("it runs");
}
