//! Nobody sees a word of another account's, whenever they came.

use super::*;
use crate::access_matrix;

/// Two replicas with a user who has a key, beside the development account.
async fn start() -> Vec<TestApp> {
    let apps = Setup::new().start_many(2).await;
    let pool = apps[0].running.app.database.pool();
    let user =
        "INSERT INTO users (id, email, plan, is_active) VALUES (7, 'ada@example.com', 'pro', true)";
    sqlx::query(user).execute(pool).await.expect("a user");
    let key = "INSERT INTO api_keys (user_id, name, key_hash, key_prefix, is_active) \
               VALUES (7, 'a key', $1, 'usr_', true)";
    let hash = testkit::speech::sha256_hex(access_matrix::GOOD_KEY.as_bytes());
    sqlx::query(key).bind(hash).execute(pool).await.expect("a key");
    apps
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_of_a_room_that_becomes_anothers_is_put_out_unheard() {
    let apps = start().await;
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for app in &apps {
        ours.push(viewer(app, "stage", json!({})).await.0);
        let (mut socket, _) = harness_doors::websocket(&app.url(), GOOD_KEY).await.expect("in");
        assert_eq!(join(&mut socket, "stage", json!({})).await["type"], "joined");
        theirs.push(socket);
    }
    let url = format!("{}/rooms/stage/events", apps[1].url());
    let key = [("x-api-key", GOOD_KEY)];
    let mut stream = Stream::open(&url, &key).await.map_err(|_| ()).expect("nobody's yet");
    // The race: the room is claimed and spoken in at once.
    let mut voice = Voice::begin(&apps[0], "stage", DEVELOPMENT).await;
    voice.murmur().await;
    voice.say(20).await;
    for socket in &mut ours {
        assert_eq!(hear(socket, 20).await, upwards(1..=20));
    }
    for socket in &mut theirs {
        let heard = oracle::listen_raw(socket, SOON, |it| it["type"] == "error").await;
        let error = heard.last().expect("an error");
        assert_eq!((&error["code"], &error["room"]), (&json!("forbidden"), &json!("stage")));
        assert_eq!(oracle::named(&heard, "transcription").count(), 0, "{heard:?}");
        let again = join(socket, "stage", json!({})).await;
        assert_eq!(again["code"], "forbidden", "{again}");
        socket.send_json(&json!({ "type": "stop_streaming" })).await.expect("it lives on");
        socket.receive_until(SOON, |it| it["type"] == "streaming_stopped").await.expect("alive");
    }
    let heard = stream.until(SOON, |it| it["type"] == "closing").await;
    assert_eq!(oracle::named(&heard, "transcription").count(), 0, "{heard:?}");
    assert_eq!(oracle::named(&heard, "error").count(), 1);
    assert!(stream.next(SOON).await.is_none(), "it ends");
    for path in ["/rooms/stage/events", "/rooms/stage"] {
        let refused = Stream::open(&format!("{}{path}", apps[1].url()), &key).await;
        assert_eq!(refused.map_err(|refusal| refusal.0).err(), Some(403), "{path}");
    }
    assert_eq!(apps[0].metric("room_viewers_ended_total", &["reason=\"foreign\""]), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_refused_in_anothers_room() {
    let apps = start().await;
    let mut voice = Voice::begin(&apps[0], "mine", DEVELOPMENT).await;
    voice.say(1).await;
    let (mut socket, _) = harness_doors::websocket(&apps[1].url(), GOOD_KEY).await.expect("in");
    let start = json!({ "type": "start_streaming", "room": "mine" });
    socket.send_json(&start).await.expect("sent");
    socket.send_binary(vec![0; 3200]).await.expect("sent");
    let error = socket.receive_until(SOON, |it| it["type"] == "error").await.expect("an error");
    assert_eq!(error["code"], "forbidden", "{error}");
    let joined = join(&mut socket, "mine", json!({})).await;
    assert_eq!(joined["code"], "forbidden", "{joined}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_redis_forgot_and_another_took_shows_the_old_viewers_nothing() {
    let mut redis = testkit::process::Redis::start().expect("a redis");
    let database = crate::harness::postgres().create_database().expect("a database");
    let app = Setup::on(&database, &redis.url()).start().await;
    let mut voice = Voice::begin(&app, "stage", DEVELOPMENT).await;
    voice.say(2).await;
    let (mut socket, joined) = viewer(&app, "stage", json!({})).await;
    assert_eq!(snapshot(&joined), [1, 2]);
    redis.command(&["FLUSHALL"]).expect("flushed");
    let mut other = Voice::begin(&app, "stage", "user-8").await;
    other.say(5).await;
    let heard = oracle::listen_raw(&mut socket, SOON, |it| it["type"] == "error").await;
    assert_eq!(heard.last().expect("an error")["code"], "forbidden");
    assert_eq!(oracle::named(&heard, "transcription").count(), 0, "{heard:?}");
    redis.kill().expect("killed");
}
