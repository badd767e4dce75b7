//! What cannot be watched is refused by name, and what is left is silent.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_wish_is_an_error_and_the_socket_lives_on() {
    let app = TestApp::start().await;
    let mut socket = app.websocket().await;
    let mut client = app.socketio().await;
    for (wish, code) in [
        (json!({}), "invalid_request"),
        (json!({ "room": "a b" }), "invalid_request"),
        (json!({ "room": "a", "resume": { "epoch": "x" } }), "invalid_request"),
        (json!({ "room": "a", "share": "forged" }), "unauthenticated"),
    ] {
        let mut message = wish.clone();
        message["type"] = json!("join");
        socket.send_json(&message).await.expect("sent");
        let told = socket.receive_until(SOON, |it| it["type"] == "error").await.expect("an error");
        assert_eq!(told["code"], code, "{wish}: {told}");
        let id = client.emit_with_ack("join", std::slice::from_ref(&wish)).await.expect("sent");
        let told = client.receive_ack(id, SOON).await.expect("an answer").json();
        assert_eq!(told["error"]["code"], code, "{wish}: {told}");
        assert!(told["error"]["message"].is_string() && told["error"]["retryable"] == false);
    }
    for at in 0..8 {
        assert_eq!(join(&mut socket, &format!("room-{at}"), json!({})).await["type"], "joined");
    }
    let ninth = join(&mut socket, "room-8", json!({})).await;
    assert_eq!((&ninth["code"], &ninth["room"]), (&json!("conflict"), &json!("room-8")));
    let twice = join(&mut socket, "room-7", json!({})).await;
    assert_eq!(twice["code"], "conflict", "{twice}");
    socket.send_json(&json!({ "type": "leave", "room": "room-7" })).await.expect("sent");
    assert_eq!(join(&mut socket, "room-8", json!({})).await["type"], "joined");
    // Without a callback the answer is an event.
    client.emit("join", &[json!({ "room": "room-0" })]).await.expect("sent");
    let joined = client.receive_event("joined", SOON).await.expect("joined").json();
    assert_eq!(joined["room"], "room-0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_was_left_is_silent() {
    let app = TestApp::start().await;
    let (mut socket, _) = viewer(&app, "one", json!({})).await;
    join(&mut socket, "other", json!({})).await;
    socket.send_json(&json!({ "type": "leave", "room": "one" })).await.expect("sent");
    let gone = async || {
        app.running.app.rooms.viewers(&"one".parse().expect("a name")).await.ok() == Some(0)
    };
    testkit::wait_until("the place to be free", SOON, gone).await.expect("left");
    let mut left = Voice::begin(&app, "one", DEVELOPMENT).await;
    let mut kept = Voice::begin(&app, "other", DEVELOPMENT).await;
    left.say(3).await;
    kept.say(1).await;
    let heard = oracle::listen_raw(&mut socket, SOON, is_final(1)).await;
    assert!(heard.iter().all(|it| it["room"] == "other"), "{heard:?}");
    assert_eq!(app.metric("room_viewers_ended_total", &["reason=\"left\""]), 1);
}
