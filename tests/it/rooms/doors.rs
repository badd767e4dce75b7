//! What viewers see of a session, whichever replica and door they are at.

use testkit::numbered::NumberedAudio;

use super::*;

const AUDIO: NumberedAudio = NumberedAudio::linear16(3, 1);
const CHUNKS: u32 = 30;

/// Everything of a session up to its end.
fn is_end(it: &Value) -> bool {
    it["type"] == "session_ended"
}

/// What was heard in the room is whole, and stands at positions that follow each other.
fn assert_seen(heard: &[Value], room: &str) {
    oracle::assert_whole(heard, CHUNKS);
    let kept = |it: &&Value| it["is_final"] == true || is_end(it);
    let kept: Vec<&Value> = heard.iter().filter(kept).collect();
    for (at, message) in kept.iter().enumerate() {
        assert_eq!((&message["room"], &message["offset"]), (&json!(room), &json!(at + 1)));
        assert_eq!(message["epoch"], kept[0]["epoch"]);
    }
    let end = heard.last().expect("an end");
    assert_eq!((&end["outcome"], &end["n"]), (&json!("finished"), &json!(kept.len())));
    assert_eq!(end["report"]["lost_ms"], 0, "{end}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_seen_whole_on_every_replica_and_at_every_door() {
    let apps = Setup::new().deepgram(oracle::numbered()).start_many(3).await;
    let (mut raw, joined) = viewer(&apps[1], "meeting", json!({})).await;
    assert_eq!((&joined["recovered"], &joined["snapshot"]), (&json!(false), &json!([])));
    let (mut client, _) = socketio_viewer(&apps[2], "meeting", json!({})).await;
    let url = format!("{}/rooms/meeting/events", apps[1].url());
    let bearer = format!("Bearer {}", apps[1].token());
    let mut stream =
        Stream::open(&url, &[("authorization", &bearer)]).await.map_err(|_| ()).expect("open");
    let mut speaker = apps[0].websocket().await;
    let start = json!({ "type": "start_streaming", "room": "meeting" });
    speaker.send_json(&start).await.expect("sent");
    oracle::speak_raw(&mut speaker, AUDIO, 0..CHUNKS).await;
    oracle::stop_raw(&mut speaker).await;
    oracle::assert_whole(&oracle::until_stopped_raw(&mut speaker, LONG).await, CHUNKS);
    assert_seen(&oracle::listen_raw(&mut raw, LONG, is_end).await, "meeting");
    assert_seen(&oracle::listen(&mut client, LONG, is_end).await, "meeting");
    assert_seen(&stream.until(LONG, is_end).await, "meeting");
    let (_late, joined) = viewer(&apps[2], "meeting", json!({})).await;
    assert_seen(joined["snapshot"].as_array().expect("finals"), "meeting");
    let look = reqwest::Client::new().get(format!("{}/rooms/meeting", apps[2].url()));
    let look = look.bearer_auth(apps[2].token()).send().await.expect("an answer");
    let look: Value = look.json().await.expect("JSON");
    assert_eq!((&look["epoch"], &look["offset"]), (&joined["epoch"], &joined["offset"]));
    assert_eq!((&look["viewers"], &look["live"]), (&json!(4), &json!(false)), "{look}");
}

/// Sends chunks, and goes on with the same session on another replica in between.
async fn speak_on_two(apps: &[TestApp]) {
    let mut first = apps[0].websocket().await;
    let start = json!({ "type": "start_streaming", "room": "moving" });
    first.send_json(&start).await.expect("sent");
    oracle::speak_raw(&mut first, AUDIO, 0..20).await;
    let heard = oracle::listen_raw(&mut first, SOON, |it| it["is_final"] == true).await;
    let started = oracle::named(&heard, "session_started").next().expect("started").clone();
    let mut second = apps[1].websocket().await;
    let wanted = json!({
        "type": "resume", "session_id": started["session_id"],
        "resume_token": started["resume_token"], "next_seq": 20,
        "last_n": heard.last().expect("a final")["n"],
    });
    second.send_json(&wanted).await.expect("sent");
    let resumed = second.receive_until(SOON, |it| it["type"] == "session_resumed").await;
    let from = resumed.expect("resumed")["next_seq"].as_u64().expect("a number") as u32;
    oracle::speak_raw(&mut second, AUDIO, from..CHUNKS).await;
    oracle::stop_raw(&mut second).await;
    oracle::until_stopped_raw(&mut second, LONG).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_moves_is_seen_as_one() {
    let apps = Setup::new().deepgram(oracle::numbered()).start_many(3).await;
    let mut viewers = Vec::new();
    for app in &apps {
        viewers.push(viewer(app, "moving", json!({})).await.0);
    }
    speak_on_two(&apps).await;
    for viewer in &mut viewers {
        assert_seen(&oracle::listen_raw(viewer, LONG, is_end).await, "moving");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_speaker_may_watch_and_is_told_interims_once() {
    let apps = Setup::new().start_many(2).await;
    let (mut here, _) = viewer(&apps[0], "talk", json!({})).await;
    let (mut there, _) = socketio_viewer(&apps[1], "talk", json!({})).await;
    let mut voice = Voice::begin(&apps[0], "talk", DEVELOPMENT).await;
    let heard = async || voice.murmur().await == 2;
    testkit::wait_until("both replicas to listen", SOON, heard).await.expect("listening");
    let is_interim = |it: &Value| it["is_final"] == false;
    for _ in 0..5 {
        voice.murmur().await;
    }
    let interim = here.receive_until(SOON, is_interim).await.expect("an interim");
    assert_eq!((&interim["n"], &interim["room"]), (&json!(1), &json!("talk")));
    assert!(interim["offset"].is_null(), "an interim stands nowhere: {interim}");
    oracle::listen(&mut there, SOON, is_interim).await;
    let (_late, joined) = viewer(&apps[1], "talk", json!({})).await;
    assert_eq!(joined["snapshot"][0]["is_final"], false, "{joined}");
    voice.say(1).await;
    assert_eq!(hear(&mut here, 1).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_misses_nothing_wherever_it_comes_back() {
    let mut apps = Setup::new().start_many(3).await;
    let mut voice = Voice::begin(&apps[0], "long", DEVELOPMENT).await;
    voice.say(60).await;
    let (mut socket, joined) = viewer(&apps[1], "long", json!({})).await;
    assert_eq!(snapshot(&joined), upwards(11..=60), "the last fifty");
    voice.say(2).await;
    let heard = oracle::listen_raw(&mut socket, SOON, is_final(62)).await;
    assert_eq!(numbers(&heard), [61, 62]);
    let last = resume(heard.last().expect("a final"));
    drop(socket);
    // Its replica goes too.
    apps.remove(1).running.stop().await;
    voice.say(400).await;
    let mut short = last.clone();
    short["resume"]
        .as_object_mut()
        .expect("an object")
        .retain(|name, _| name.len() <= 6 && name != "n");
    for wanted in [last.clone(), short] {
        let (mut socket, joined) = viewer(&apps[1], "long", wanted.clone()).await;
        assert_eq!(joined["recovered"], true, "{wanted}: {joined}");
        assert_eq!(joined["snapshot"], json!([]));
        assert_eq!(hear(&mut socket, 462).await, upwards(63..=462));
        let (mut client, joined) = socketio_viewer(&apps[0], "long", wanted).await;
        assert_eq!(joined["recovered"], true);
        let heard = oracle::listen(&mut client, SOON, is_final(462)).await;
        assert_eq!(numbers(&heard), upwards(63..=462));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_is_gone_is_told_with_what_there_is() {
    let app = Setup::new().deepgram(oracle::numbered()).start().await;
    let lost = json!({ "resume": { "epoch": 5, "offset": 9 } });
    let mut voice = Voice::begin(&app, "kept", DEVELOPMENT).await;
    voice.say(3).await;
    let (mut socket, joined) = viewer(&app, "kept", lost.clone()).await;
    let told = (&joined["recovered"], &joined["reason"]);
    assert_eq!(told, (&json!(false), &json!("epoch_gone")), "{joined}");
    assert!(joined["transcript"].is_null(), "nothing is stored: {joined}");
    assert_eq!(snapshot(&joined), [1, 2, 3]);
    voice.say(1).await;
    assert_eq!(hear(&mut socket, 4).await, [4]);

    let mut speaker = app.websocket().await;
    let start = json!({ "type": "start_streaming", "room": "stored", "store": true });
    speaker.send_json(&start).await.expect("sent");
    oracle::speak_raw(&mut speaker, AUDIO, 0..CHUNKS).await;
    oracle::stop_raw(&mut speaker).await;
    let heard = oracle::until_stopped_raw(&mut speaker, LONG).await;
    let started = oracle::named(&heard, "session_started").next().expect("started");
    let link = format!("/sessions/{}/transcript.json", started["session_id"].as_str().expect("id"));
    let linked = async || {
        let (_socket, joined) = viewer(&app, "stored", lost.clone()).await;
        joined["transcript"] == link.as_str()
    };
    // What is not there yet stands for a while.
    testkit::wait_until("the link", 2 * LONG, linked).await.expect("a link");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_are_told_how_many_they_are_on_every_replica() {
    let apps = Setup::new().start_many(3).await;
    let mut viewers = Vec::new();
    for at in 0..6 {
        let (socket, joined) = viewer(&apps[at % 3], "crowd", json!({})).await;
        assert_eq!(joined["viewers"], at + 1, "itself among them");
        viewers.push(socket);
    }
    let is = |count: u64| move |it: &Value| it["type"] == "viewers" && it["viewers"] == count;
    for socket in &mut viewers[..5] {
        let heard = oracle::listen_raw(socket, SOON, is(6)).await;
        assert!(oracle::named(&heard, "viewers").count() <= 6, "{heard:?}");
    }
    drop(viewers.pop());
    viewers[4].send_json(&json!({ "type": "leave", "room": "crowd" })).await.expect("sent");
    for socket in &mut viewers[..4] {
        oracle::listen_raw(socket, SOON, is(4)).await;
    }
}
