//! A viewer that does not read is closed, and loses nothing by that.

use testkit::{raw_ws::Received, socketio::Heard};

use super::*;

const SMALL: Option<u32> = Some(4096);
/// Finals that no queue on the way holds, of so many characters.
const MANY: u64 = 1500;
const LENGTH: usize = 4000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_is_closed_and_goes_on_without_a_hole() {
    let apps = Setup::new().start_many(2).await;
    let mut voice = Voice::begin(&apps[0], "flood", DEVELOPMENT).await;
    let bearer = format!("Bearer {}", apps[1].token());
    let headers = [("authorization", bearer.as_str())];
    let url = format!("{}/audio-stream", apps[1].url());
    let mut raw = RawSocket::connect_narrow(&url, &headers, SMALL).await.expect("in");
    join(&mut raw, "flood", json!({})).await;
    let options = socketio::Options {
        namespace: "/audio-stream".into(),
        auth: json!({ "token": apps[1].token() }),
        receive_buffer_bytes: SMALL,
        ..Default::default()
    };
    let mut client = socketio::Client::connect(&apps[1].url(), options).await.expect("in");
    ask(&mut client, "flood", json!({})).await;
    let (mut quick, _) = viewer(&apps[1], "flood", json!({})).await;
    let seen = tokio::spawn(async move { hear(&mut quick, MANY).await });
    voice.say_long(MANY, LENGTH).await;
    let seen = seen.await.expect("heard");
    assert_eq!(seen, upwards(1..=MANY), "one that reads feels nothing of it");
    let ended = |reason| apps[1].metric("room_viewers_ended_total", &[reason]);
    let both = async || ended("reason=\"behind\"") + ended("reason=\"slow\"") == 2;
    testkit::wait_until("the slow ones to be closed", LONG, both).await.expect("closed");

    let (mut heard, end) = raw.drain(LONG).await.expect("an end");
    assert!(matches!(end, Received::Closed(4001, _)), "{end:?}");
    let closing = heard.last().expect("a notice");
    assert_eq!((&closing["code"], &closing["reconnect"]), (&json!(4001), &json!(true)));
    heard.retain(|it| it["is_final"] == true);
    let (events, end) = client.drain(LONG).await.expect("an end");
    assert!(matches!(end, Heard::Closed(..)), "reconnectable: {end:?}");
    let events: Vec<Value> = events.iter().map(socketio::Event::json).collect();
    let events: Vec<Value> = events.into_iter().filter(|it| it["is_final"] == true).collect();
    for mut seen in [heard, events] {
        let count = seen.len() as u64;
        assert!(count < MANY, "it was too slow for all");
        let n = |it: &Value| it["n"].as_u64().expect("n");
        assert_eq!(seen.iter().map(n).collect::<Vec<_>>(), upwards(1..=count));
        let wanted =
            seen.last().map_or_else(|| json!({"resume": {"epoch": 0, "offset": 0}}), resume);
        let (mut again, joined) = viewer(&apps[0], "flood", wanted).await;
        assert_eq!(joined["recovered"], true, "{joined}");
        seen.extend(oracle::listen_raw(&mut again, LONG, is_final(MANY)).await);
        seen.retain(|it| it["is_final"] == true);
        assert_eq!(seen.iter().map(n).collect::<Vec<_>>(), upwards(1..=MANY));
    }
}
