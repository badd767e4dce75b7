//! A reader of server-sent events.

use std::time::{Duration, Instant};

use serde_json::Value;

/// An open stream.
pub struct Stream {
    response: reqwest::Response,
    buffer: String,
    beats: usize,
    /// The last id.
    pub last_id: String,
}

impl Stream {
    /// Opens a stream; a refusal is its status and body.
    pub async fn open(url: &str, headers: &[(&str, &str)]) -> Result<Self, (u16, Value)> {
        let mut request = reqwest::Client::new().get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        if status != 200 {
            let text = response.text().await.expect("a body");
            return Err((status, serde_json::from_str(&text).unwrap_or(Value::String(text))));
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Ok(Self { response, buffer: String::new(), beats: 0, last_id: String::new() })
    }

    /// The next event; nothing at the end of the stream.
    pub async fn next(&mut self, deadline: Duration) -> Option<Value> {
        let until = Instant::now() + deadline;
        loop {
            while let Some((frame, rest)) = self.buffer.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.buffer = rest;
                if let Some(event) = self.read(&frame) {
                    return Some(event);
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            let chunk = tokio::time::timeout(left, self.response.chunk()).await;
            match chunk.expect("something in time") {
                Ok(Some(bytes)) => self.buffer.push_str(std::str::from_utf8(&bytes).expect("text")),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Waits for a comment after which nothing was said.
    pub async fn beaten(&mut self, deadline: Duration) {
        let (until, before) = (Instant::now() + deadline, self.beats);
        while self.beats == before {
            let left = until.saturating_duration_since(Instant::now());
            let chunk = tokio::time::timeout(left, self.response.chunk()).await.expect("in time");
            let bytes = chunk.expect("open").expect("something");
            self.buffer.push_str(std::str::from_utf8(&bytes).expect("text"));
            while let Some((frame, rest)) = self.buffer.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.buffer = rest;
                drop(self.read(&frame));
            }
        }
    }

    fn read(&mut self, frame: &str) -> Option<Value> {
        let mut event: Option<Value> = None;
        let mut name = None;
        for line in frame.lines() {
            match line.split_once(": ") {
                Some(("id", id)) => id.clone_into(&mut self.last_id),
                Some(("event", of)) => name = Some(of.to_owned()),
                Some(("data", data)) => event = Some(serde_json::from_str(data).expect("JSON")),
                Some(("retry", _)) => {}
                _ if line.starts_with(':') => self.beats += 1,
                _ => panic!("{line}"),
            }
        }
        let event = event?;
        assert_eq!(event["type"], name.expect("a name"));
        Some(event)
    }

    /// Everything until an event fits, that among it.
    pub async fn until(&mut self, deadline: Duration, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut heard: Vec<Value> = Vec::new();
        while !heard.last().is_some_and(&fits) {
            let next = self.next(deadline).await;
            heard.push(next.unwrap_or_else(|| panic!("the stream ended; heard {heard:#?}")));
        }
        heard
    }
}
