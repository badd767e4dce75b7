//! What variables do once the service runs: statuses, headers and texts.

use reqwest::{Client, Response};
use serde_json::{Value, json};
use testkit::raw_ws::{RawSocket, Refused};

use crate::harness::{SOON, ServiceProcess, Setup, TestApp, binary, postgres, redis_url};

async fn asked_from(origin: &str, url: &str) -> Response {
    Client::new().get(url).header("origin", origin).send().await.expect("an answer")
}

fn allowed(answer: &Response) -> Option<&str> {
    answer.headers().get("access-control-allow-origin").and_then(|value| value.to_str().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cors_origins_say_which_pages_may_read_answers() {
    let app = Setup::new().with("CORS_ORIGINS", "https://good.example/, http://a").start().await;
    let url = format!("{}/health", app.url());
    for (origin, good) in [("https://good.example", true), ("https://evil.example", false)] {
        let answer = asked_from(origin, &url).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(allowed(&answer), good.then_some(origin));
    }
}

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

async fn opens(app: &TestApp, origin: &str) -> bool {
    let url = format!("{}/audio-stream", app.url());
    let bearer = format!("Bearer {}", app.token());
    let headers = [("authorization", bearer.as_str()), ("origin", origin)];
    let raw = RawSocket::connect(&url, &headers).await;
    let polled = asked_from(origin, &format!("{}{POLLING}", app.url())).await;
    let status = polled.status().as_u16();
    match raw {
        Ok(_) => assert_eq!(status, 200, "{origin}"),
        Err(error) => {
            let refused = error.downcast_ref::<Refused>().expect("an answer");
            assert_eq!((refused.status, status), (400, 400), "{origin}");
            assert_eq!(refused.body, "\"Not an accepted origin.\"");
            assert_eq!(polled.text().await.expect("text"), refused.body);
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socketio_origins_say_which_pages_may_open_a_socket() {
    let app = Setup::new().with("SOCKETIO_ORIGINS", "https://good.example/").start().await;
    let port = app.running.address.port();
    for (origin, good) in [
        ("https://good.example".to_owned(), true),
        // The service's own pages, also behind a proxy that ends TLS.
        (format!("http://127.0.0.1:{port}"), true),
        (format!("https://127.0.0.1:{port}"), true),
        ("https://evil.example".to_owned(), false),
        ("https://good.example.evil.example".to_owned(), false),
        ("null".to_owned(), false),
        (format!("http://127.0.0.1:{port}.evil.example"), false),
    ] {
        assert_eq!(opens(&app, &origin).await, good, "{origin}");
    }
    // Programs name no origin, and a refused page may still read what is public.
    app.socketio().await;
    let health = asked_from("https://evil.example", &format!("{}/health", app.url())).await;
    assert_eq!(health.status(), 200);
    let any = Setup::new().with("SOCKETIO_ORIGINS", "*").start().await;
    assert!(opens(&any, "https://evil.example").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_max_sessions_bounds_a_replica() {
    let app = Setup::new().with("LIVE_MAX_SESSIONS", "1").start().await;
    let (mut first, mut second) = (app.websocket().await, app.websocket().await);
    let start = json!({ "type": "start_streaming" });
    first.send_json(&start).await.expect("sent");
    let begun = |message: &Value| message["type"] == "session_started";
    first.receive_until(SOON, begun).await.expect("begun");
    // Its place is taken with its first audio.
    first.send_binary(vec![0; 3200]).await.expect("sent");
    app.deepgram().wait_for_stream(SOON, |_| true).await.expect("opened");
    second.send_json(&start).await.expect("sent");
    let told = |message: &Value| message["type"] == "error";
    let error = second.receive_until(SOON, told).await.expect("told");
    assert_eq!((&error["code"], &error["retryable"]), (&json!("overloaded"), &json!(true)));
    let ready = reqwest::get(format!("{}/ready", app.url())).await.expect("an answer");
    assert_eq!(ready.status(), 503);
    let body: Value = ready.json().await.expect("JSON");
    assert_eq!(body["status"], "at the session limit");
    first.send_json(&json!({ "type": "stop_streaming" })).await.expect("sent");
    let room = async || {
        let ready = reqwest::get(format!("{}/ready", app.url())).await.expect("an answer");
        ready.status() == 200
    };
    testkit::wait_until("room", SOON, room).await.expect("room");
}

/// `MIGRATE_ON_START=false` leaves the schema to `migrate`, and sees it when it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_can_be_left_to_a_step_of_their_own() {
    let url = postgres().create_database().expect("a database");
    let setup = Setup::on(&url, &redis_url()).with("MIGRATE_ON_START", "false");
    let (variables, _deepgram) = setup.variables().await;
    let process = ServiceProcess::start(&variables).await;
    let told = async || process.log().contains("MIGRATE_ON_START");
    testkit::wait_until("the wait to be told", SOON, told).await.expect("told");
    assert_eq!(process.status("/ready").await, Some(503));
    let migrated = binary::run_service(&["migrate"], &[("DATABASE_URL", &url)]).await;
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    process.wait_for_status("/ready", 200, crate::harness::LONG).await;
}
