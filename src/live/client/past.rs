//! A session that was stopped, and whose client missed the end: it is told again, and billed if the
//! owner that finished it did not live to do so.

use super::{Client, resuming::Said};
use crate::{
    live::{
        bookmark::Bookmark,
        outcome::Receipt,
        wire::{AudioAck, Report},
    },
    model::SessionId,
    providers::StreamOptions,
    usage::Taken,
};

/// The end of a session.
pub(super) struct End {
    pub(super) id: SessionId,
    /// Where it stands, its end included.
    pub(super) stands: Bookmark,
    pub(super) report: Report,
    /// As it was transcribed.
    pub(super) stream: StreamOptions,
}

impl Client {
    /// Tells the end, and acknowledges the rest of the audio once its usage is durable.
    pub(super) async fn tell_end(&self, end: End, said: Said) {
        self.unresumed.note();
        if !self.set_stopped() {
            return;
        }
        self.tell_again(said);
        self.outbox.push(self.stopped(Some(end.id), Some(end.report.clone())));
        if let Some(ack) = self.bill(end).acknowledged().await {
            self.outbox.push(ack);
        }
    }

    /// Bills what is not billed yet: its last owner may have died before.
    fn bill(&self, End { id, stands, report, stream }: End) -> Receipt {
        let start = self.service.billed(id, &self.caller, &stream);
        let Bookmark { fence, covered_ms, .. } = stands;
        let meter =
            self.service.usage.open(start, Taken { fence, course: stands.course, covered_ms });
        let ack = AudioAck {
            session_id: id.to_string(),
            acked_seq: stands.next_seq.checked_sub(1),
            acked_ms: covered_ms,
            timestamp: self.service.clock.timestamp(),
        };
        let durable_ms = meter.durable_ms();
        meter.finish(covered_ms);
        Receipt::new(durable_ms, ack, report)
    }
}
