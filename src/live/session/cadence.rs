//! What a session does every second: moves its cursors, and hurries what waits too long.

use std::time::Duration;

use tokio::time::Instant;

use super::{Outcome, Session, words::NO_WORD_MS};
use crate::live::{
    upstream::Upstream,
    wire::{AudioAck, Event},
};

/// How often cursors are looked at.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// A client that follows the protocol hears something every other tick, however late one is.
const HEARD: Duration = Duration::from_millis(1500);
/// Audio that waits this long for a final is asked for.
const FINALIZE_AFTER_MS: u64 = 20_000;
/// Without audio for this long, a final of what was said is asked for.
const WIND_UP_AFTER: Duration = Duration::from_millis(1500);

impl Session {
    pub(super) fn tick(&mut self, upstream: &mut Upstream) -> Option<Outcome> {
        let covered_ms = self.done_ms(upstream.covered_ms());
        if self.checked_at.elapsed() >= self.service.checkpoint {
            self.checked_at = Instant::now();
            self.note(covered_ms);
            self.check(covered_ms);
        }
        let durable_ms = self.meter.as_ref().map_or(0, |meter| *meter.durable_ms().borrow());
        self.acknowledge(durable_ms.min(self.told_ms()));
        // Half a word at the end is not asked for while the rest of it may come.
        if self.back_until.is_none() {
            self.hurry(upstream, covered_ms);
        }
        if let Some((provider, slot)) = upstream.moved() {
            self.place.move_to(provider, slot);
        }
        if let Err(refusal) = self.place.look(self.received_at.elapsed()) {
            return Some(Outcome::Failed(refusal));
        }
        self.leave_if_mute(upstream)
    }

    /// Bills what is stored, and says with it where the session stands. While nobody stores anything
    /// what was said is billed all the same.
    fn check(&self, covered_ms: u64) {
        let (Some(meter), Some(herald)) = (&self.meter, &self.herald) else { return };
        let told = herald.told().borrow().clone();
        if let Some(mark) = told.mark {
            meter.mark(mark);
        }
        meter.checkpoint(if told.is_stuck { covered_ms } else { told.covered_ms });
    }

    /// Notes where the session stands, if silence moved it on.
    fn note(&mut self, covered_ms: u64) {
        if covered_ms <= self.noted_ms {
            return;
        }
        self.noted_ms = covered_ms;
        if let Some(herald) = &self.herald {
            herald.note(self.bookmark(covered_ms));
        }
    }

    /// Up to where the next owner would find everything: only that is acknowledged.
    pub(super) fn told_ms(&self) -> u64 {
        self.herald.as_ref().map_or(0, |herald| herald.told().borrow().covered_ms)
    }

    /// Asks for the final of audio that has waited long, or that nothing follows; lets a connection
    /// go that nobody has spoken through for a while.
    fn hurry(&mut self, upstream: &mut Upstream, covered_ms: u64) {
        let waiting_ms =
            self.progress.received_ms.saturating_sub(covered_ms.max(self.finalize_asked_ms));
        let idle = self.received_at.elapsed();
        let asked = if waiting_ms >= FINALIZE_AFTER_MS {
            upstream.finalize()
        } else {
            idle >= WIND_UP_AFTER && waiting_ms >= NO_WORD_MS && upstream.wind_up()
        };
        if asked {
            self.finalize_asked_ms = self.progress.received_ms;
        }
        if idle >= self.service.idle && upstream.rest() {
            self.place.rest();
        }
    }

    /// Tells how far audio is durable when that moved, and otherwise often enough to be alive.
    ///
    /// It begins where an owner before left the session, up to where that one may have acknowledged,
    /// and never goes back.
    fn acknowledge(&mut self, acked_ms: u64) {
        let acked_ms = acked_ms.max(self.acked_ms);
        if acked_ms == self.acked_ms && self.acked_at.elapsed() < HEARD {
            return;
        }
        (self.acked_ms, self.acked_at) = (acked_ms, Instant::now());
        let ack = self.ack(acked_ms);
        self.outbox.push(Event::AudioAck(ack));
    }

    pub(super) fn ack(&mut self, acked_ms: u64) -> AudioAck {
        AudioAck {
            session_id: self.id.to_string(),
            acked_seq: self.progress.timeline.acknowledge(acked_ms),
            acked_ms,
            timestamp: self.service.clock.timestamp(),
        }
    }
}
