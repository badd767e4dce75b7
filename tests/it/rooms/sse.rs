//! Rooms as server-sent events.

use std::time::Duration;

use testkit::{deepgram, numbered::NumberedAudio};

use super::*;

fn address(app: &TestApp, room: &str) -> String {
    format!("{}/rooms/{room}/events", app.url())
}

async fn open(app: &TestApp, room: &str, last_id: Option<&str>) -> Stream {
    let bearer = format!("Bearer {}", app.token());
    let mut headers = vec![("authorization", bearer.as_str())];
    headers.extend(last_id.map(|id| ("last-event-id", id)));
    Stream::open(&address(app, room), &headers).await.map_err(|it| it.0).expect("admitted")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_where_it_was_left_on_another_replica() {
    let apps = Setup::new().start_many(2).await;
    let mut voice = Voice::begin(&apps[0], "news", DEVELOPMENT).await;
    voice.say(3).await;
    let mut stream = open(&apps[0], "news", None).await;
    let joined = stream.next(SOON).await.expect("joined");
    assert_eq!((snapshot(&joined), &joined["recovered"]), (upwards(1..=3), &json!(false)));
    let id = |offset: u64| format!("{}-{offset}/{}/{offset}", joined["epoch"], voice.session_id());
    assert_eq!(stream.last_id, id(3));
    assert_eq!((&joined["session_id"], &joined["n"]), (&json!(voice.session_id()), &json!(3)));
    let fourth = id(4);
    voice.say(1).await;
    stream.until(SOON, is_final(4)).await;
    // Said before, it might have overtaken the final.
    voice.murmur().await;
    stream.until(SOON, |it| it["is_final"] == false).await;
    let last_id = stream.last_id.clone();
    assert_eq!(last_id, fourth, "an interim moves nothing");
    drop(stream);
    let gone = async || apps[1].running.app.rooms.viewers(voice.room()).await.ok() == Some(0);
    testkit::wait_until("the viewer to be gone", SOON, gone).await.expect("gone");
    voice.say(300).await;
    let mut stream = open(&apps[1], "news", Some(&last_id)).await;
    let heard = stream.until(SOON, is_final(304)).await;
    assert_eq!(heard[0]["recovered"], true, "{}", heard[0]);
    assert_eq!(numbers(&heard), upwards(5..=304));
    let mut lost = open(&apps[1], "news", Some("7-9")).await;
    let joined = lost.next(SOON).await.expect("joined");
    assert_eq!((&joined["reason"], snapshot(&joined)), (&json!("epoch_gone"), upwards(255..=304)));
    // The session and the number are found in another epoch too.
    let named = format!("7-9/{}/300", voice.session_id());
    let mut found = open(&apps[0], "news", Some(&named)).await;
    let heard = found.until(SOON, is_final(304)).await;
    assert_eq!((&heard[0]["recovered"], numbers(&heard)), (&json!(true), upwards(301..=304)));
    let (mut raw, joined) = viewer(&apps[0], "news", json!({})).await;
    assert_eq!(joined["viewers"], 4, "streams count");
    voice.say(1).await;
    for numbers in [hear(&mut raw, 305).await, numbers(&lost.until(SOON, is_final(305)).await)] {
        assert_eq!(numbers, [305]);
    }
    // Quiet streams say that they live.
    stream.beaten(LONG).await;
}

/// Two people speak in one room: of whatever is heard it is clear who said it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_is_said_names_its_session() {
    let config = deepgram::Config {
        interim_every: Duration::from_millis(200),
        longest_segment: Duration::from_secs(1),
        ..oracle::numbered()
    };
    let app = Setup::new().deepgram(config).start().await;
    let mut stream = open(&app, "both", None).await;
    stream.next(SOON).await.expect("joined");
    let (mut speakers, mut sessions) = (Vec::new(), Vec::new());
    for session in [1, 2] {
        let mut socket = app.websocket().await;
        let start = json!({ "type": "start_streaming", "room": "both" });
        socket.send_json(&start).await.expect("sent");
        oracle::speak_raw(&mut socket, NumberedAudio::linear16(1, session), 0..15).await;
        let started = |it: &Value| it["type"] == "session_started";
        let heard = oracle::listen_raw(&mut socket, SOON, started).await;
        sessions.push(heard.last().expect("started")["session_id"].clone());
        speakers.push(socket);
    }
    for speaker in &mut speakers {
        oracle::stop_raw(speaker).await;
        oracle::until_stopped_raw(speaker, SOON).await;
    }
    let mut kinds = std::collections::BTreeSet::new();
    // Interims may be overtaken by finals, which are never left out.
    while kinds.iter().filter(|(_, said)| said != "final false").count() < 4 {
        let event = stream.next(LONG).await.expect("something in time");
        let said = match event["type"].as_str().expect("a type") {
            "transcription" => format!("final {}", event["is_final"]),
            "session_ended" => "end".to_owned(),
            _ => continue,
        };
        let by = sessions.iter().position(|session| *session == event["session_id"]);
        kinds.insert((by.unwrap_or_else(|| panic!("whose is it: {event}")), said));
        if event["epoch"].is_number() {
            let (epoch, offset, n) = (&event["epoch"], &event["offset"], &event["n"]);
            let session = event["session_id"].as_str().expect("an id");
            assert_eq!(stream.last_id, format!("{epoch}-{offset}/{session}/{n}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_opens_one_stream_and_a_drain_ends_it() {
    let app = TestApp::start().await;
    let ask = reqwest::Client::new().post(format!("{}/auth/stream-ticket", app.url()));
    let ticket: Value =
        ask.bearer_auth(app.token()).send().await.expect("sent").json().await.expect("JSON");
    let url =
        format!("{}?ticket={}", address(&app, "news"), ticket["ticket"].as_str().expect("one"));
    let mut stream = Stream::open(&url, &[]).await.map_err(|it| it.0).expect("admitted");
    stream.next(SOON).await.expect("joined");
    assert_eq!(Stream::open(&url, &[]).await.map_err(|it| it.0).err(), Some(401), "used up");
    let token = app.token();
    for (path, header, status) in [
        ("news", ("accept", "text/event-stream"), 401),
        ("news", ("x-api-key", "usr_7_unknown"), 401),
        ("news", ("x-share-token", "forged"), 401),
        ("not%20a%20name", ("x-api-key", token.as_str()), 400),
    ] {
        let refused = Stream::open(&address(&app, path), &[header]).await;
        assert_eq!(refused.map_err(|it| it.0).err(), Some(status), "{path} {header:?}");
    }
    assert_eq!(app.metric("sockets", &["door=\"sse\""]), 1);
    app.running.app.shutdown.drain();
    let heard = stream.until(SOON, |it| it["type"] == "closing").await;
    let closing = heard.last().expect("a notice");
    assert_eq!((&closing["code"], &closing["reconnect"]), (&json!(4000), &json!(true)));
    assert!(stream.next(SOON).await.is_none(), "it ends");
    let gone = async || app.metric("sockets", &["door=\"sse\""]) == 0;
    testkit::wait_until("the stream to be over", SOON, gone).await.expect("over");
    let refused = Stream::open(&address(&app, "news"), &[("x-api-key", &app.token())]).await;
    assert_eq!(refused.map_err(|it| it.0).err(), Some(503));
}
