//! One attempt to get a session: dial, ask, and hear the answer.

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::line::{Heard, Line, PATIENCE};

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The service said yes.
    Answered(Box<Line>, Value),
    /// The service said no, by an event.
    Refused(Value),
    /// There was no answer.
    Failed(String),
}

/// Dials, asks, and waits for `session_started`, `session_resumed` or a refusal.
pub(crate) async fn attempt(address: String, token: String, ask: Value) -> Outcome {
    let mut line = match Line::open(&address, &token).await {
        Ok(line) => line,
        Err(error) => return Outcome::Failed(format!("{error:#}")),
    };
    if let Err(error) = line.tell(&ask).await {
        return Outcome::Failed(format!("{error:#}"));
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let told = match timeout_at(until, line.hear()).await {
            Ok(Heard::Told(told)) => told,
            Ok(Heard::Ended(how)) => return Outcome::Failed(how),
            Err(_) => return Outcome::Failed("no answer".to_owned()),
        };
        match told["type"].as_str() {
            Some("session_started" | "session_resumed") => {
                return Outcome::Answered(Box::new(line), told);
            }
            Some("error" | "closing") => return Outcome::Refused(told),
            _ => {}
        }
    }
}
