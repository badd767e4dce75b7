//! `docs/openapi.json` is what the service makes of its own routes, to the letter.

use audio_transcription_api::server::openapi;

use crate::harness::TestApp;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");

/// With `GOLDEN=write` in the environment the file is written instead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_is_made_of_the_routes() {
    let app = TestApp::start().await;
    let routes = app.running.routes();
    let made = openapi::document(&routes);
    let written = serde_json::to_string_pretty(&made).expect("JSON") + "\n";
    if std::env::var("GOLDEN").is_ok_and(|wish| wish == "write") {
        std::fs::write(GOLDEN, &written).expect("written");
    }
    let golden = std::fs::read_to_string(GOLDEN).expect("the document");
    assert!(golden == written, "run: GOLDEN=write cargo test --test it openapi, and read the diff");
    let url = format!("{}/openapi.json", app.url());
    let served: serde_json::Value =
        reqwest::get(url).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(served, made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_route_is_said_to_do_something_and_nothing_else_is() {
    let app = TestApp::start().await;
    let method =
        |route: &audio_transcription_api::server::Route| route.method.as_str().to_lowercase();
    let mut routes: Vec<_> =
        app.running.routes().iter().map(|route| (method(route), route.path.to_owned())).collect();
    let mut described: Vec<_> =
        openapi::described().map(|(method, path)| (method.to_owned(), path.to_owned())).collect();
    routes.sort();
    described.sort();
    assert_eq!(routes, described);
}
