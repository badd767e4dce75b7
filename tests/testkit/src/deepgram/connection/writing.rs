//! What a stream says, in order and when it is due.

use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Connection, OUTBOX_LIMIT, Outgoing, PATIENCE};
use crate::deepgram::audio::Spoken;
use crate::deepgram::record::{End, SentFinal};

impl Connection {
    pub(super) fn say(&mut self, spoken: Vec<Spoken>) -> Result<(), End> {
        for spoken in spoken {
            let double = self.state.misdeeds.double_finals && spoken.segment.is_some();
            if double {
                self.push(Outgoing::Spoken(Box::new(spoken.clone())))?;
            }
            self.push(Outgoing::Spoken(Box::new(spoken)))?;
        }
        Ok(())
    }

    pub(super) fn push(&mut self, outgoing: Outgoing) -> Result<(), End> {
        if matches!(outgoing, Outgoing::Close(..)) {
            self.state.closing = true;
        }
        if self.state.outbox.len() >= OUTBOX_LIMIT {
            return Err(End::Vanished("outbox is full".to_owned()));
        }
        self.state.outbox.push_back((Instant::now() + self.state.misdeeds.delay, outgoing));
        Ok(())
    }

    /// Writes everything that is due.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        let now = Instant::now();
        while !self.state.misdeeds.mute {
            let due = self.state.outbox.pop_front_if(|(due, _)| *due <= now);
            let Some((_, outgoing)) = due else { break };
            match outgoing {
                Outgoing::Close(code, reason) => return Err(self.close(code, reason).await),
                Outgoing::Message(message) => self.write(message).await?,
                Outgoing::Spoken(spoken) => {
                    self.write(Message::text(spoken.json.to_string())).await?;
                    self.note_final(*spoken);
                }
            }
        }
        Ok(())
    }

    async fn write(&mut self, message: Message) -> Result<(), End> {
        match timeout(PATIENCE, self.ws.send(message)).await {
            Err(_) => Err(End::Vanished("client reads nothing".to_owned())),
            Ok(Err(error)) => Err(gone(&error)),
            Ok(Ok(())) => {
                self.shared.change(self.index, |record| record.sent_messages += 1);
                Ok(())
            }
        }
    }

    fn note_final(&self, spoken: Spoken) {
        let Some((channel, segment)) = spoken.segment else { return };
        let kept = self.shared.config.kept_entries;
        self.shared.change(self.index, |record| {
            if record.finals.len() < kept {
                record.finals.push(SentFinal {
                    channel: channel as u32,
                    start_us: segment.start_us,
                    end_us: segment.end_us,
                    words: segment.words.into_iter().map(|word| word.text).collect(),
                    speech_final: segment.speech_final,
                    from_finalize: segment.from_finalize,
                    sent_at: std::time::Instant::now(),
                });
            }
        });
    }

    /// Closes and waits for the client's answer.
    pub(super) async fn close(&mut self, code: u16, reason: String) -> End {
        let frame = CloseFrame { code: code.into(), reason: reason.clone().into() };
        let closing = async {
            self.ws.close(Some(frame)).await?;
            while self.ws.next().await.is_some_and(|message| message.is_ok()) {}
            Ok::<_, Error>(())
        };
        match timeout(PATIENCE, closing).await {
            Ok(Err(error)) => gone(&error),
            Ok(Ok(())) | Err(_) => End::Server { code, reason },
        }
    }
}

pub(super) fn gone(error: &Error) -> End {
    End::Vanished(error.to_string())
}
