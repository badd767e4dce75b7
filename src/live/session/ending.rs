//! How a session is put away: told, billed, and left so that another owner can go on, or over.

use std::time::Duration;

use tokio::time::timeout;

use super::{Ending, Outcome, Receipt, Session};
use crate::live::{
    bookmark::{Bookmark, Standing},
    herald::Ended,
    wire::{Event, Report, SessionEnded},
};

/// How long what was said last may take into the room before the session is put away without.
const LAST_TELLING: Duration = Duration::from_secs(2);

impl Session {
    /// Puts the session away.
    pub(super) async fn end(
        mut self,
        outcome: Outcome,
        covered_ms: u64,
    ) -> (Outcome, Option<Receipt>) {
        let covered_ms = self.edge.cap(covered_ms);
        // A session that ends by itself is over, unless something else closed its inbox before, or
        // another owner has it, and what it holds.
        let replaced = matches!(outcome, Outcome::Replaced);
        let ending = if replaced { Ending::Released } else { Ending::Stopped };
        let standing = match self.inbox.close(ending) {
            Ending::Stopped => Standing::Over,
            Ending::Parked | Ending::Lost | Ending::Released => Standing::Parked,
        };
        let report = self.report(covered_ms);
        let billed_ms = if replaced {
            // What another owner will say again is billed by that one.
            let stands = Bookmark { standing: Standing::Parked, ..self.bookmark(covered_ms) };
            self.tell_standing(stands, None).await
        } else {
            self.tell_end(&outcome, standing, covered_ms, &report).await;
            covered_ms
        };
        let Some(meter) = self.meter.take() else { return (outcome, None) };
        let durable_ms = meter.durable_ms();
        meter.finish(billed_ms);
        let receipt = Receipt::new(durable_ms, self.ack(billed_ms), report);
        (outcome, Some(receipt))
    }

    /// Tells the room how the session ended. A replica that drains waits until it is told: the
    /// herald would be cut.
    async fn tell_end(
        &mut self,
        outcome: &Outcome,
        standing: Standing,
        covered_ms: u64,
        report: &Report,
    ) {
        let ended =
            Ended { outcome: outcome.name(), finals: self.progress.last_n, audio_ms: covered_ms };
        let mut stands = Bookmark { standing, ..self.bookmark(covered_ms) };
        if standing == Standing::Over {
            if matches!(outcome, Outcome::Finished) {
                stands = stands.finished(report.received_ms, self.inbox.next_seq());
            }
            stands.n += 1;
            let event = Event::SessionEnded(SessionEnded {
                session_id: self.id.to_string(),
                room: self.room.to_string(),
                n: self.progress.last_n + 1,
                outcome: outcome.name(),
                report: report.clone(),
                timestamp: self.service.clock.timestamp(),
            });
            // With where it stands, or somebody might go on after the end.
            self.number_as(&event, None, stands.clone());
        }
        if self.service.shutdown.soft().is_cancelled() {
            let _told_ms = self.tell_standing(stands, Some(ended)).await;
        } else if let Some(herald) = self.herald.take() {
            herald.note(stands);
            herald.end(ended);
        }
    }

    /// Leaves word of where the session stands; up to where the room was told in time.
    async fn tell_standing(&mut self, stands: Bookmark, ended: Option<Ended>) -> u64 {
        let Some(herald) = self.herald.take() else { return stands.covered_ms };
        let mut told = herald.told();
        herald.note(stands);
        if let Some(ended) = ended {
            herald.end(ended);
        }
        drop(herald);
        // The sender is gone once the last mark was left, or given up.
        let over = async { while told.changed().await.is_ok() {} };
        if timeout(LAST_TELLING, over).await.is_err() {
            tracing::debug!(session_id = %self.id, "a session ends before its room was told");
        }
        told.borrow().covered_ms
    }

    /// What a session is that has had no audio here.
    pub(super) fn unused(&self) -> Outcome {
        match self.inbox.close(Ending::Parked) {
            Ending::Released => Outcome::Replaced,
            Ending::Stopped | Ending::Parked | Ending::Lost => Outcome::Silent,
        }
    }

    /// A session that was taken over and has no more audio: what was left of it is all there is.
    pub(super) async fn end_unused(mut self) -> (Outcome, Option<Receipt>) {
        let stopped = self.inbox.close(Ending::Parked) == Ending::Stopped;
        self.open_books();
        if stopped {
            let covered_ms = self.beginning.stands.covered_ms;
            return Box::pin(self.end(Outcome::Finished, covered_ms)).await;
        }
        if let Some(herald) = self.herald.take() {
            let stands = self.beginning.stands.clone();
            herald.note(Bookmark { standing: Standing::Parked, ..stands });
        }
        (self.unused(), None)
    }

    /// What became of the session's audio.
    pub(super) fn report(&self, covered_ms: u64) -> Report {
        Report::of(self.progress.received_ms, covered_ms, self.progress.lost.clone())
    }
}
