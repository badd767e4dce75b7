//! Two hundred viewers of one room, through every door of three replicas.

use futures_util::future::join_all;

use super::*;

const VIEWERS: usize = 200;
const FINALS: u64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_sees_the_same_sequence() {
    let setup = Setup::new().with("LIMIT_SOCKET_OPENS", "unlimited");
    let apps = setup.with("EDGE_BURST", "10000").start_many(3).await;
    let mut raw = Vec::new();
    let mut clients = Vec::new();
    for at in 0..VIEWERS {
        let app = &apps[at % 3];
        if at % 2 == 0 {
            raw.push(viewer(app, "hall", json!({})).await.0);
        } else {
            clients.push(socketio_viewer(app, "hall", json!({})).await.0);
        }
    }
    for app in &apps {
        let look = reqwest::Client::new().get(format!("{}/rooms/hall", app.url()));
        let status = look.bearer_auth(app.token()).send().await.expect("an answer").status();
        assert_eq!(status, 404, "nobody has spoken yet");
    }
    let mut voice = Voice::begin(&apps[0], "hall", DEVELOPMENT).await;
    let said = voice.say(FINALS);
    let heard_raw = join_all(
        raw.iter_mut().map(async |socket| oracle::listen_raw(socket, LONG, is_final(FINALS)).await),
    );
    let heard_clients = join_all(
        clients.iter_mut().map(async |client| oracle::listen(client, LONG, is_final(FINALS)).await),
    );
    let ((), heard_raw, heard_clients) = tokio::join!(said, heard_raw, heard_clients);
    let heard: Vec<Vec<Value>> =
        heard_raw.iter().chain(&heard_clients).map(|heard| oracle::finals(heard)).collect();
    assert_eq!(heard.len(), VIEWERS);
    assert!(heard.iter().all(|finals| *finals == heard[0]));
    assert_eq!(numbers(&heard[0]), upwards(1..=FINALS));
    let counts = join_all(apps.iter().map(async |app| {
        let look = reqwest::Client::new().get(format!("{}/rooms/hall", app.url()));
        let look = look.bearer_auth(app.token()).send().await.expect("an answer");
        look.json::<Value>().await.expect("JSON")["viewers"].clone()
    }));
    assert!(counts.await.iter().all(|count| *count == VIEWERS), "the same everywhere");
}
