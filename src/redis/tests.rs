//! A client whose server is away at boot, comes, goes and comes back.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fred::interfaces::ClientLike;

use super::Redis;
use crate::{config::RedisConfig, lifecycle::Shutdown, probe::Health};

struct Server(Child);

impl Server {
    fn start(port: u16) -> Self {
        let mut server = Command::new("redis-server");
        server.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        server.args(["--appendonly", "no"]).stdout(Stdio::null());
        Self(server.spawn().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

async fn until(redis: &Redis, wanted: fn(&Health) -> bool) {
    let reached = async {
        while !wanted(&redis.health().await) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached).await.unwrap();
}

#[tokio::test]
async fn a_client_survives_its_server() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("redis://127.0.0.1:{port}");
    let shutdown = Shutdown::default();
    let redis = Redis::connect(&RedisConfig { url: url.into() }, &shutdown).unwrap();
    let asked = Instant::now();
    let answer: Result<String, _> = redis.client().ping(None).await;
    assert!(answer.is_err() && asked.elapsed() < Duration::from_secs(3), "{answer:?}");
    assert!(redis.health().await.is_err());
    let server = Server::start(port);
    until(&redis, Result::is_ok).await;
    drop(server);
    until(&redis, Result::is_err).await;
    let _server = Server::start(port);
    until(&redis, Result::is_ok).await;
    shutdown.abort();
    tokio::time::timeout(Duration::from_secs(5), shutdown.wait()).await.unwrap();
}
