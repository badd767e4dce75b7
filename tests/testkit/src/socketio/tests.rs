//! The client against a scripted peer.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::tasks::Tasks;

const PATIENCE: Duration = Duration::from_secs(5);

/// A peer that says `lines` (a line of hex after `#` is binary) and waits for a message at `<`.
async fn peer(
    lines: &'static [&'static str],
) -> (String, Tasks, tokio::sync::mpsc::Receiver<Message>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = tokio::sync::mpsc::channel(100);
    let tasks = Tasks::new();
    tasks.spawner().spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut ws = tokio_tungstenite::accept_async(stream).await.unwrap();
        for line in lines {
            say(&mut ws, line, &sender).await;
        }
        std::future::pending::<()>().await;
    });
    (url, tasks, receiver)
}

async fn say(
    ws: &mut WebSocketStream<TcpStream>,
    line: &'static str,
    heard: &tokio::sync::mpsc::Sender<Message>,
) {
    match line {
        "<" => heard.send(ws.next().await.unwrap().unwrap()).await.unwrap(),
        "x" => ws.close(None).await.unwrap(),
        binary if binary.starts_with('#') => {
            ws.send(Message::binary(&binary.as_bytes()[1..])).await.unwrap();
        }
        text => ws.send(Message::text(text)).await.unwrap(),
    }
}

fn options() -> Options {
    Options { namespace: "/n".to_owned(), auth: json!({"token": "t"}), ..Options::default() }
}

#[tokio::test]
async fn a_conversation() {
    let (url, _peer, mut heard) = peer(&[
        r#"0{"sid":"e"}"#,
        "<",
        r#"42/n,["early",1]"#,
        r#"40/n,{"sid":"s"}"#,
        "2",
        "<",
        "<",
        "<",
        r#"452-/n,["bytes",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#,
        "#ab",
        "#cd",
        "<",
        r#"42/n,["between"]"#,
        "43/n,1[]",
        "41/n,",
        "x",
    ])
    .await;
    let mut client = Client::connect(&url, options()).await.unwrap();
    assert_eq!((client.sid.as_str(), &client.open["sid"]), ("s", &json!("e")));
    assert_eq!(client.receive_event("early", PATIENCE).await.unwrap().json(), json!(1));
    client.emit_binary("audio", &[b"pcm"]).await.unwrap();
    // The ping is answered while the client reads.
    let event = async {
        let bytes = client.receive_event("bytes", PATIENCE).await.unwrap();
        assert_eq!(bytes.attachments, [b"ab", b"cd"]);
        client.emit_with_ack("ask", &[json!(1)]).await.unwrap()
    };
    let id = event.await;
    assert!(client.receive_ack(id, PATIENCE).await.unwrap().arguments.is_empty());
    let Heard::Event(between) = client.receive(PATIENCE).await.unwrap() else { panic!("no event") };
    assert_eq!(between.name, "between");
    assert_eq!(client.receive(PATIENCE).await.unwrap(), Heard::Disconnected);
    assert!(matches!(client.receive(PATIENCE).await.unwrap(), Heard::Closed(..)));
    let mut messages = Vec::new();
    while let Ok(message) = heard.try_recv() {
        messages.push(message);
    }
    let expected = [
        Message::text(r#"40/n,{"token":"t"}"#),
        Message::text(r#"451-/n,["audio",{"_placeholder":true,"num":0}]"#),
        Message::binary(b"pcm".as_slice()),
        Message::text("3"),
        Message::text(r#"42/n,1["ask",1]"#),
    ];
    assert_eq!(messages, expected);
}

#[tokio::test]
async fn a_refusal_is_told_apart() {
    let (url, _peer, _heard) =
        peer(&[r#"0{"sid":"e"}"#, "<", r#"44/n,{"message":"Connection rejected by server"}"#])
            .await;
    let error = Client::connect(&url, options()).await.unwrap_err();
    let refused = error.downcast_ref::<ConnectError>().unwrap();
    assert_eq!(refused.0["message"], "Connection rejected by server");
}
