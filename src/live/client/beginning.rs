//! How a client's sessions begin and end.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, PoisonError, atomic::Ordering},
};

use futures_util::FutureExt;
use serde_json::{Map, Value};

use super::{Client, Phase};
use crate::{
    live::{
        bookmark::Resumable,
        inbox::{Ending, Inbox},
        intake,
        lapse::RESUME_WITHIN,
        options,
        outcome::{Outcome, Receipt},
        session::{Beginning, Plan, Session},
        wire::{Close, Event, Failure, Notice, Report, SessionStarted},
    },
    model::{Error, ErrorKind, SessionId},
    rooms::RoomName,
    telemetry::{log_patterns, metrics::label},
};

/// The end of a session, be it that its task panicked: then only this one is restarted, by its
/// client, which goes on with what was stored.
async fn watched(
    running: impl Future<Output = (Outcome, Option<Receipt>)>,
) -> (Outcome, Option<Receipt>) {
    AssertUnwindSafe(running).catch_unwind().await.unwrap_or((Outcome::Died, None))
}

impl Client {
    /// Validates options and spawns the session, or tells the client why not.
    pub(super) fn begin(&self, id: SessionId, given: &Map<String, Value>) -> Option<Arc<Inbox>> {
        let options = match options::parse(given, self.caller.language, &self.service.live) {
            Ok(options) => options,
            Err(refusal) => {
                let failure = refusal.failure(self.service.clock.timestamp());
                self.outbox.push(Event::Error(failure));
                return None;
            }
        };
        if let Some(wanted) = &options.fell_back_from {
            let user = &self.caller.principal.subject;
            self.complain(5, || log_patterns::language_fell_back(user, wanted));
        }
        if let Err(error) = self.may_begin().and_then(|()| self.take_start()) {
            self.fail(&error);
            return None;
        }
        let room = options.room.clone().unwrap_or_else(|| RoomName::of(id));
        let plan = Plan { id, room, options, beginning: Beginning::default() };
        let inbox = Arc::new(Inbox::new(intake::inbox_bound(plan.options.stream.format), 0));
        self.announce(&plan, given);
        self.spawn(plan, inbox.clone());
        Some(inbox)
    }

    pub(super) fn may_begin(&self) -> Result<(), Error> {
        if self.standing.parting().is_some() {
            return Err(Error::new(ErrorKind::Unauthenticated, "the credential has ended"));
        }
        if self.caller.share.is_some() {
            let text = "a share token is for watching only";
            return Err(Error::new(ErrorKind::Forbidden, text));
        }
        // Who is told this needs no word for each chunk that follows.
        let told = |_: &Error| self.told_not_ready.store(true, Ordering::Relaxed);
        self.turned_away.check().inspect_err(told)?;
        self.service.welcome()
    }

    /// One more session on this socket: each costs memory, and lines in the log.
    fn take_start(&self) -> Result<(), Error> {
        let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = starts.take("sessions are started too often on this socket");
        taken.inspect_err(|_| self.told_not_ready.store(true, Ordering::Relaxed))
    }

    fn announce(&self, plan: &Plan, given: &Map<String, Value>) {
        let facts = Resumable {
            session: plan.id,
            account: self.caller.principal.names(),
            room: plan.room.to_string(),
            language: self.caller.language.as_str().to_owned(),
            given: options::lasting(given),
        };
        let (provider, model) = self.service.lineup.expected(&plan.options.stream);
        self.outbox.push(Event::SessionStarted(SessionStarted {
            session_id: plan.id.to_string(),
            provider,
            model,
            language: plan.options.stream.language.as_str(),
            room: facts.room.clone(),
            resume_token: self.token(&facts),
            resume_within_ms: RESUME_WITHIN.as_millis() as u64,
            timestamp: self.service.clock.timestamp(),
        }));
    }

    /// What lets its holder go on with a session.
    pub(super) fn token(&self, facts: &Resumable) -> String {
        // Plain data is always written; without a token there would just be no resuming.
        facts.seal(&self.service.secrets).unwrap_or_default()
    }

    /// Runs a session beside the socket.
    pub(super) fn spawn(&self, plan: Plan, inbox: Arc<Inbox>) {
        let id = plan.id;
        let (service, caller) = (self.service.clone(), self.caller.clone());
        let session = Session::new(service, caller, plan, inbox.clone(), self.outbox.clone());
        let (client, transcriber) = (self.clone(), session.transcriber());
        self.service.shutdown.spawn(async move {
            let (outcome, receipt) = watched(Box::pin(session.run())).await;
            inbox.close(Ending::Stopped);
            let labels = [label("provider", transcriber.name()), label("outcome", outcome.name())];
            client.service.metrics.live_sessions_ended.add(1, &labels);
            client.ended(id, &outcome, receipt.as_ref());
            // Not before the farewell: who waits for the last words must not wait for the database.
            if let Some(receipt) = receipt
                && let Some(ack) = receipt.acknowledged().await
            {
                client.outbox.push(ack);
            }
        });
    }

    /// The session is over: says so, and lets a new one start.
    fn ended(&self, id: SessionId, outcome: &Outcome, receipt: Option<&Receipt>) {
        if let Outcome::Refused(error) | Outcome::Failed(error) = outcome {
            self.log_failure(id, outcome, error);
            let mut failure = Failure::of(error, self.service.clock.timestamp());
            failure.session_id = Some(id.to_string());
            self.outbox.push(Event::Error(failure));
        }
        let mut phase = self.lock();
        let ours = matches!(&*phase, Phase::Running(of, _) | Phase::Stopping(of) if *of == id);
        let replaced = matches!(outcome, Outcome::Replaced);
        let stopped = ours && !replaced && matches!(*phase, Phase::Stopping(_));
        if ours {
            *phase = Phase::Stopped;
        }
        drop(phase);
        if stopped || matches!(outcome, Outcome::Finished) {
            log_patterns::streaming_stopped(id, &self.caller.principal.subject);
            let report = receipt.map(|receipt| receipt.report.clone());
            self.outbox.push(self.stopped(Some(id), report));
        }
        if ours && replaced {
            self.outbox.close(Close::Replaced);
        } else if matches!(outcome, Outcome::Died) {
            self.outbox.close(Close::Restart);
        } else if let Some(close) = self.standing.parting() {
            self.outbox.close(close);
        } else if self.caller.leaving.is_cancelled() {
            self.outbox.close(Close::Draining);
        }
    }

    pub(super) fn stopped(&self, id: Option<SessionId>, report: Option<Report>) -> Event {
        Event::StreamingStopped(Notice {
            message: Notice::STOPPED,
            session_id: id.map(|id| id.to_string()),
            report,
            timestamp: self.service.clock.timestamp(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_that_panics_takes_nothing_with_it() {
        let (outcome, receipt) = watched(async { panic!("a fault of ours") }).await;
        assert!(matches!(outcome, Outcome::Died) && receipt.is_none());
        let (outcome, _) = watched(async { (Outcome::Finished, None) }).await;
        assert!(matches!(outcome, Outcome::Finished));
    }
}
