//! The caller against a service of a few lines that does as it is told.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::history::What;

const PATIENCE: Duration = Duration::from_secs(10);

/// One way in.
struct Door {
    listener: TcpListener,
    url: String,
}

/// The service's end of a socket.
struct Served(WebSocketStream<TcpStream>);

impl Door {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// The next socket, greeted, and what it asks for.
    async fn admit(&self) -> (Served, Value) {
        let accepted = tokio::time::timeout(PATIENCE, self.listener.accept()).await;
        let (stream, _) = accepted.expect("somebody comes").unwrap();
        let mut served = Served(tokio_tungstenite::accept_async(stream).await.unwrap());
        served.say(json!({ "type": "connected" })).await;
        let ask = served.event().await;
        (served, ask)
    }

    /// A session that begins here.
    async fn begin(&self) -> Served {
        let (mut served, ask) = self.admit().await;
        assert_eq!(ask["type"], "start_streaming");
        let started = json!({
            "type": "session_started", "session_id": "s", "room": "r", "resume_token": "t",
        });
        served.say(started).await;
        served
    }
}

impl Served {
    async fn say(&mut self, event: Value) {
        self.0.send(Message::text(event.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> Message {
        tokio::time::timeout(PATIENCE, self.0.next()).await.unwrap().unwrap().unwrap()
    }

    /// The next event, past any audio.
    async fn event(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.next().await {
                return serde_json::from_str(text.as_str()).unwrap();
            }
        }
    }

    /// The next chunks' first frames.
    async fn chunks(&mut self, count: usize) -> Vec<u32> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            if let Message::Binary(bytes) = self.next().await {
                let mut reader = crate::numbered::Reader::new(32_000);
                numbers.push(reader.read(&bytes)[0].0.number);
            }
        }
        numbers
    }

    async fn acknowledge(&mut self, seq: u64) {
        let acked_ms = (seq + 1) * 100;
        let ack = json!({
            "type": "audio_ack", "session_id": "s", "acked_seq": seq, "acked_ms": acked_ms,
        });
        self.say(ack).await;
    }

    async fn resumed(&mut self, next_seq: u64, last_n: u64) {
        let resumed = json!({
            "type": "session_resumed", "session_id": "s", "resume_token": "t2",
            "next_seq": next_seq, "from_ms": next_seq * 100, "last_n": last_n, "recovered": true,
        });
        self.say(resumed).await;
    }

    async fn final_of(&mut self, n: u64) {
        let text = json!({
            "type": "transcription", "is_final": true, "session_id": "s", "n": n,
            "start_ms": 0, "end_ms": 20, "words": [],
        });
        self.say(text).await;
    }
}

async fn caller(doors: &[&Door]) -> Caller {
    let urls: Vec<_> = doors.iter().map(|door| door.url.clone()).collect();
    Caller::start(Plan { seed: 1, ..Plan::new(&urls, "token", 1, 1) }).await
}

#[tokio::test]
async fn a_lost_session_is_taken_up_elsewhere() {
    let (first, second) = (Door::open().await, Door::open().await);
    let caller = caller(&[&first, &second]).await;
    let mut served = first.begin().await;
    assert_eq!(served.chunks(6).await, [0, 5, 10, 15, 20, 25]);
    served.final_of(1).await;
    served.final_of(2).await;
    served.acknowledge(1).await;
    let acked = |spoken: &Spoken| spoken.current().is_some_and(|one| !one.acks.is_empty());
    caller.wait("the acknowledgement", PATIENCE, acked).await.unwrap();
    drop(served);
    let (mut served, ask) = second.admit().await;
    assert_eq!((&ask["type"], &ask["session_id"]), (&json!("resume"), &json!("s")));
    assert_eq!((&ask["resume_token"], &ask["last_n"]), (&json!("t"), &json!(2)));
    assert!(ask["next_seq"].as_u64().is_some_and(|next| next >= 6), "{ask}");
    assert!(ask.get("first_seq").is_none(), "nothing was let go of: {ask}");
    served.resumed(3, 1).await;
    assert_eq!(served.chunks(3).await, [15, 20, 25], "from where it was asked to");
    let history = caller.read(Spoken::clone);
    let track = &history.sessions[0].track;
    assert_eq!((track.last_n(), track.voided.len()), (1, 1), "the second final is void");
    assert_eq!(history.sessions.len(), 1);
}

#[tokio::test]
async fn a_session_that_is_gone_is_followed_by_another() {
    let door = Door::open().await;
    let caller = caller(&[&door]).await;
    let mut served = door.begin().await;
    served.chunks(3).await;
    drop(served);
    let (mut served, ask) = door.admit().await;
    assert_eq!(ask["type"], "resume");
    served.say(json!({ "type": "error", "code": "not_found", "retryable": false })).await;
    let mut served = door.begin().await;
    assert_eq!(served.chunks(2).await, [0, 5], "nothing of it was said");
    assert_eq!(caller.read(|spoken| spoken.sessions.len()), 2);
}

#[tokio::test]
async fn a_move_is_made_before_the_break() {
    let (first, second) = (Door::open().await, Door::open().await);
    let caller = caller(&[&first, &second]).await;
    let mut served = first.begin().await;
    served.chunks(2).await;
    served.say(json!({ "type": "migrate", "reconnect_after_ms": 150 })).await;
    served.chunks(1).await;
    let (mut moved, ask) = second.admit().await;
    assert_eq!(ask["type"], "resume");
    served.say(json!({ "type": "closing", "code": 4501, "reconnect": false })).await;
    moved.resumed(1, 0).await;
    assert_eq!(moved.chunks(2).await, [5, 10]);
    let left = |spoken: &Spoken| {
        let told = |what: &What| matches!(what, What::Told(told) if told["code"] == 4501);
        !spoken.over && spoken.events.iter().any(|event| told(&event.what))
    };
    caller.wait("the farewell", PATIENCE, left).await.unwrap();
}

#[tokio::test]
async fn silence_is_taken_for_death_and_old_audio_is_let_go() {
    let (first, second) = (Door::open().await, Door::open().await);
    let urls = [first.url.clone(), second.url.clone()];
    let plan = Plan {
        silence: Duration::from_secs(1),
        keeps: Duration::from_millis(300),
        ..Plan::new(&urls, "token", 1, 1)
    };
    let caller = Caller::start(plan).await;
    let _served = first.begin().await;
    let (_other, ask) = second.admit().await;
    let first_seq = ask["first_seq"].as_u64().expect("it says what it lost");
    assert_eq!(ask["next_seq"].as_u64(), Some(first_seq + 3));
    assert_eq!(ask["first_ms"].as_u64(), Some(first_seq * 100));
    let events = caller.read(|spoken| spoken.events.clone());
    assert!(events.iter().any(|event| event.what == What::Silence), "{events:?}");
}

#[tokio::test]
async fn an_older_client_begins_anew_with_what_it_says_next() {
    let door = Door::open().await;
    let plan = Plan::new(std::slice::from_ref(&door.url), "token", 1, 1).old();
    let caller = Caller::start(plan).await;
    let mut served = door.begin().await;
    served.chunks(3).await;
    drop(served);
    let mut served = door.begin().await;
    let again = served.chunks(1).await[0];
    assert!(again >= 15, "{again} was said before");
    let dropped = caller.read(|spoken| spoken.dropped.clone());
    assert!(dropped.is_empty() || dropped[0].end == again, "{dropped:?}");
}

#[tokio::test]
async fn a_stop_whose_answer_was_lost_is_answered_elsewhere() {
    let (first, second) = (Door::open().await, Door::open().await);
    let caller = caller(&[&first, &second]).await;
    let serve = async {
        let mut served = first.begin().await;
        let stop = served.event().await;
        assert_eq!(stop["type"], "stop_streaming");
        drop(served);
        let (mut served, ask) = second.admit().await;
        assert_eq!(ask["type"], "resume");
        let resumed = json!({
            "type": "session_resumed", "session_id": "s", "resume_token": "t2", "stopped": true,
            "next_seq": ask["next_seq"], "from_ms": 200, "last_n": 1, "recovered": true,
        });
        served.say(resumed).await;
        served.final_of(1).await;
        served.say(json!({ "type": "streaming_stopped", "session_id": "s" })).await;
        served.acknowledge(ask["next_seq"].as_u64().expect("a number") - 1).await;
        served
    };
    let finish = async {
        let sent = |spoken: &Spoken| spoken.current().is_some_and(|one| one.sent_until >= 10);
        caller.wait("two chunks", PATIENCE, sent).await.unwrap();
        caller.finish(PATIENCE).await
    };
    let (_served, history) = tokio::join!(serve, finish);
    assert!(history.over, "{}", history.story());
    assert_eq!(history.sessions.len(), 1);
    assert_eq!(history.sessions[0].track.last_n(), 1);
    assert!(history.sessions[0].stopped.is_some());
}

#[tokio::test]
async fn it_ends_with_everything_said_and_acknowledged() {
    let door = Door::open().await;
    let caller = caller(&[&door]).await;
    let serve = async {
        let mut served = door.begin().await;
        served.chunks(2).await;
        let stop = served.event().await;
        assert_eq!(stop["type"], "stop_streaming");
        served.final_of(1).await;
        served.say(json!({ "type": "streaming_stopped", "session_id": "s" })).await;
        served.acknowledge(0).await;
        served
    };
    let finish = async {
        let sent = |spoken: &Spoken| spoken.current().is_some_and(|one| one.sent_until >= 10);
        caller.wait("two chunks", PATIENCE, sent).await.unwrap();
        caller.finish(PATIENCE).await
    };
    let (_served, history) = tokio::join!(serve, finish);
    assert!(history.over, "{}", history.story());
    assert_eq!(history.sessions[0].sent_until, history.frames);
    assert!(history.sessions[0].stopped.is_some());
}
