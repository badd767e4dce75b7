//! How a session ends, and what it leaves behind.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

use super::wire::{AudioAck, Event, Report, text};
use crate::model::{Error, ErrorKind};

/// How long the last acknowledgement may wait for the database.
const RECEIPT: Duration = Duration::from_secs(5);

/// How a session ended.
#[derive(Debug)]
pub enum Outcome {
    /// The last words were delivered.
    Finished,
    /// There never was any audio.
    Silent,
    /// It was not let in.
    Refused(Error),
    /// It could not go on.
    Failed(Error),
    /// Another owner has it.
    Replaced,
    /// Its task panicked.
    Died,
}

impl Outcome {
    /// The stable name: `finished`, `silent`, or the error's code.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Silent => "silent",
            Self::Replaced => "replaced",
            Self::Died => "died",
            Self::Refused(error) | Self::Failed(error) => error.kind.code(),
        }
    }

    /// The drain limit came before its end.
    pub fn cut() -> Self {
        Self::Failed(Error::new(ErrorKind::ShuttingDown, "the replica is shutting down"))
    }

    /// The last words did not come in time.
    pub fn late() -> Self {
        Self::Failed(Error::new(ErrorKind::Timeout, text::PROVIDER))
    }
}

/// What a session leaves behind: what became of its audio, and its last acknowledgement, once usage is durable that far.
#[derive(Debug)]
pub struct Receipt {
    durable_ms: watch::Receiver<u64>,
    ack: AudioAck,
    /// What became of the session's audio.
    pub report: Report,
}

impl Receipt {
    /// A receipt that is due once usage is durable up to what `ack` says.
    pub fn new(durable_ms: watch::Receiver<u64>, ack: AudioAck, report: Report) -> Self {
        Self { durable_ms, ack, report }
    }

    /// Waits for the last usage to be durable; `None` if that takes too long.
    pub async fn acknowledged(mut self) -> Option<Event> {
        let until_ms = self.ack.acked_ms;
        let durable = self.durable_ms.wait_for(|durable_ms| *durable_ms >= until_ms);
        timeout(RECEIPT, durable).await.ok()?.ok()?;
        Some(Event::AudioAck(self.ack))
    }
}
