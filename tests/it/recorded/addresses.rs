//! Audio that callers name by its address: fetched where everybody could, and nowhere else.

use std::{
    net::Ipv6Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use reqwest::Client;
use serde_json::{Value, json};
use testkit::{recorded::Recorders, speech};
use tokio::net::TcpListener;

use super::{CLIP, clip, form, post, said, setup};
use crate::harness::TestApp;

/// Hosts that are this machine, this network or nobody, however they are written.
const HOSTS: [&str; 43] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "127.127.127.127",
    "0x7f.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "0X7F000001",
    "0177.0.0.1",
    "0177.1",
    "017700000001",
    "2130706433",
    "0",
    "0.0.0.0",
    "0x0",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "１２７.０.０.１",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127%2e0%2e0%2e1",
    "%31%32%37.0.0.1",
    "127.0.\t0.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::1]",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.100.100.200",
];

/// Whole addresses that mean something else than they look like, or no file at all; `PORT` is that
/// of the listener whom nobody may reach.
const ADDRESSES: [&str; 24] = [
    "http://example.com@127.0.0.1:PORT/",
    "http://example.com:80@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT@127.0.0.1:PORT/",
    "http://10.0.0.1\\@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT#@example.com/",
    "http://127.0.0.1:PORT?@example.com/",
    "http:127.0.0.1:PORT/",
    "http:/127.0.0.1:PORT/",
    "http:///127.0.0.1:PORT/",
    "http:\\\\127.0.0.1:PORT/",
    " http://127.0.0.1:PORT/",
    "hTTp://127.0.0.1:PORT/",
    "https://127.0.0.1:PORT/",
    "http://127.0.0.1:22/",
    "http://127.0.0.1:25/",
    "http://127.0.0.1:6379/",
    "file:///etc/passwd",
    "file://127.0.0.1:PORT/etc/passwd",
    "gopher://127.0.0.1:PORT/_x",
    "dict://127.0.0.1:PORT/d",
    "ftp://127.0.0.1:PORT/a.wav",
    "ws://127.0.0.1:PORT/",
    "jar:http://127.0.0.1:PORT/a!/b",
    "data:audio/wav;base64,UklGRg==",
];

/// A listener that counts who comes, on both families.
async fn canary() -> (u16, Arc<AtomicUsize>) {
    let counted = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut listeners = vec![listener];
    // A machine may be without IPv6.
    listeners.extend(TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await.ok());
    for listener in listeners {
        let counted = counted.clone();
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    (port, counted)
}

/// A server of files that redirects where it is told, too.
async fn files(canary: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let to = move |place: String| async move { (StatusCode::FOUND, [(header::LOCATION, place)]) };
    let wav = async || std::fs::read(speech::fixture_path(CLIP)).expect("the clip").into_response();
    let routes = Router::new()
        .route("/a.wav", get(wav))
        .route("/text", get(async || "no audio"))
        .route("/there", get(move || to("/a.wav".to_owned())))
        .route("/inside", get(move || to(format!("http://127.0.0.1:{canary}/"))))
        .route("/file", get(move || to("file:///etc/passwd".to_owned())))
        .route("/round", get(move || to("/round".to_owned())));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    port
}

async fn start() -> (TestApp, Recorders, u16, u16, Arc<AtomicUsize>) {
    let recorders = Recorders::start(clip(CLIP)).await.expect("the providers start");
    let (canary, counted) = canary().await;
    let files = files(canary).await;
    let app = setup(&recorders)
        .with("AUDIO_URL_PORTS", format!("80,443,{canary}"))
        .with("AUDIO_URL_ALLOW", format!("127.0.0.1:{files}"))
        .start()
        .await;
    (app, recorders, files, canary, counted)
}

async fn listen(app: &TestApp, url: &str) -> (u16, Value) {
    let request = Client::new().post(format!("{}/v1/listen", app.url())).bearer_auth(app.token());
    let answer = request.json(&json!({ "url": url })).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audio_is_fetched_and_transcribed() {
    let (app, recorders, files, _, counted) = start().await;
    for path in ["a.wav", "there"] {
        let (status, body) = listen(&app, &format!("http://127.0.0.1:{files}/{path}")).await;
        let told = &body["results"]["channels"][0]["alternatives"][0]["transcript"];
        assert_eq!((status, told), (200, &said().into()), "{path}: {body}");
    }
    let fields = form(&[]).text("audio_url", format!("http://127.0.0.1:{files}/a.wav"));
    let answer = post(&app, "deepgram", fields).await;
    assert_eq!((answer.status, &answer.json()["transcript"]), (200, &said().into()));
    assert_eq!((recorders.asked("deepgram"), counted.load(Ordering::SeqCst)), (3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_reached_who_is_not_everybodys() {
    let (app, recorders, _, canary, counted) = start().await;
    let hosts = HOSTS.iter().map(|host| format!("http://{host}:{canary}/a.wav"));
    let others = ADDRESSES.iter().map(|address| address.replace("PORT", &canary.to_string()));
    for url in hosts.chain(others) {
        let (status, body) = listen(&app, &url).await;
        assert_eq!((status, &body["code"]), (400, &"invalid_request".into()), "{url}: {body}");
    }
    assert_eq!((recorders.asked("deepgram"), counted.load(Ordering::SeqCst)), (0, 0));
    assert_eq!(app.sql::<i64>("SELECT count(*) FROM usage_logs").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_leads_no_further_than_its_sender_might() {
    let (app, _recorders, files, _, counted) = start().await;
    for (path, text) in [
        ("inside", "its host or port is not allowed"),
        ("file", "it is not an http or https address"),
        ("round", "it redirects too often"),
        ("nothing", "it does not answer with a file"),
    ] {
        let (status, body) = listen(&app, &format!("http://127.0.0.1:{files}/{path}")).await;
        let told = format!("the audio cannot be fetched: {text}");
        assert_eq!((status, &body["err_msg"]), (400, &told.into()), "{path}");
    }
    assert_eq!(counted.load(Ordering::SeqCst), 0);
    let (status, body) = listen(&app, &format!("http://127.0.0.1:{files}/text")).await;
    assert_eq!((status, &body["code"]), (400, &"invalid_request".into()), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_too_large_is_not_fetched_to_its_end() {
    let (app, recorders, files, _, _) = start().await;
    drop(app);
    let mut clip = clip(CLIP).wav();
    clip.resize(2 * 1024 * 1024, 0);
    let app = setup(&recorders)
        .with("AUDIO_URL_ALLOW", format!("127.0.0.1:{files}, 127.0.0.1:{}", large(clip).await))
        .with("MAX_UPLOAD_MB", "1")
        .start()
        .await;
    let allowed = app.running.app.config.recorded.url_allowed.clone();
    let (status, body) = listen(&app, &format!("http://127.0.0.1:{}/", allowed[1].1)).await;
    assert_eq!((status, &body["code"]), (413, &"payload_too_large".into()));
}

/// A server of one file.
async fn large(bytes: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let routes = Router::new().route("/", get(move || std::future::ready(bytes.clone())));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    port
}
