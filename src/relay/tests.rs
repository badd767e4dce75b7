//! Two relays and what a request is when it arrives.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::StatusCode,
    middleware,
    response::Response,
};
use serde_json::{Value, json};
use testkit::process;
use tokio::net::TcpListener;
use tower::ServiceExt;

use super::{Ground, Relay, admit, hand_over, introduce};
use crate::{
    auth::Secrets,
    config::RedisConfig,
    fleet::{Fleet, HEARTBEAT, Tag},
    lifecycle::Shutdown,
    model::Clock,
    redis::Redis,
    telemetry::Metrics,
    web::{client_address::ClientAddress, request_id},
};

const ID: &str = "AbCdEfGhIjKlMn-_";

/// A replica whose engine tells what it was asked.
struct Replica {
    tag: Tag,
    public: Router,
    metrics: Metrics,
    shutdown: Shutdown,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

async fn replica(redis: &process::Redis, secret: &str) -> Replica {
    let shutdown = Shutdown::default();
    let config = RedisConfig { url: redis.url().into(), prefix: "test".to_owned() };
    let redis = Redis::connect(&config, &shutdown).unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let secrets = Some(Secrets::new(Some(secret.into()), None));
    let member = introduce(secrets.as_ref(), Some(&address.to_string()));
    let fleet = Fleet::join_as(member, redis, &shutdown);
    let tag = fleet.tag();
    let joined = async || fleet.peer(tag).is_some();
    testkit::wait_until("the first heartbeat", 2 * HEARTBEAT, joined).await.unwrap();
    let metrics = Metrics::new().unwrap();
    let relay = Relay::new(Ground {
        fleet,
        secrets,
        metrics: metrics.clone(),
        clock: Clock,
        shutdown: shutdown.clone(),
    });
    let engine = Router::new().fallback(echo);
    let door = engine.clone().layer(middleware::from_fn_with_state(relay.clone(), admit));
    let door = door.layer(middleware::from_fn(request_id::assign));
    shutdown.spawn(async move { drop(axum::serve(socket, door).await) });
    let public = engine.layer(middleware::from_fn_with_state(relay, hand_over));
    let public = public.layer(middleware::from_fn(request_id::assign));
    Replica { tag, public, metrics, shutdown }
}

async fn echo(request: Request) -> Response {
    let client = request.extensions().get::<ClientAddress>().map(|client| client.0);
    let headers = request.headers().keys().map(ToString::to_string);
    let mut told = json!({
        "client": client,
        "headers": headers.collect::<Vec<_>>(),
        "id": request.extensions().get::<request_id::RequestId>().map(|id| id.0.clone()),
        "uri": request.uri().to_string(),
        "method": request.method().as_str(),
    });
    let body = to_bytes(request.into_body(), 1 << 20).await.unwrap();
    told["body"] = String::from_utf8_lossy(&body).into();
    Response::builder()
        .header("connection", "x-once")
        .header("x-once", "1")
        .body(Body::from(told.to_string()))
        .unwrap()
}

async fn ask(replica: &Replica, request: Request) -> (StatusCode, Response) {
    let answer = replica.public.clone().oneshot(request).await.unwrap();
    (answer.status(), answer)
}

async fn text(answer: Response) -> String {
    String::from_utf8(to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
}

fn post(tag: Tag) -> Request {
    let uri = format!("/socket.io/?EIO=4&transport=polling&sid={ID}{tag}");
    let mut request = Request::post(uri)
        .header("x-request-id", "id-7")
        .header("x-replica-seal", "chosen by a client")
        .header("connection", "x-secret")
        .header("x-secret", "1")
        .header("cookie", "a=b")
        .body(Body::from("some audio"))
        .unwrap();
    request.extensions_mut().insert(ClientAddress([203, 0, 113, 7].into()));
    request
}

#[tokio::test]
async fn a_request_arrives_as_it_came_in() {
    let redis = process::Redis::start().unwrap();
    let (one, two) = (replica(&redis, "shared").await, replica(&redis, "shared").await);
    let (status, answer) = ask(&one, post(two.tag)).await;
    assert_eq!(status, StatusCode::OK);
    for name in ["x-once", "x-replica-seal"] {
        assert!(!answer.headers().contains_key(name), "{name}");
    }
    assert_eq!(answer.headers()["x-request-id"], "id-7");
    let mut seen: Value = serde_json::from_str(&text(answer).await).unwrap();
    let headers = seen["headers"].take();
    let expected = json!({
        "client": "203.0.113.7",
        "headers": null,
        "id": "id-7",
        "uri": format!("/socket.io/?EIO=4&transport=polling&sid={ID}"),
        "method": "POST",
        "body": "some audio",
    });
    assert_eq!(seen, expected);
    let has = |name: &str| headers.as_array().unwrap().iter().any(|header| header == name);
    assert!(has("cookie") && !has("x-secret"), "{headers}");
    // The same to itself, with nobody in between.
    let (_, answer) = ask(&two, post(two.tag)).await;
    let seen: Value = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(seen["uri"], expected["uri"]);
}

#[tokio::test]
async fn replicas_with_different_secrets_hand_nothing_over() {
    let redis = process::Redis::start().unwrap();
    let (one, two) = (replica(&redis, "shared").await, replica(&redis, "another").await);
    let (status, answer) = ask(&one, post(two.tag)).await;
    let told = text(answer).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{told}");
    assert!(told.contains("SECRET_KEY") && told.contains("transports"), "{told}");
}

#[tokio::test]
async fn what_stands_where_a_replica_was_is_not_believed() {
    let redis = process::Redis::start().unwrap();
    let one = replica(&redis, "shared").await;
    // A stranger that answers everything, at an address that a replica once said.
    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = stranger.local_addr().unwrap().to_string();
    let secrets = Secrets::new(Some("shared".into()), None);
    let member = introduce(Some(&secrets), Some(&address));
    one.shutdown.spawn(async move {
        drop(axum::serve(stranger, Router::new().fallback(|| async { "hello" })).await);
    });
    let config = RedisConfig { url: redis.url().into(), prefix: "test".to_owned() };
    let fleet =
        Fleet::join_as(member, Redis::connect(&config, &one.shutdown).unwrap(), &one.shutdown);
    let gone = async || {
        let (status, answer) = ask(&one, post(fleet.tag())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(text(answer).await.contains("Session ID unknown"));
        one.metrics.render().unwrap().contains("outcome=\"gone\"")
    };
    testkit::wait_until("a stranger to be asked", 2 * HEARTBEAT, gone).await.unwrap();
}
