//! What a stream hears: audio, commands, and the end.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Connection, Outgoing, PATIENCE};
use crate::deepgram::fault::{At, Fault};
use crate::deepgram::record::End;
use crate::deepgram::wire;

const NOT_AUDIO: &str = "Deepgram could not decode the audio data that it received. \
                         See https://dpgr.am/data0000";

impl Connection {
    pub(super) async fn read(
        &mut self,
        message: Option<Result<Message, Error>>,
    ) -> Result<(), End> {
        let message = match message {
            None => return Err(End::Vanished("end of stream".to_owned())),
            Some(Err(error)) => return Err(End::Vanished(error.to_string())),
            Some(Ok(message)) => message,
        };
        if let Some(rate) = self.state.misdeeds.bytes_per_second {
            let rest = Duration::from_secs_f64(message.len() as f64 / f64::from(rate.max(1)));
            self.state.rest_until = Some(Instant::now() + rest);
        }
        match message {
            Message::Binary(bytes) => self.read_audio(&bytes).await,
            Message::Text(text) => self.read_text(text.as_str()).await,
            Message::Close(frame) => Err(self.client_closed(frame).await),
            Message::Ping(_) => {
                self.shared.change(self.index, |record| record.pings += 1);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn read_audio(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.note_audio(bytes);
        if self.state.closing {
            return Ok(());
        }
        if bytes.is_empty() {
            // The old way of saying CloseStream.
            return self.close_stream().await;
        }
        self.state.audio_seen = true;
        self.state.idle_at = Instant::now() + self.shared.config.idle_timeout;
        let until_us = self.audio.feed(bytes);
        let heard = self.audio.heard();
        self.shared.change(self.index, |record| record.heard = heard);
        if self.audio.is_undecodable() {
            self.state.closing = true;
            return self.push(Outgoing::Close(1008, NOT_AUDIO.to_owned()));
        }
        self.strike_on_the_way(until_us).await?;
        let spoken = self.audio.tell(until_us);
        self.say(spoken)
    }

    fn note_audio(&self, bytes: &[u8]) {
        let kept = self.shared.config.kept_audio_bytes;
        self.shared.change(self.index, |record| {
            record.audio_messages += 1;
            record.audio_bytes += bytes.len() as u64;
            let room = kept.saturating_sub(record.audio.len()).min(bytes.len());
            record.audio.extend_from_slice(&bytes[..room]);
            if !bytes.is_empty() {
                let now = std::time::Instant::now();
                record.first_audio_at.get_or_insert(now);
                record.last_audio_at = Some(now);
            }
        });
    }

    /// Faults that strike before `until_us`, each once everything before it was said.
    async fn strike_on_the_way(&mut self, until_us: u64) -> Result<(), End> {
        let micros = |at: Duration| at.as_micros() as u64;
        loop {
            let due = |fault: &Fault| match fault.at {
                At::Audio(at) if micros(at) <= until_us => Some(micros(at)),
                _ => None,
            };
            let Some(at_us) = self.faults.iter().filter_map(due).min() else { return Ok(()) };
            let spoken = self.audio.tell(at_us);
            self.say(spoken)?;
            self.strike(|at| matches!(at, At::Audio(at) if micros(at) == at_us)).await?;
        }
    }

    async fn read_text(&mut self, text: &str) -> Result<(), End> {
        let kept = self.shared.config.kept_entries;
        self.shared.change(self.index, |record| {
            if record.texts.len() < kept {
                record.texts.push(text.to_owned());
            }
        });
        if self.state.audio_seen || !self.shared.config.audio_required {
            self.state.idle_at = Instant::now() + self.shared.config.idle_timeout;
        }
        if self.state.closing {
            return Ok(());
        }
        let json: Value = serde_json::from_str(text).unwrap_or_default();
        match json["type"].as_str() {
            Some("KeepAlive") => Ok(()),
            Some("CloseStream") => self.close_stream().await,
            Some("Finalize") if self.state.misdeeds.ignore_finalize => Ok(()),
            Some("Finalize") => {
                let channel = json["channel"].as_u64().map(|channel| channel as usize);
                let spoken = self.audio.finalize(channel);
                self.say(spoken)
            }
            Some("Configure") => {
                let answer = self.configure(&json);
                self.push(text_message(&answer))
            }
            _ => self.push(text_message(&wire::schema_error(text))),
        }
    }

    fn configure(&self, request: &Value) -> Value {
        let mut request_id = json!(null);
        self.shared.change(self.index, |record| request_id = json!(record.request_id));
        let keyterms = request["keyterms"].as_array().cloned().unwrap_or_default();
        let count = |term: &Value| term.as_str().map_or(0, |term| term.split_whitespace().count());
        let fault = if !keyterms.is_empty() && !self.keyterms {
            "CONFIGURE_KEYTERMS_NOT_SUPPORTED"
        } else if keyterms.iter().map(count).sum::<usize>() > 500 {
            "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"
        } else {
            return json!({
                "type": "ConfigureSuccess", "request_id": request_id, "keyterms": keyterms,
            });
        };
        let description = "The configuration was not applied.";
        json!({
            "type": "ConfigureFailure", "request_id": request_id, "code": fault,
            "description": description,
        })
    }

    async fn close_stream(&mut self) -> Result<(), End> {
        self.strike(|at| at == At::CloseStream).await?;
        self.state.closing = true;
        if self.state.misdeeds.ignore_close_stream {
            return Ok(());
        }
        let spoken = self.audio.close();
        self.say(spoken)?;
        self.push(Outgoing::Close(1000, String::new()))
    }
    async fn client_closed(&mut self, frame: Option<CloseFrame>) -> End {
        let drain = async { while self.ws.next().await.is_some_and(|message| message.is_ok()) {} };
        // A client that keeps TCP open after its close frame has closed all the same.
        let _ = timeout(PATIENCE, drain).await;
        let (code, reason) = frame
            .map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
        End::Client { code, reason }
    }
}

fn text_message(json: &Value) -> Outgoing {
    Outgoing::Message(Message::text(json.to_string()))
}
