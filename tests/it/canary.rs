//! Secrets in every place that a request has: none comes back in an error, and none is logged,
//! traced or counted.

use std::time::Duration;

use audio_transcription_api::server::Route;
use reqwest::Method;
use serde_json::json;
use testkit::{auth0::Auth0, otlp::Receiver, raw_ws::RawSocket, socketio};

use crate::harness::{LONG, ServiceProcess, Setup, TestApp, doors};

const AUDIENCE: &str = "https://api.transcripts.io";
const PASSWORD: &str = "canary-password-77";
const ADDRESS: &str = "canary-ada@example.test";

/// Secrets as they come: well formed, malformed, and in the wrong place.
fn secrets(tenant: &Auth0) -> Vec<String> {
    let claims = tenant.claims("auth0|canary-sub", AUDIENCE).with("email", ADDRESS);
    let expired = claims.clone().expired_for(Duration::from_secs(9));
    vec![
        format!("usr_7_canary-key-{}", "k".repeat(33)),
        format!("session_canary-key-{}", "s".repeat(33)),
        "canary-token-not-a-jwt".to_owned(),
        "canary-token.canary-token.canary-token".to_owned(),
        tenant.mint(&expired).expect("a token"),
        tenant.mint(&claims.forged()).expect("a token"),
    ]
}

/// What may stand nowhere: the canaries as they are, and the tokens by their signature.
fn traces_of(secret: &str) -> String {
    secret.rsplit('.').next().filter(|part| part.len() > 20).unwrap_or(secret).to_owned()
}

/// One request with the secret wherever it fits.
async fn ask(service: &ServiceProcess, route: &Route, secret: &str) -> (u16, String) {
    let path = route.path.replace("{id}", "999").replace("{*path}", "app.js");
    let url = format!("{}{path}?token={secret}&ticket={secret}&share={secret}", service.url());
    let fields = json!({
        "email": ADDRESS, "password": PASSWORD, "username": ADDRESS, "auth_token": secret,
        "token": secret, "name": 7,
    });
    let mut request = reqwest::Client::new().request(route.method.clone(), url);
    for name in ["x-api-key", "x-share-token", "cookie", "referer"] {
        request = request.header(name, secret);
    }
    if route.method == Method::POST {
        request = request.json(&fields);
    }
    let response = request.bearer_auth(secret).send().await.expect("an answer");
    (response.status().as_u16(), response.text().await.expect("a body"))
}

/// The secret at both doors, in each of the places where a client might put it.
async fn knock(service: &ServiceProcess, secret: &str) {
    let url = format!("{}/audio-stream", service.url());
    let bearer = format!("Bearer {secret}");
    let (protocol, shared) = (format!("ticket, {secret}"), format!("share, {secret}"));
    for (query, headers) in [
        ("", vec![("authorization", bearer.as_str())]),
        ("", vec![("x-api-key", secret)]),
        ("", vec![("sec-websocket-protocol", protocol.as_str())]),
        ("", vec![("sec-websocket-protocol", shared.as_str())]),
        ("", vec![("x-share-token", secret)]),
        ("?token=", vec![]),
        ("?ticket=", vec![]),
    ] {
        let tail = if query.is_empty() { "" } else { secret };
        let answer = RawSocket::connect(&format!("{url}{query}{tail}"), &headers).await;
        let refusal = answer.err().map(|error| error.to_string()).expect("refused");
        assert!(!refusal.contains(&traces_of(secret)), "{refusal}");
    }
    for field in ["token", "ticket", "share"] {
        let options = socketio::Options {
            namespace: "/audio-stream".into(),
            auth: json!({ field: secret }),
            query: vec![(field.to_owned(), secret.to_owned())],
            ..Default::default()
        };
        assert!(socketio::Client::connect(&service.url(), options).await.is_err());
    }
}

/// A session with a good credential and words in it, so that there are spans.
async fn speak(service: &ServiceProcess) {
    let (mut socket, _) =
        doors::websocket(&service.url(), &service.token()).await.expect("admitted");
    socket.send_binary(vec![1; 64_000]).await.expect("sent");
    socket.send_text(r#"{"type":"authenticate","token":"canary-token"}"#).await.expect("sent");
    socket.send_text(r#"{"type":"stop_streaming"}"#).await.expect("sent");
    while socket.receive_json(LONG).await.expect("an event")["type"] != "streaming_stopped" {}
}

/// A good share token in every place where it may be; it.
async fn share(service: &ServiceProcess) -> String {
    let room = format!("{}/rooms/canary", service.url());
    let ask = reqwest::Client::new().post(format!("{room}/shares")).bearer_auth(service.token());
    let made: serde_json::Value =
        ask.send().await.expect("an answer").json().await.expect("a share");
    let token = made["token"].as_str().expect("a token").to_owned();
    let events = reqwest::get(format!("{room}/events?share={token}")).await.expect("an answer");
    assert_eq!(events.status(), 200);
    let url = format!("{}/audio-stream", service.url());
    let protocol = format!("share, {token}");
    for header in [("x-share-token", token.as_str()), ("sec-websocket-protocol", &protocol)] {
        let mut socket = RawSocket::connect(&url, &[header]).await.expect("admitted");
        let join = json!({ "type": "join", "room": "canary", "share": token });
        socket.send_json(&join).await.expect("sent");
        socket.receive_until(LONG, |it| it["type"] == "joined").await.expect("joined");
    }
    token
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_comes_back_nowhere() {
    let (tenant, collector) = (Auth0::start().await, Receiver::start().await);
    let (tenant, collector) = (tenant.expect("a tenant"), collector.expect("a collector"));
    let routes = TestApp::start().await.running.routes();
    let setup = Setup::new()
        .with("AUTH0_ISSUER_URL", tenant.issuer())
        .with("AUTH0_DOMAIN", "transcripts.eu.auth0.com")
        .with("AUTH0_AUDIENCE", AUDIENCE)
        .with("ALLOW_INSECURE_SESSION_AUTH", "true")
        .with("LOG_LEVEL", "DEBUG")
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .with("OTEL_TRACES_SAMPLER_ARG", "1");
    let (variables, _deepgram) = setup.variables().await;
    let service = ServiceProcess::start(&variables).await;
    let secrets = secrets(&tenant);
    for secret in &secrets {
        for route in &routes {
            let (status, body) = ask(&service, route, secret).await;
            let traces = [traces_of(secret), PASSWORD.to_owned()];
            let hit = traces.iter().find(|trace| status >= 400 && body.contains(trace.as_str()));
            assert_eq!(hit, None, "{route:?} answered {status}: {body}");
        }
        knock(&service, secret).await;
    }
    speak(&service).await;
    let shared = share(&service).await;
    let exported = async || !collector.spans().is_empty();
    testkit::wait_until("spans", LONG, exported).await.expect("spans");
    let said = format!("{}\n{:?}", service.log(), collector.spans());
    for secret in
        secrets.iter().map(|secret| traces_of(secret)).chain([PASSWORD.to_owned(), shared])
    {
        let line = said.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "{secret} was said");
    }
    let line = said.lines().find(|line| line.contains(ADDRESS));
    assert_eq!(line, None, "an address was said");
    assert!(service.log().contains("Authentication failed"), "the search was in the right place");
}
