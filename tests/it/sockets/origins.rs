//! Which pages may open a socket: every origin at every door.

use testkit::raw_ws::{RawSocket, Refused};

use crate::harness::{Setup, TestApp};

const GOOD: &str = "https://good.example";

/// What a door says to an origin: a status, and the text of a refusal.
async fn websocket(app: &TestApp, path: &str, origin: Option<&str>) -> (u16, String) {
    let bearer = format!("Bearer {}", app.token());
    let mut headers = vec![("authorization", bearer.as_str())];
    headers.extend(origin.map(|origin| ("origin", origin)));
    match RawSocket::connect(&format!("{}{path}", app.url()), &headers).await {
        Ok(_) => (200, String::new()),
        Err(error) => {
            let refused: &Refused = error.downcast_ref().expect("an answer");
            (refused.status, refused.body.clone())
        }
    }
}

async fn http(app: &TestApp, path: &str, origin: Option<&str>) -> (u16, String) {
    let url = format!("{}{path}", app.url());
    let client = reqwest::Client::new();
    let request = if path.contains("ticket") { client.post(url) } else { client.get(url) };
    let request = request.bearer_auth(app.token());
    let request = origin.into_iter().fold(request, |request, it| request.header("origin", it));
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let text =
        if status.is_success() { String::new() } else { response.text().await.expect("text") };
    (if status.is_success() { 200 } else { status.as_u16() }, text)
}

async fn assert_origin(app: &TestApp, origin: Option<&str>, passes: bool) {
    let refusal = (400, "\"Not an accepted origin.\"".to_owned());
    let expected = if passes { (200, String::new()) } else { refusal };
    let answers = [
        websocket(app, "/audio-stream", origin).await,
        websocket(app, "/socket.io/?EIO=4&transport=websocket", origin).await,
        http(app, "/socket.io/?EIO=4&transport=polling", origin).await,
        http(app, "/auth/stream-ticket", origin).await,
    ];
    for answer in answers {
        assert_eq!(answer, expected, "{origin:?}");
    }
}

/// Origins that are not the one, however near they come.
const FOREIGN: [&str; 12] = [
    "https://evil.example",
    "https://good.example.evil.com",
    "https://evilgood.example",
    "http://good.example",
    "https://good.example:8443",
    "https://good.example:443",
    "HTTPS://GOOD.EXAMPLE",
    "https://good.example/",
    "https://user@good.example",
    "https://good.example.",
    "null",
    "file://",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_very_origin_our_own_and_none_pass() {
    // As operators paste it: with a slash.
    let setups = [("SOCKETIO_ORIGINS", "CORS_ORIGINS"), ("CORS_ORIGINS", "LOG_FORMAT")];
    for (list, other) in setups {
        let setup = Setup::new().with(list, format!("{GOOD}/, https://also.example"));
        let setup = if other == "CORS_ORIGINS" {
            setup.with(other, "https://rest-only.example")
        } else {
            setup
        };
        let app = setup.start().await;
        assert_origin(&app, Some(GOOD), true).await;
        assert_origin(&app, Some("https://also.example"), true).await;
        assert_origin(&app, None, true).await;
        // React Native names the very host that it speaks to.
        assert_origin(&app, Some(&app.url()), true).await;
        for origin in FOREIGN {
            assert_origin(&app, Some(origin), false).await;
        }
        assert_origin(&app, Some("https://rest-only.example"), false).await;
        let port = app.running.address.port();
        assert_origin(&app, Some(&format!("http://127.0.0.1:{}", port ^ 1)), false).await;
        assert_origin(&app, Some(&format!("http://localhost:{port}")), false).await;
    }
}
