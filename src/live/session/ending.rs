//! How a session is put away: told, billed, and left so that another owner can go on, or over.

use std::time::Duration;

use tokio::time::timeout;

use super::{Ending, Outcome, Receipt, Session};
use crate::live::{
    bookmark::{Bookmark, Standing},
    herald::{Ended, Herald, Lost},
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
        // A session that ends by itself is over, unless something else closed its inbox before.
        let ending = self.inbox.close(Ending::Stopped);
        let replaced = matches!(outcome, Outcome::Replaced);
        let standing = match ending {
            Ending::Stopped => Standing::Over,
            Ending::Parked | Ending::Released => Standing::Parked,
        };
        let report = self.report(covered_ms);
        let told_ms = self.tell_end(&outcome, standing, covered_ms, &report).await;
        // What another owner will say again is billed by that one.
        let billed_ms = if replaced { told_ms } else { covered_ms };
        let Some(meter) = self.meter.take() else { return (outcome, None) };
        let durable_ms = meter.durable_ms();
        meter.finish(billed_ms);
        let receipt = Receipt::new(durable_ms, self.ack(billed_ms), report);
        (outcome, Some(receipt))
    }

    /// Tells the room that the session ended, or where its next owner goes on; up to where it was
    /// told in time.
    async fn tell_end(
        &mut self,
        outcome: &Outcome,
        standing: Standing,
        covered_ms: u64,
        report: &Report,
    ) -> u64 {
        let stands = Bookmark { standing, ..self.bookmark(covered_ms) };
        let finals = self.last_n;
        let Some(herald) = self.herald.take() else { return covered_ms };
        if herald.told().borrow().lost.is_some() {
            return self.beginning.stands.covered_ms.max(herald.told().borrow().covered_ms);
        }
        if standing == Standing::Over {
            self.herald = Some(herald);
            let event = Event::SessionEnded(SessionEnded {
                session_id: self.id.to_string(),
                room: self.room.to_string(),
                n: self.last_n + 1,
                outcome: outcome.name(),
                report: report.clone(),
                timestamp: self.service.clock.timestamp(),
            });
            self.number(&event, None, covered_ms);
            let Some(herald) = self.herald.take() else { return covered_ms };
            let stands = Bookmark { n: self.last_n, ..stands };
            return put_away(herald, stands, Some((outcome.name(), finals))).await;
        }
        let ended = (!matches!(outcome, Outcome::Replaced)).then(|| (outcome.name(), finals));
        put_away(herald, stands, ended).await
    }

    /// Nobody has sent audio, and another owner asks.
    pub(super) fn release_unused(mut self) -> (Outcome, Option<Receipt>) {
        self.inbox.close(Ending::Released);
        self.beginning.finals.clear();
        (Outcome::Replaced, None)
    }

    /// A session that was taken over and has no more audio: what was left of it is all there is.
    pub(super) async fn end_unused(mut self) -> (Outcome, Option<Receipt>) {
        let ended = self.inbox.close(Ending::Parked);
        let covered_ms = self.beginning.stands.covered_ms;
        if ended == Ending::Stopped {
            self.open_books();
            return Box::pin(self.end(Outcome::Finished, covered_ms)).await;
        }
        let stands = Bookmark { standing: Standing::Parked, ..self.beginning.stands.clone() };
        self.open_books();
        if let Some(herald) = self.herald.take() {
            let _told_ms = Box::pin(put_away(herald, stands, None)).await;
        }
        (Outcome::Silent, None)
    }

    /// What became of the session's audio.
    pub(super) fn report(&self, covered_ms: u64) -> Report {
        let lost_ms: u64 = self.lost.values().sum();
        Report {
            received_ms: self.received_ms.max(covered_ms),
            transcribed_ms: covered_ms.saturating_sub(lost_ms),
            lost_ms,
            lost: self.lost.clone(),
        }
    }
}

/// Lets the herald go with its last message; up to where it told in time.
async fn put_away(herald: Herald, stands: Bookmark, ended: Option<(&'static str, u64)>) -> u64 {
    let covered_ms = stands.covered_ms;
    let mut told = herald.told();
    herald.note(stands);
    if let Some((outcome, finals)) = ended {
        herald.end(Ended { outcome, finals, audio_ms: covered_ms });
    }
    drop(herald);
    // The sender is gone once the last mark was left, or given up.
    let over = async { while told.changed().await.is_ok() {} };
    if timeout(LAST_TELLING, over).await.is_err() {
        tracing::debug!("a session is put away before its room was told");
    }
    let told = told.borrow();
    if told.lost == Some(Lost::Replaced) {
        told.covered_ms
    } else {
        told.covered_ms.min(covered_ms)
    }
}
