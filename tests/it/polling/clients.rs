//! The official clients as they are, through HAProxy over three replicas without stickiness.

use testkit::{
    deepgram::{self, Script},
    process::Haproxy,
};

use super::{KEY, relayed, setup};
use crate::{
    harness::TestApp,
    official_clients::{CLIP, NODE_CLIENT, PYTHON_CLIENT, assert_contract, assert_heard, stream},
};

/// Each way of connecting, and the transport at its end.
const WAYS: [(&str, &str); 3] =
    [("default", "websocket"), ("polling", "polling"), ("websocket", "websocket")];

async fn every_way(name: &str) {
    let script = Script::fixture(CLIP).expect("a script");
    let setup = setup().deepgram(deepgram::Config::speaking(script));
    let replicas = setup.with("TRUSTED_PROXIES", "1").start_many(3).await;
    let ports: Vec<u16> = replicas.iter().map(|app| app.running.address.port()).collect();
    let balancer = Haproxy::start(&ports).expect("a balancer");
    let url = balancer.url();
    let ways = WAYS.map(async |(way, end)| {
        let seen = stream(name, &url, KEY, &["--transport", way]).await;
        assert_contract(&seen, "0");
        assert_eq!(seen["transport"], end, "{way}");
    });
    futures_util::future::join_all(ways).await;
    assert_heard(&replicas[0], WAYS.len()).await;
    let total = |outcome: &str| replicas.iter().map(|app| relayed(app, outcome)).sum::<i64>();
    assert!(total("forwarded") > 0, "nothing had to be handed over");
    for outcome in ["unknown", "gone", "late", "unreachable"] {
        assert_eq!(total(outcome), 0, "{outcome}");
    }
    let refused = |app: &TestApp| app.metric("relay_refused_total", &[]);
    assert_eq!(replicas.iter().map(refused).sum::<i64>(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn npm_socketio_client() {
    every_way(NODE_CLIENT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pypi_socketio_client() {
    every_way(PYTHON_CLIENT).await;
}
