//! Who gets in through either door, and what those read who do not.

use serde_json::{Value, json};
use testkit::{
    auth0::Auth0,
    raw_ws::{RawSocket, Refused},
    socketio::{self, ConnectError, Heard},
};

use crate::{
    harness::{ServiceProcess, Setup, TestApp},
    oracle::SOON,
};

const AUDIENCE: &str = "https://api.test";
const STATIC_KEY: &str = "a-static-key-of-32-characters-00";

fn options(auth: Value, headers: &[(&str, &str)]) -> socketio::Options {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    socketio::Options {
        namespace: "/audio-stream".into(),
        auth,
        headers: headers.iter().map(pair).collect(),
        ..Default::default()
    }
}

/// The greeting of a Socket.IO client with these credentials.
async fn greeted(app: &TestApp, auth: Value, headers: &[(&str, &str)]) -> Value {
    let mut client =
        socketio::Client::connect(&app.url(), options(auth, headers)).await.expect("admitted");
    // Nothing comes before it.
    match client.receive(SOON).await.expect("greeted") {
        Heard::Event(event) if event.name == "connected" => event.json(),
        other => panic!("{other:?}"),
    }
}

async fn greeted_raw(app: &TestApp, headers: &[(&str, &str)]) -> Value {
    let url = format!("{}/audio-stream", app.url());
    let mut socket = RawSocket::connect(&url, headers).await.expect("admitted");
    socket.receive_json(SOON).await.expect("greeted")
}

fn assert_greeting(greeting: &Value, user_id: &str, auth_type: &str) {
    let mut expected = json!({
        "message": "Successfully connected to audio streaming service",
        "user_id": user_id,
        "auth_type": auth_type,
        "language": "en",
        "timestamp": greeting["timestamp"],
    });
    if let Some(kind) = greeting.get("type") {
        expected["type"] = kind.clone();
    }
    assert_eq!(greeting, &expected);
    let timestamp = greeting["timestamp"].as_str().expect("a timestamp");
    assert!(timestamp.len() == 27 && timestamp.ends_with('Z'), "{timestamp}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_credential_through_every_door() {
    let auth0 = Auth0::start().await.expect("a tenant");
    let app = Setup::new()
        .with("AUTH0_ISSUER_URL", auth0.issuer())
        .with("AUTH0_AUDIENCE", AUDIENCE)
        .with("API_KEY", STATIC_KEY)
        .start()
        .await;
    let jwt = auth0.token("auth0|ann", AUDIENCE).expect("a token");
    for (token, user_id, auth_type) in [
        (jwt, "auth0|ann", "auth0"),
        (STATIC_KEY.to_owned(), "0", "api_key"),
        (app.token(), "dev-user", "development"),
    ] {
        let bearer = format!("Bearer {token}");
        let payload = json!({ "token": token });
        for greeting in [
            greeted(&app, payload.clone(), &[]).await,
            greeted(&app, Value::Null, &[("authorization", &bearer)]).await,
            greeted(&app, Value::Null, &[("x-api-key", &token)]).await,
            greeted(&app, payload, &[("authorization", "Bearer something else")]).await,
            greeted_raw(&app, &[("authorization", &bearer)]).await,
            greeted_raw(&app, &[("x-api-key", &token)]).await,
        ] {
            assert_greeting(&greeting, user_id, auth_type);
        }
    }
    assert!(app.deepgram().requests().is_empty(), "a socket alone opens no stream");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_says_one_sentence() {
    let app = TestApp::start().await;
    let nobody = [
        Value::Null,
        json!({}),
        json!({ "token": "" }),
        json!({ "token": null }),
        json!({ "token": 7 }),
        json!("a string"),
        json!({ "token": "nonsense" }),
        json!({ "token": "a.b.c" }),
        json!({ "token": "sk_0000000000000000" }),
        json!({ "token": "x".repeat(100_000) }),
    ];
    for auth in nobody {
        let refused = socketio::Client::connect(&app.url(), options(auth.clone(), &[])).await;
        let error = refused.expect_err("refused");
        let Some(ConnectError(told)) = error.downcast_ref() else { panic!("{auth}: {error}") };
        assert_eq!(told, &json!({ "message": "Connection rejected by server" }), "{auth}");
    }
    assert_eq!(app.metric("sockets", &[]), 0);
    assert!(app.metric("sockets_refused_total", &["socketio", "unauthenticated"]) >= 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_raw_door_refuses_in_json() {
    let app = TestApp::start().await;
    let url = format!("{}/audio-stream", app.url());
    for headers in [
        vec![],
        vec![("authorization", "Bearer nonsense")],
        vec![("authorization", "Basic dXNlcjpwYXNz")],
        vec![("x-api-key", "")],
    ] {
        let error = RawSocket::connect(&url, &headers).await.expect_err("refused");
        let refused: &Refused = error.downcast_ref().expect("an HTTP answer");
        assert_eq!(refused.status, 401, "{headers:?}");
        assert_eq!(refused.header("content-type"), Some("application/json"));
        assert!(refused.header("www-authenticate").is_some());
        let body: Value = serde_json::from_str(&refused.body).expect("JSON");
        assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        assert_eq!((&body["code"], &body["retryable"]), (&json!("unauthenticated"), &json!(false)));
        assert_eq!(body["request_id"].as_str(), refused.header("x-request-id"));
    }
}

/// The root namespace took anyone once; it takes nobody now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_namespace_is_closed() {
    let app = TestApp::start().await;
    for namespace in ["/", "/audio", "/audio-stream/more"] {
        let options = socketio::Options {
            namespace: namespace.into(),
            auth: json!({ "token": app.token() }),
            ..Default::default()
        };
        let error = socketio::Client::connect(&app.url(), options).await.expect_err("refused");
        let told: &ConnectError = error.downcast_ref().expect("a connect_error");
        assert_eq!(told.0, json!({ "message": "Invalid namespace" }), "{namespace}");
    }
    assert_eq!(app.metric("sockets", &[]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_language_falls_back_and_is_logged() {
    let (variables, _deepgram) = Setup::new().variables().await;
    let service = ServiceProcess::start(&variables).await;
    for lang in ["xx", "EN", "en-US", "", "it"] {
        let options = socketio::Options {
            query: vec![("lang".into(), lang.into())],
            ..options(json!({ "token": service.token() }), &[])
        };
        let mut client =
            socketio::Client::connect(&service.url(), options).await.expect("admitted");
        let greeting = client.receive_event("connected", SOON).await.expect("greeted").json();
        assert_eq!(greeting["language"], if lang == "it" { "it" } else { "en" }, "{lang}");
    }
    let line = "Invalid language 'xx' requested by user dev-user. Defaulting to 'en'";
    let logged = async || service.log().contains(line);
    testkit::wait_until("the line in the log", SOON, logged).await.expect("logged");
    assert!(!service.log().contains("Invalid language 'it'"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_takes_as_many_sessions_as_it_may() {
    let app = Setup::new().with("LIVE_MAX_SESSIONS", "1").start().await;
    let mut first = app.websocket().await;
    let start = json!({ "type": "start_streaming" });
    first.send_json(&start).await.expect("sent");
    first.receive_until(SOON, |event| event["type"] == "session_started").await.expect("started");
    // Without audio it holds nobody's place.
    let mut idle = app.websocket().await;
    idle.send_json(&start).await.expect("sent");
    assert_eq!(idle.receive_json(SOON).await.expect("an answer")["type"], "session_started");
    first.send_binary(vec![0; 3200]).await.expect("sent");
    app.deepgram().wait_for_stream(SOON, |_| true).await.expect("opened");
    let mut second = app.websocket().await;
    second.send_json(&start).await.expect("sent");
    let refusal = second.receive_json(SOON).await.expect("an answer");
    assert_eq!((&refusal["code"], &refusal["retryable"]), (&json!("overloaded"), &json!(true)));
    // A slot is free again as soon as its client is gone.
    first.reset().expect("reset");
    let freed = async || app.metric("live_sessions_ended_total", &[]) == 1;
    testkit::wait_until("the end of the first session", SOON, freed).await.expect("ended");
    second.send_json(&start).await.expect("sent");
    let started = second.receive_json(SOON).await.expect("an answer");
    assert_eq!(started["type"], "session_started");
}

/// Each refusal costs a look at a credential: who knocks on and on is cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_insists_is_cut() {
    let app = TestApp::start().await;
    let options = socketio::Options::default();
    let mut client = socketio::Client::open(&app.url(), &options).await.expect("open");
    let connect = format!("40/audio-stream,{}", json!({ "token": "nonsense" }));
    for _ in 0..5 {
        client.send_frame(&connect).await.expect("sent");
        client.receive(SOON).await.expect_err("a connect_error");
    }
    // The next may meet a connection that is cut already.
    drop(client.send_frame(&connect).await);
    let end = client.receive(SOON).await.expect("an end");
    assert!(matches!(end, socketio::Heard::Closed(..)), "{end:?}");
    assert_eq!(app.metric("sockets_refused_total", &["socketio", "unauthenticated"]), 5);
    assert_eq!(app.metric("sockets_refused_total", &["socketio", "insisting"]), 1);
}
