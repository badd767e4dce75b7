//! Share tokens: who has one watches one room, and does nothing else.

use std::time::Duration;

use testkit::raw_ws::Received;

use super::*;

/// Makes a share over REST; its id and token.
async fn share(app: &TestApp, room: &str, body: Option<Value>) -> (u16, Value) {
    let url = format!("{}/rooms/{room}/shares", app.url());
    let mut request = reqwest::Client::new().post(url).bearer_auth(app.token());
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}

async fn unshare(app: &TestApp, room: &str, id: &str, credential: &str) -> u16 {
    let url = format!("{}/rooms/{room}/shares/{id}", app.url());
    let request = reqwest::Client::new().delete(url).bearer_auth(credential);
    request.send().await.expect("an answer").status().as_u16()
}

/// A raw socket that shows nothing but a share token, past its greeting.
async fn guest(app: &TestApp, header: (&str, &str)) -> anyhow::Result<RawSocket> {
    let url = format!("{}/audio-stream", app.url());
    let mut socket = RawSocket::connect(&url, &[header]).await?;
    let greeting = socket.receive_json(SOON).await?;
    anyhow::ensure!(greeting["auth_type"] == "share", "{greeting}");
    Ok(socket)
}

async fn socketio_guest(app: &TestApp, token: &str) -> socketio::Client {
    let auth = json!({ "share": token });
    let options =
        socketio::Options { namespace: "/audio-stream".into(), auth, ..Default::default() };
    let mut client = socketio::Client::connect(&app.url(), options).await.expect("admitted");
    client.receive_event("connected", SOON).await.expect("greeted");
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_a_token_watches_that_room_and_does_nothing_else() {
    let apps = Setup::new().start_many(2).await;
    let mut voice = Voice::begin(&apps[0], "stage", DEVELOPMENT).await;
    let (status, made) = share(&apps[0], "stage", None).await;
    assert_eq!(status, 201, "{made}");
    let token = made["token"].as_str().expect("a token");
    let offered = format!("share, {token}");
    for header in [("x-share-token", token), ("sec-websocket-protocol", offered.as_str())] {
        let mut socket = guest(&apps[1], header).await.expect("admitted");
        let elsewhere = join(&mut socket, "other", json!({})).await;
        assert_eq!(elsewhere["code"], "forbidden", "{elsewhere}");
        let joined = join(&mut socket, "stage", json!({})).await;
        assert_eq!(joined["type"], "joined", "{joined}");
        voice.say(1).await;
        assert_eq!(hear(&mut socket, voice.last_n).await, [voice.last_n]);
        for message in [
            json!({ "type": "start_streaming" }),
            json!({ "type": "authenticate", "token": apps[1].token() }),
        ] {
            socket.send_json(&message).await.expect("sent");
            let told =
                socket.receive_until(SOON, |it| it["type"] == "error").await.expect("an error");
            assert!(
                ["forbidden", "principal_mismatch"]
                    .contains(&told["code"].as_str().expect("a code"))
            );
        }
        socket.send_binary(vec![0; 3200]).await.expect("sent");
    }
    let mut client = socketio_guest(&apps[1], token).await;
    assert_eq!(ask(&mut client, "stage", json!({})).await["offset"], 2);
    client.emit_binary("audio_chunk", &[&[0; 3200]]).await.expect("sent");
    let told = client.receive_event("error", SOON).await.expect("an error").json();
    assert_eq!(told["code"], "forbidden", "{told}");
    let url = format!("{}/rooms/stage/events?share={token}", apps[1].url());
    let mut stream = Stream::open(&url, &[]).await.map_err(|_| ()).expect("admitted");
    assert_eq!(snapshot(&stream.next(SOON).await.expect("joined")), [1, 2]);
    let other = format!("{}/rooms/other/events?share={token}", apps[1].url());
    assert_eq!(Stream::open(&other, &[]).await.map_err(|it| it.0).err(), Some(403));
    // Nobody may use it as a credential.
    let profile = format!("{}/rooms/stage", apps[1].url());
    let refused = reqwest::Client::new().get(profile).bearer_auth(token).send().await.expect("one");
    assert_eq!(refused.status(), 401);
    assert!(apps[0].deepgram().requests().is_empty(), "no stream was opened");
    assert_eq!(apps[0].sql::<i64>("SELECT count(*) FROM live_sessions").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_taken_back_ends_everywhere() {
    let apps = Setup::new().start_many(2).await;
    let mut voice = Voice::begin(&apps[0], "stage", DEVELOPMENT).await;
    voice.say(1).await;
    let (_, made) = share(&apps[0], "stage", Some(json!({ "expires_in": 60 }))).await;
    let (_, stays) = share(&apps[0], "stage", Some(json!({ "expires_in": 60 }))).await;
    let token = made["token"].as_str().expect("a token");
    let mut socket = guest(&apps[1], ("x-share-token", token)).await.expect("admitted");
    join(&mut socket, "stage", json!({})).await;
    let mut client = socketio_guest(&apps[1], token).await;
    ask(&mut client, "stage", json!({})).await;
    let url = format!("{}/rooms/stage/events?share={token}", apps[1].url());
    let mut stream = Stream::open(&url, &[]).await.map_err(|_| ()).expect("admitted");
    // Another account that watches by the token keeps its socket.
    let (mut account, _) = viewer(&apps[1], "stage", json!({ "share": token })).await;
    let other = stays["token"].as_str().expect("a token");
    let (mut kept, _) = viewer(&apps[1], "stage", json!({ "share": other })).await;
    let id = made["id"].as_str().expect("an id");
    for (room, id) in
        [("other", id), ("stage", "no-id"), ("stage", &uuid::Uuid::new_v4().to_string())]
    {
        assert_eq!(unshare(&apps[0], room, id, &apps[0].token()).await, 404, "{room} {id}");
    }
    assert_eq!(unshare(&apps[0], "stage", id, &apps[0].token()).await, 204);
    assert_eq!(unshare(&apps[0], "stage", id, &apps[0].token()).await, 404);
    let told = oracle::listen_raw(&mut account, SOON, |it| it["type"] == "error").await;
    let error = told.last().expect("an error");
    assert_eq!((&error["code"], &error["room"]), (&json!("unauthenticated"), &json!("stage")));
    let (said, end) = socket.drain(SOON).await.expect("an end");
    assert_eq!(said.last().expect("a notice")["code"], 4500);
    assert!(matches!(end, Received::Closed(4500, _)), "{end:?}");
    let closing = client.receive_event("closing", SOON).await.expect("a notice").json();
    assert_eq!((&closing["code"], &closing["reconnect"]), (&json!(4500), &json!(false)));
    let heard = stream.until(SOON, |it| it["type"] == "closing").await;
    assert_eq!(heard.last().expect("a notice")["code"], 4500);
    assert!(stream.next(SOON).await.is_none());
    assert_eq!(Stream::open(&url, &[]).await.map_err(|it| it.0).err(), Some(401));
    let refused = guest(&apps[0], ("x-share-token", token)).await.expect_err("refused");
    let refused = refused.downcast_ref::<testkit::raw_ws::Refused>().expect("a refusal");
    assert_eq!(refused.status, 401);
    voice.say(1).await;
    assert_eq!(hear(&mut kept, 2).await, [2]);
    account.send_json(&json!({ "type": "stop_streaming" })).await.expect("it lives on");
    let heard = oracle::until_stopped_raw(&mut account, SOON).await;
    assert_eq!(oracle::named(&heard, "transcription").count(), 0, "{heard:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_ends_in_time() {
    let app = TestApp::start().await;
    let mut voice = Voice::begin(&app, "stage", DEVELOPMENT).await;
    let shares = app.running.app.rooms.shares();
    let life = Duration::from_secs(3);
    let (token, _) = shares.issue(voice.room(), DEVELOPMENT, life).await.expect("a token");
    let token = secrecy::ExposeSecret::expose_secret(&token).to_owned();
    let mut socket = guest(&app, ("x-share-token", &token)).await.expect("admitted");
    join(&mut socket, "stage", json!({})).await;
    let (mut account, _) = viewer(&app, "stage", json!({ "share": token })).await;
    let (said, end) = socket.drain(SOON).await.expect("an end");
    assert_eq!(said.last().expect("a notice")["code"], 4003);
    assert!(matches!(end, Received::Closed(4003, _)), "{end:?}");
    let told = account.receive_until(SOON, |it| it["type"] == "error").await.expect("an error");
    assert_eq!((&told["code"], &told["room"]), (&json!("unauthenticated"), &json!("stage")));
    voice.say(1).await;
    account.send_json(&json!({ "type": "stop_streaming" })).await.expect("it lives on");
    let heard = oracle::until_stopped_raw(&mut account, SOON).await;
    assert_eq!(oracle::named(&heard, "transcription").count(), 0, "{heard:?}");
    let refused = join(&mut account, "stage", json!({ "share": token })).await;
    assert_eq!(refused["code"], "unauthenticated", "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_are_made_by_the_owner_within_bounds() {
    let app = TestApp::start().await;
    let _theirs = Voice::begin(&app, "theirs", "user-8").await;
    assert_eq!(share(&app, "theirs", None).await.0, 403);
    assert_eq!(share(&app, "not%20a%20name", None).await.0, 400);
    for expires_in in [json!(59), json!(30 * 86_400 + 1), json!("60"), json!(-1), json!(60.5)] {
        let (status, told) = share(&app, "mine", Some(json!({ "expires_in": expires_in }))).await;
        assert_eq!((status, &told["code"]), (400, &json!("invalid_request")), "{expires_in}");
    }
    // Before anybody has spoken: it opens what this account says, and nobody else's words.
    let (status, made) = share(&app, "mine", Some(json!({ "expires_in": 60 }))).await;
    assert_eq!(status, 201, "{made}");
    let token = made["token"].as_str().expect("a token");
    let mut socket = guest(&app, ("x-share-token", token)).await.expect("admitted");
    assert_eq!(join(&mut socket, "mine", json!({})).await["type"], "joined");
    let mut theirs = Voice::begin(&app, "mine", "user-8").await;
    theirs.say(3).await;
    let heard = oracle::listen_raw(&mut socket, SOON, |it| it["type"] == "error").await;
    assert_eq!(heard.last().expect("an error")["code"], "forbidden");
    assert_eq!(oracle::named(&heard, "transcription").count(), 0, "{heard:?}");
}
