//! Recorded speech through the Socket.IO door at the pace of its speaker.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::socketio::{Client, Heard};
use tokio::time::sleep_until;

use super::LONG;

/// What a session said, each event with the moment when it was read.
#[derive(Debug, Default)]
pub struct Speech {
    pub events: Vec<(Instant, String, Value)>,
    pub began: Option<Instant>,
    /// When the last chunk was sent.
    pub ended: Option<Instant>,
}

impl Speech {
    /// Sends a chunk every `every`, then stops; reads until the session has stopped.
    pub async fn of(client: &mut Client, chunks: &[&[u8]], every: Duration) -> Self {
        let mut speech = Self { began: Some(Instant::now()), ..Self::default() };
        let start = tokio::time::Instant::now();
        for (at, chunk) in (0_u32..).zip(chunks) {
            speech.listen_until(client, start + every * at).await;
            client.emit_binary("audio_chunk", &[chunk]).await.expect("sent");
            speech.ended = Some(Instant::now());
        }
        client.emit("stop_streaming", &[json!({})]).await.expect("sent");
        let limit = tokio::time::Instant::now() + LONG;
        while speech.events.last().is_none_or(|(_, name, _)| name != "streaming_stopped") {
            let left = limit.saturating_duration_since(tokio::time::Instant::now());
            speech.keep(client.receive(left).await.expect("the end of the session"));
        }
        speech
    }

    async fn listen_until(&mut self, client: &mut Client, due: tokio::time::Instant) {
        loop {
            tokio::select! {
                heard = client.receive(LONG) => self.keep(heard.expect("connected")),
                () = sleep_until(due) => return,
            }
        }
    }

    fn keep(&mut self, heard: Heard) {
        match heard {
            Heard::Event(event) => {
                assert_ne!(event.name, "error", "{}", event.json());
                self.events.push((event.received_at, event.name.clone(), event.json()));
            }
            Heard::Ack(_) => {}
            end => panic!("ended: {end:?}"),
        }
    }

    fn texts(&self) -> impl Iterator<Item = (Instant, &Value)> {
        let texts = self.events.iter().filter(|(_, name, _)| name == "transcription");
        texts.map(|(at, _, text)| (*at, text))
    }

    /// Everything that was final.
    pub fn transcript(&self) -> String {
        let finals = self.texts().filter(|(_, text)| text["is_final"] == true);
        let texts = finals.map(|(_, text)| text["transcript"].as_str().expect("text").to_owned());
        texts.collect::<Vec<_>>().join(" ")
    }

    /// When the first text came, after the first chunk was sent.
    pub fn first_text_after(&self) -> Duration {
        self.texts().next().expect("some text").0 - self.began.expect("a beginning")
    }

    /// How many texts came before the last chunk was sent.
    pub fn texts_while_speaking(&self) -> usize {
        self.texts().filter(|(at, _)| Some(*at) < self.ended).count()
    }
}
