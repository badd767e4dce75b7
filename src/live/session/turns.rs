//! What a session does next: one chunk, one word of its provider, or one of the reasons to end.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Ending, Outcome, Session, ticker};
use crate::{
    live::{
        migration::Migration,
        upstream::{Upstream, Upstreamed},
        wire::{Event, SpeechStarted, UtteranceEnd},
    },
    model::{AudioChunk, Error, ErrorKind},
    telemetry::{log_patterns, metrics::label},
};

/// How long the last words may take once no more audio comes: all that is kept of it, said again at
/// 1.25 times real time, and the time to find somebody who hears it.
const FINISHING: Duration = Duration::from_secs(40);
/// How long a client whose connection broke is waited for, before its last word is taken for whole.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// How long they may take where another owner waits.
const RELEASING: Duration = Duration::from_millis(1200);

impl Session {
    /// Takes whatever comes next, until the session is over.
    pub(super) async fn turns(&mut self, upstream: &mut Upstream) -> Outcome {
        let shutdown = self.service.shutdown.clone();
        let (asked, inbox) = (self.owned.asked().clone(), self.inbox.clone());
        let (mut tick, mut deadline, mut released) = (ticker(), None, false);
        let mut migration = Migration::new(&self.service, self.caller.leaving.clone());
        loop {
            let finishing = deadline.is_some();
            let waits = !finishing && self.back_until.is_some();
            let takes = !finishing && !waits && upstream.has_room();
            let is_all_here = !self.place.keeps();
            let over = tokio::select! {
                chunk = self.place.next(), if takes => match chunk {
                    Ok(Some(chunk)) => {
                        self.take(upstream, chunk);
                        None
                    }
                    Ok(None) => {
                        deadline = self.out_of_audio(upstream);
                        None
                    }
                    Err(refusal) => Some(refused(refusal)),
                },
                () = inbox.finalize_wanted(), if is_all_here => {
                    self.finalize(upstream);
                    None
                }
                learned = upstream.next() => self.learn(upstream, learned),
                _ = tick.tick() => self.tick(upstream),
                step = migration.next(), if !finishing => {
                    self.migrate(step);
                    None
                }
                () = not_back(self.back_until, shutdown.soft()), if waits => {
                    self.back_until = None;
                    deadline = Some(finish(upstream, FINISHING));
                    None
                }
                // The audio that waits is sent to the next owner again.
                () = asked.cancelled(), if !released => {
                    released = true;
                    self.inbox.close(Ending::Released);
                    deadline = Some(finish(upstream, RELEASING));
                    None
                }
                // Cut, but not without handing over what is to be billed.
                () = shutdown.hard().cancelled() => Some(Outcome::cut()),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if finishing => {
                    Some(Outcome::late())
                }
            };
            self.tell_finalized(upstream.covered_ms());
            if let Some(outcome) = over.or_else(|| self.lost_outcome()) {
                return if released { Outcome::Replaced } else { outcome };
            }
        }
    }

    /// No more audio comes, or none for now; until when the last words may come, if they are asked for.
    fn out_of_audio(&mut self, upstream: &mut Upstream) -> Option<Instant> {
        if self.inbox.ending() == Some(Ending::Lost) {
            self.back_until = Some(Instant::now() + BACK_WITHIN);
            return None;
        }
        if self.inbox.take_finalize() {
            self.finalize(upstream);
        }
        Some(finish(upstream, FINISHING))
    }

    pub(super) fn take(&mut self, upstream: &mut Upstream, mut chunk: AudioChunk) {
        if self.beginning.live_seq.take_if(|seq| chunk.seq >= *seq).is_some() {
            upstream.live_from_here();
        }
        self.progress.trim(&mut chunk);
        if chunk.bytes.is_empty() {
            return;
        }
        upstream.settle(self.place.home());
        let end_ms = upstream.push(chunk.clone());
        let end_ms = self.progress.take(&chunk, end_ms);
        self.received_at = Instant::now();
        if let Some(trace) = &mut self.trace {
            trace.queued(chunk.seq, chunk.bytes.len(), end_ms, chunk.received_at);
        }
    }

    fn learn(&mut self, upstream: &mut Upstream, learned: Upstreamed) -> Option<Outcome> {
        match learned {
            Upstreamed::Opened { provider, is_live, model, request_id } => {
                tracing::debug!(session = %self.id, model, request_id, "upstream opened");
                self.finalize_asked_ms = 0;
                self.meet(provider, model);
                if is_live {
                    self.transcriber.change(provider);
                }
                let language = self.options.stream.language;
                let user = &self.caller.principal.subject;
                log_patterns::stream_started(
                    self.id,
                    user,
                    language,
                    provider,
                    request_id.as_deref(),
                );
            }
            Upstreamed::Sent { seq, at, provider } => {
                if let Some(waited) = self.trace.as_mut().and_then(|trace| trace.sent(seq, at)) {
                    let provider = label("provider", provider);
                    let waited_ms = waited.as_secs_f64() * 1000.0;
                    self.service.metrics.send_latency_ms.record(waited_ms, &[provider]);
                }
            }
            Upstreamed::Text(text) => self.text(*text, upstream.covered_ms()),
            Upstreamed::Covered { until_ms, provider } => {
                self.heard(provider, until_ms);
                self.covered(until_ms);
            }
            Upstreamed::Gap { from_ms, to_ms, reason } => {
                self.gap(from_ms, to_ms, reason.as_str());
                self.covered(to_ms);
            }
            Upstreamed::SpeechStarted(at_ms) => {
                let session_id = self.id.to_string();
                self.outbox.push(Event::SpeechStarted(SpeechStarted { session_id, at_ms }));
            }
            Upstreamed::UtteranceEnd(last_word_end_ms) => {
                let session_id = self.id.to_string();
                let event = UtteranceEnd { session_id, last_word_end_ms };
                self.outbox.push(Event::UtteranceEnd(event));
            }
            Upstreamed::Finished => {
                self.covered(upstream.covered_ms());
                return Some(Outcome::Finished);
            }
            Upstreamed::Failed(error) => return Some(Outcome::Failed(error.into())),
        }
        None
    }

    /// Leaves a provider that is mute; what that ends in, if in anything.
    pub(super) fn leave_if_mute(&mut self, upstream: &mut Upstream) -> Option<Outcome> {
        upstream.leave_if_mute().and_then(|left| self.learn(upstream, left))
    }
}

fn refused(refusal: Error) -> Outcome {
    match refusal.kind {
        ErrorKind::Overloaded => Outcome::Refused(refusal),
        _ => Outcome::Failed(refusal),
    }
}

/// Asks for the last words; until when they may come.
fn finish(upstream: &mut Upstream, within: Duration) -> Instant {
    upstream.finish();
    Instant::now() + within
}

/// Waits until a client is not waited for any longer.
async fn not_back(until: Option<Instant>, soft: &CancellationToken) {
    // A replica that goes away has no time for it.
    let waited = sleep_until(until.unwrap_or_else(Instant::now));
    soft.run_until_cancelled(waited).await;
}
