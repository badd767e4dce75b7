//! How a session is put away: told, billed, and left so that another owner can go on, or over.

use std::time::Duration;

use tokio::time::timeout;

use super::{Ending, Outcome, Receipt, Session};
use crate::{
    live::{
        bookmark::{Bookmark, Standing},
        herald::{Ended, Herald, Told},
        wire::{Event, Report, SessionEnded},
    },
    model::SessionId,
    usage::Mark,
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
        let covered_ms = self.done_ms(covered_ms);
        // A session that ends by itself is over, unless something else closed its inbox before, or
        // another owner has it, and what it holds.
        let replaced = matches!(outcome, Outcome::Replaced);
        let ending = if replaced { Ending::Released } else { Ending::Stopped };
        let standing = match self.inbox.close(ending) {
            Ending::Stopped => Standing::Over,
            Ending::Parked | Ending::Lost | Ending::Released => Standing::Parked,
        };
        let report = self.report(covered_ms);
        let billed_ms = if replaced || standing == Standing::Parked {
            // What another owner may say again is billed by that one.
            self.tell_parked(covered_ms).await
        } else {
            self.tell_over(&outcome, covered_ms, &report).await;
            covered_ms
        };
        let Some(meter) = self.meter.take() else { return (outcome, None) };
        let durable_ms = meter.durable_ms();
        if standing == Standing::Over {
            meter.finish(billed_ms);
        } else {
            meter.park(billed_ms);
        }
        let receipt = Receipt::new(durable_ms, self.ack(billed_ms), report);
        (outcome, Some(receipt))
    }

    /// Tells the room how the session ended. A replica that drains waits until it is told: the
    /// herald would be cut.
    async fn tell_over(&mut self, outcome: &Outcome, covered_ms: u64, report: &Report) {
        let ended =
            Ended { outcome: outcome.name(), numbers: self.progress.last_n, audio_ms: covered_ms };
        let mut stands = Bookmark { standing: Standing::Over, ..self.bookmark(covered_ms) };
        if matches!(outcome, Outcome::Finished) {
            stands = stands.finished(report.received_ms, self.inbox.next_seq());
        }
        stands.n += 1;
        let event = Event::SessionEnded(SessionEnded {
            session_id: self.id.to_string(),
            room: self.room.to_string(),
            n: stands.n,
            outcome: outcome.name(),
            report: report.clone(),
            timestamp: self.service.clock.timestamp(),
        });
        // With where it stands, or somebody might go on after the end.
        self.number_as(&event, None, stands.clone());
        if let (Some(meter), Ok(bookmark)) =
            (&self.meter, stands.seal(&self.service.secrets, self.id))
        {
            // Nobody goes on with it, whether its room was told or not.
            meter.mark(Mark { covered_ms, last_n: stands.n, bookmark });
        }
        let Some(herald) = self.herald.take() else { return };
        herald.note(stands);
        herald.end(ended);
        if self.service.shutdown.soft().is_cancelled() {
            last_words(self.id, herald).await;
        }
    }

    /// Leaves word of where the session stands, to be gone on with; up to where that is stored.
    async fn tell_parked(&mut self, covered_ms: u64) -> u64 {
        let Some(herald) = self.herald.take() else { return covered_ms };
        let let_go_ms = self.service.clock.now_ms();
        herald.note(self.bookmark(covered_ms).parked(let_go_ms));
        let told = last_words(self.id, herald).await;
        if told.lost.is_none() {
            // A session that is cut has no time for it: its usage is to be in time.
            let hard = self.service.shutdown.hard();
            hard.run_until_cancelled(self.service.lapses.park(self.id, &self.room)).await;
        }
        if let (Some(meter), Some(mark)) = (&self.meter, told.mark) {
            meter.mark(mark);
        }
        if told.is_stuck && told.lost.is_none() { covered_ms } else { told.covered_ms }
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
        let has_gap = self.beginning.gap.is_some();
        self.open_books();
        self.tell_client_gap();
        let covered_ms = self.beginning.stands.covered_ms;
        if stopped {
            return Box::pin(self.end(Outcome::Finished, covered_ms)).await;
        }
        let mut stands = self.beginning.stands.clone();
        if has_gap {
            let Bookmark { n, course, lost, .. } = self.bookmark(covered_ms);
            stands = Bookmark { n, course, lost, ..stands };
        }
        if let Some(herald) = self.herald.take() {
            let let_go_ms = self.service.clock.now_ms();
            herald.note(Bookmark { books: self.books.take(), ..stands }.parked(let_go_ms));
        }
        (self.unused(), None)
    }

    /// What became of the session's audio.
    pub(super) fn report(&self, covered_ms: u64) -> Report {
        Report::of(self.progress.received_ms, covered_ms, self.progress.lost.clone())
    }
}

/// Lets a herald go, and waits a while for its last words; how far it got.
async fn last_words(session: SessionId, herald: Herald) -> Told {
    let mut told = herald.told();
    drop(herald);
    // The sender is gone once the last mark was left, or given up.
    let over = async { while told.changed().await.is_ok() {} };
    if timeout(LAST_TELLING, over).await.is_err() {
        tracing::debug!(%session, "a session ends before its room was told");
    }
    told.borrow().clone()
}
