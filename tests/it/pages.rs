//! What plain HTTP answers: the greeting, health, the pages, and errors as the contract has them.

use reqwest::{Client, Method, Response, redirect::Policy};
use serde_json::{Value, json};

use crate::harness::TestApp;

async fn ask(app: &TestApp, method: Method, path: &str) -> Response {
    let client = Client::builder().redirect(Policy::none()).build().expect("a client");
    let request = client.request(method, format!("{}{path}", app.url()));
    request.send().await.expect("an answer")
}

async fn get(app: &TestApp, path: &str) -> Response {
    ask(app, Method::GET, path).await
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_greeting_and_health_are_the_contracts() {
    let app = TestApp::start().await;
    let greeting = get(&app, "/").await;
    assert_eq!(
        (greeting.status().as_u16(), header(&greeting, "content-type")),
        (200, "application/json")
    );
    let body: Value = greeting.json().await.expect("JSON");
    let expected = json!({
        "service": "Audio Transcription API",
        "version": "1.0.0",
        "status": "running",
        "endpoints": {
            "health": "/health",
            "transcription": {
                "deepgram": "/transcriptions/deepgram",
                "whisper": "/transcriptions/whisper",
                "assemblyai": "/transcriptions/assemblyai",
            },
            "translation": { "openai": "/translations/openai", "google": "/translations/google" },
            "postprocessing": {
                "sentiment": "/sentiment",
                "documents": "/documents/{format}",
                "reports": "/reports/{format}",
            },
        },
    });
    assert_eq!(body, expected);
    let mut health: Value = get(&app, "/health").await.json().await.expect("JSON");
    let build = health.as_object_mut().and_then(|body| body.remove("build")).expect("a build");
    assert!(build["version"].is_string() && build["commit"].is_string(), "{build}");
    let expected =
        json!({ "service": "Audio Transcription API", "status": "healthy", "version": "1.0.0" });
    assert_eq!(health, expected);
    let ready = get(&app, "/ready").await;
    assert_eq!(ready.status(), 200);
    let ready: Value = ready.json().await.expect("JSON");
    assert_eq!(ready, json!({ "status": "ready", "away": [] }));
    for path in ["/", "/health", "/ready", "/app/"] {
        let head = ask(&app, Method::HEAD, path).await;
        assert_eq!(head.status(), 200, "HEAD {path}");
        assert_eq!(head.text().await.expect("nothing"), "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_paths_and_methods_are_told_as_json() {
    let app = TestApp::start().await;
    for path in ["/nowhere", "/health/", "/app/nothing.js", "/AUDIO-STREAM", "/%00"] {
        let answer = get(&app, path).await;
        assert_eq!(answer.status(), 404, "{path}");
        assert_error(answer, "Endpoint not found", "not_found").await;
    }
    for (method, path) in
        [(Method::POST, "/health"), (Method::DELETE, "/"), (Method::PUT, "/audio-stream")]
    {
        let answer = ask(&app, method.clone(), path).await;
        assert_eq!(answer.status(), 405, "{method} {path}");
        let text = "The method is not allowed for the requested URL.";
        assert_error(answer, text, "invalid_request").await;
    }
    // A plain request for the raw door lacks the upgrade.
    assert_eq!(get(&app, "/audio-stream").await.status(), 426);
}

/// The body of an error: the original's field, and what callers may act on.
async fn assert_error(answer: Response, text: &str, code: &str) {
    assert_eq!(header(&answer, "content-type"), "application/json");
    let id = header(&answer, "x-request-id").to_owned();
    let body: Value = answer.json().await.expect("JSON");
    let expected = json!({ "error": text, "code": code, "retryable": false, "request_id": id });
    assert_eq!(body, expected);
    assert!(!id.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_id_is_taken_over_if_it_is_plain() {
    let app = TestApp::start().await;
    let client = Client::new();
    for (sent, kept) in [("abc-123_x.y", true), ("<script>", false), ("", false)] {
        let request = client.get(app.url()).header("x-request-id", sent);
        let answer = request.send().await.expect("an answer");
        assert_eq!(header(&answer, "x-request-id") == sent, kept, "{sent}");
    }
}

/// Files below `/app/` that a page needs, by how they end, and their types.
const TYPES: [(&str, &str); 5] = [
    (".js", "text/javascript; charset=utf-8"),
    (".css", "text/css; charset=utf-8"),
    (".html", "text/html; charset=utf-8"),
    (".svg", "image/svg+xml"),
    (".wav", "audio/wav"),
];
/// What lies beside the pages for people who work on them.
const NOT_SERVED: [&str; 3] = [".md", ".json", ".d.ts"];

fn assert_guarded(answer: &Response) {
    let policy = header(answer, "content-security-policy");
    for rule in
        ["default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"]
    {
        assert!(policy.contains(rule), "{rule} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(header(answer, "x-content-type-options"), "nosniff");
    assert_eq!(header(answer, "referrer-policy"), "no-referrer");
}

/// Every file of `page/` and below.
fn files(folder: &std::path::Path, prefix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the pages");
    let paths = entries.flat_map(|entry| {
        let entry = entry.expect("an entry");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() { files(&entry.path(), &format!("{name}/")) } else { vec![name] }
    });
    paths.filter(|path| !path.contains("node_modules")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_file_is_served_with_its_type_and_guards() {
    let app = TestApp::start().await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
    for path in files(&folder, "") {
        let answer = get(&app, &format!("/app/{path}")).await;
        if NOT_SERVED.iter().any(|end| path.ends_with(end)) {
            assert_eq!(answer.status(), 404, "{path}");
            continue;
        }
        assert_eq!(answer.status(), 200, "{path}");
        let kind = TYPES.iter().find(|(end, _)| path.ends_with(end)).expect("a known type").1;
        assert_eq!(header(&answer, "content-type"), kind, "{path}");
        assert_guarded(&answer);
        let kept = std::fs::read(folder.join(&path)).expect("the file");
        assert!(answer.bytes().await.expect("bytes") == kept, "{path} as it is on disk");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_is_at_docs_and_needs_nothing_from_elsewhere() {
    let app = TestApp::start().await;
    let page = get(&app, "/docs").await;
    assert_eq!(
        (page.status().as_u16(), header(&page, "content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert_guarded(&page);
    let text = page.text().await.expect("a page");
    let links = text.split(['"']).filter(|word| word.starts_with("http") || word.starts_with("//"));
    assert_eq!(links.count(), 0, "{text}");
    for path in text.split('"').filter(|word| word.starts_with("/app/") || *word == "/openapi.json")
    {
        assert_eq!(get(&app, path).await.status(), 200, "{path}");
    }
    let document = get(&app, "/openapi.json").await.text().await.expect("a document");
    let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    assert!(document["paths"]["/docs"].is_object());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_at_app() {
    let app = TestApp::start().await;
    let moved = get(&app, "/app").await;
    assert_eq!((moved.status().as_u16(), header(&moved, "location")), (308, "/app/"));
    let index = get(&app, "/app/").await;
    assert_eq!(header(&index, "content-type"), "text/html; charset=utf-8");
    assert_guarded(&index);
    let html = index.text().await.expect("HTML");
    assert!(html.starts_with("<!doctype html>") || html.starts_with("<!DOCTYPE html>"));
    for path in
        ["/app/nothing.js", "/app/../Cargo.toml", "/app/%2e%2e/Cargo.toml", "/app//etc/passwd"]
    {
        assert_eq!(get(&app, path).await.status(), 404, "{path}");
    }
}
