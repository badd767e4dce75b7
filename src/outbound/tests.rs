//! Calls of a server that fails as it is told, over real sockets.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;

use super::*;
use crate::telemetry::Metrics;

/// What the server answers, one after the other; the last one again and again.
type Script = Vec<fn() -> Response>;

/// A request's headers and body.
type Heard = (HeaderMap, Vec<u8>);

#[derive(Clone)]
struct Server {
    at: std::net::SocketAddr,
    script: Arc<Script>,
    asked: Arc<AtomicUsize>,
    heard: Arc<std::sync::Mutex<Vec<Heard>>>,
}

async fn answer(State(server): State<Server>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    server.heard.lock().unwrap().push((parts.headers, body));
    let at = server.asked.fetch_add(1, Ordering::SeqCst).min(server.script.len() - 1);
    server.script[at]()
}

async fn server(script: Script) -> (Server, Peer) {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let (asked, heard) = (Arc::default(), Arc::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let server = Server { at, script: Arc::new(script), asked, heard };
    let base = format!("http://{at}/base/");
    let routes = Router::new().fallback(answer).with_state(server.clone());
    #[expect(clippy::disallowed_methods, reason = "the server ends with the test")]
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let outbound = Outbound::new(&Metrics::new().unwrap()).unwrap();
    (server, outbound.peer("test", &base))
}

fn judge(status: StatusCode, _: &HeaderMap, body: &[u8]) -> ProviderError {
    let class = match status.as_u16() {
        400 => ErrorClass::BadRequest,
        401 => ErrorClass::Credentials,
        402 => ErrorClass::Payment,
        429 => ErrorClass::RateLimited,
        _ => ErrorClass::Unavailable,
    };
    ProviderError::new(class, status.as_str(), String::from_utf8_lossy(body))
}

fn fine() -> Response {
    "fine".into_response()
}

fn away() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "away").into_response()
}

#[tokio::test]
async fn what_was_not_done_is_asked_for_again_with_the_same_body() {
    let (server, peer) =
        server(vec![away, || StatusCode::TOO_MANY_REQUESTS.into_response(), fine]).await;
    let path = std::env::temp_dir().join(format!("call-{}", uuid::Uuid::new_v4()));
    std::fs::write(&path, vec![7; 300_000]).unwrap();
    let call = Call::post("test", "/things?x=1").file(path.clone());
    let answer = peer.send(&call, judge).await.unwrap();
    std::fs::remove_file(path).unwrap();
    assert_eq!(&answer.body[..], b"fine");
    let heard = server.heard.lock().unwrap();
    assert_eq!(heard.len(), 3);
    for (headers, body) in heard.iter() {
        assert_eq!(headers[header::CONTENT_LENGTH], "300000");
        assert_eq!((body.len(), body[0]), (300_000, 7));
    }
}

#[tokio::test]
async fn a_form_tells_its_length_and_is_read_anew() {
    let (server, peer) = server(vec![away, fine]).await;
    let path = std::env::temp_dir().join(format!("call-{}", uuid::Uuid::new_v4()));
    std::fs::write(&path, "of the file").unwrap();
    let file = Part::File {
        name: "file".into(),
        path: path.clone(),
        file_name: "a.wav".into(),
        media_type: "audio/wav",
    };
    let call = Call::post("test", "/form").multipart(vec![Part::text("model", "m"), file]);
    peer.send(&call, judge).await.unwrap();
    std::fs::remove_file(path).unwrap();
    let heard = server.heard.lock().unwrap();
    assert_eq!(heard.len(), 2);
    for (headers, body) in heard.iter() {
        let body = String::from_utf8(body.clone()).unwrap();
        assert!(body.contains("of the file") && body.contains("name=\"model\""), "{body}");
        assert_eq!(headers[header::CONTENT_LENGTH], body.len().to_string().as_str());
    }
}

#[tokio::test]
async fn what_is_refused_is_not_asked_for_again() {
    for (status, class) in
        [(400, ErrorClass::BadRequest), (401, ErrorClass::Credentials), (402, ErrorClass::Payment)]
    {
        let answer: fn() -> Response = match status {
            400 => || StatusCode::BAD_REQUEST.into_response(),
            401 => || StatusCode::UNAUTHORIZED.into_response(),
            _ => || StatusCode::PAYMENT_REQUIRED.into_response(),
        };
        let (server, peer) = server(vec![answer, fine]).await;
        let error = peer.send(&Call::get("test", "/"), judge).await.unwrap_err();
        assert_eq!((error.class, server.asked.load(Ordering::SeqCst)), (class, 1));
    }
}

#[tokio::test]
async fn an_account_that_is_refused_is_not_tried_with_every_call() {
    let (server, peer) = server(vec![|| StatusCode::UNAUTHORIZED.into_response()]).await;
    for _ in 0..5 {
        let error = peer.send(&Call::get("test", "/"), judge).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Credentials);
    }
    assert_eq!(server.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_provider_that_keeps_failing_is_left_alone() {
    let (server, peer) = server(vec![away]).await;
    let call = Call::post("test", "/").repeat(Repeat::Never);
    for _ in 0..20 {
        assert_eq!(peer.send(&call, judge).await.unwrap_err().class, ErrorClass::Unavailable);
    }
    assert!(server.asked.load(Ordering::SeqCst) < 10, "{:?}", server.asked);
}

#[tokio::test]
async fn who_says_when_to_come_again_is_not_asked_before() {
    let (server, peer) = server(vec![
        || (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response(),
        fine,
    ])
    .await;
    let begun = Instant::now();
    peer.send(&Call::get("test", "/"), judge).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_told_at_once() {
    let (_server, peer) = server(vec![|| {
        (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "3600")]).into_response()
    }])
    .await;
    let error = peer.send(&Call::get("test", "/"), judge).await.unwrap_err();
    assert_eq!(
        (error.class, error.retry_after),
        (ErrorClass::RateLimited, Some(Duration::from_secs(3600)))
    );
}

#[tokio::test]
async fn who_does_not_answer_is_not_waited_for() {
    let (_server, peer) = server(vec![|| {
        Body::from_stream(futures_util::stream::pending::<Result<String, std::io::Error>>())
            .into_response()
    }])
    .await;
    let call = Call::get("test", "/").total(Duration::from_millis(300));
    assert_eq!(peer.send(&call, judge).await.unwrap_err().class, ErrorClass::Timeout);
}

#[tokio::test]
async fn a_provider_that_keeps_silent_is_left_alone() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", silent.local_addr().unwrap());
    let peer = Outbound::new(&Metrics::new().unwrap()).unwrap().peer("test", &base);
    let codes = async |ms, calls| {
        let call = Call::post("test", "/").total(Duration::from_millis(ms));
        let made = futures_util::future::join_all((0..calls).map(|_| peer.send(&call, judge)));
        made.await.into_iter().map(|made| made.unwrap_err().code).collect::<Vec<_>>()
    };
    assert_eq!(codes(20, 10).await, vec!["timeout"; 10]);
    // Who had no time was not blamed.
    assert_eq!(codes(700, 5).await, vec!["timeout"; 5]);
    assert_eq!(codes(700, 1).await, ["left_alone"]);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let (_server, peer) = server(vec![|| "x".repeat(10_001).into_response()]).await;
    let exact = peer.send(&Call::get("test", "/").most_bytes(10_001), judge).await.unwrap();
    assert_eq!(exact.body.len(), 10_001);
    let error = peer.send(&Call::get("test", "/").most_bytes(10_000), judge).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Protocol);
    let mut opened = peer.open(&Call::get("test", "/").most_bytes(10_000), judge).await.unwrap();
    let mut read = Ok(Some(bytes::Bytes::new()));
    while matches!(read, Ok(Some(_))) {
        read = opened.chunk().await;
    }
    assert_eq!(read.unwrap_err().class, ErrorClass::Protocol);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (server, peer) = server(vec![|| {
        (StatusCode::FOUND, [(header::LOCATION, "http://127.0.0.1:9/")]).into_response()
    }])
    .await;
    let call = Call::get("test", "/").repeat(Repeat::Never);
    assert_eq!(peer.send(&call, judge).await.unwrap_err().code, "302");
    assert_eq!(server.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outbound = Outbound::new(&Metrics::new().unwrap()).unwrap();
    let peer = outbound.peer("test", &format!("http://{free}"));
    let error = peer.send(&Call::post("test", "/").repeat(Repeat::Never), judge).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Unavailable, "unreachable"));
}

#[tokio::test]
async fn a_call_that_is_traced_tells_the_provider_so() {
    use crate::telemetry::Tracer;
    let spans = opentelemetry_sdk::trace::SdkTracerProvider::builder().build();
    for (share, is_traced) in [(1.0, true), (0.0, false)] {
        let (server, _) = server(vec![fine]).await;
        let outbound = Outbound::new(&Metrics::new().unwrap()).unwrap();
        let outbound = outbound.traced(Some(Tracer::new(&spans, share)));
        let peer = outbound.peer("test", &format!("http://{}", server.at));
        peer.send(&Call::get("test", "/"), judge).await.unwrap();
        let heard = server.heard.lock().unwrap();
        let told = heard[0].0.get("traceparent").map(|told| told.to_str().unwrap().split('-'));
        let lengths = told.map(|told| told.map(str::len).collect::<Vec<_>>());
        assert_eq!(lengths, is_traced.then(|| vec![2, 32, 16, 2]));
    }
}

#[test]
fn when_to_come_again_is_read_in_every_form() {
    let at = "2026-11-23T10:00:00Z".parse().unwrap();
    let told = |name: &'static str, value: &'static str| {
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        retry::retry_after(&headers, at)
    };
    assert_eq!(told("retry-after", "7"), Some(Duration::from_secs(7)));
    assert_eq!(told("retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
    assert_eq!(told("retry-after", "Mon, 23 Nov 2026 10:00:30 GMT"), Some(Duration::from_secs(30)));
    assert_eq!(told("retry-after", "Mon, 23 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO));
    for nonsense in ["soon", "-1", "NaN", "1e300"] {
        assert_eq!(told("retry-after", nonsense), None, "{nonsense}");
    }
}

#[test]
fn what_may_have_been_done_is_repeated_only_where_that_is_allowed() {
    use retry::{Attempts, Failed, Reached};
    let may = |class, reached, repeat| {
        let error = ProviderError::new(class, "test", "as planned");
        Attempts::default().next(&Failed { error, reached }, repeat).is_some()
    };
    let away = ErrorClass::Unavailable;
    assert!(may(away, Reached::Answer, Repeat::WhereSafe));
    assert!(may(away, Reached::Nobody, Repeat::WhereSafe));
    assert!(!may(away, Reached::Unknown, Repeat::WhereSafe));
    assert!(may(away, Reached::Unknown, Repeat::Always));
    assert!(!may(away, Reached::Nobody, Repeat::Never));
    assert!(!may(away, Reached::Unsent, Repeat::Always));
    assert!(!may(away, Reached::Told(false), Repeat::Always));
    for class in
        [ErrorClass::BadRequest, ErrorClass::Credentials, ErrorClass::Payment, ErrorClass::Protocol]
    {
        assert!(!may(class, Reached::Answer, Repeat::Always), "{class:?}");
    }
}

proptest::proptest! {
    /// Whatever fails however: attempts are bounded, no wait is shorter than the provider says, and
    /// what cannot succeed or may have been done is not made again.
    #[test]
    fn repeats_are_bounded_and_never_hasty(
        steps in proptest::collection::vec((0_usize..11, 0_usize..5, proptest::option::of(0_u64..600)), 1..20),
        repeat in 0_usize..3,
    ) {
        use proptest::prelude::{prop_assert, prop_assert_eq};
        use retry::{Attempts, Failed, Reached};
        const CLASSES: [ErrorClass; 11] = [
            ErrorClass::BadRequest, ErrorClass::Credentials, ErrorClass::Payment,
            ErrorClass::Poison, ErrorClass::Language, ErrorClass::Format, ErrorClass::Protocol,
            ErrorClass::Capacity, ErrorClass::RateLimited, ErrorClass::Unavailable,
            ErrorClass::Timeout,
        ];
        const REACHED: [Reached; 5] = [
            Reached::Unsent, Reached::Nobody, Reached::Answer, Reached::Told(true), Reached::Unknown,
        ];
        let repeat = [Repeat::Never, Repeat::WhereSafe, Repeat::Always][repeat];
        let (mut attempts, mut repeats) = (Attempts::default(), 0);
        for (class, reached, told) in steps {
            let (class, reached) = (CLASSES[class], REACHED[reached]);
            let mut error = ProviderError::new(class, "test", "as planned");
            error.retry_after = told.map(Duration::from_secs);
            let wait = attempts.next(&Failed { error, reached }, repeat);
            if let Some(wait) = wait {
                repeats += 1;
                prop_assert!(class.retryable() && repeat != Repeat::Never);
                prop_assert!(reached != Reached::Unknown || repeat == Repeat::Always);
                let told = Duration::from_secs(told.unwrap_or_default());
                prop_assert!(wait >= told && wait <= told + Duration::from_secs(8));
            }
        }
        prop_assert!(repeats <= 3);
        if repeat == Repeat::Never {
            prop_assert_eq!(repeats, 0);
        }
    }
}
