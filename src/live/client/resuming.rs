//! A client that goes on with a session which began on another socket.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};

use super::{Client, Phase};
use crate::{
    live::{
        inbox::Inbox,
        intake, options,
        resumption::{Resumption, Wanted},
        session::{Beginning, Plan},
        wire::{Event, Failure, Retold, SessionResumed},
    },
    model::{AudioFormat, Error, ErrorKind, Language, SessionId},
    rooms::Recorded,
    telemetry::metrics::label,
};

/// How long after a refusal another attempt is looked at.
const PAUSE: Duration = Duration::from_millis(500);

impl Client {
    /// Goes on with a session, or tells why not. Answers beside the socket: the owner may have to be
    /// waited for.
    pub fn resume(&self, payload: &Map<String, Value>) {
        let wanted = match Wanted::read(payload) {
            Ok(wanted) => wanted,
            Err(error) => return self.fail(&error),
        };
        let mut phase = self.lock();
        if matches!(*phase, Phase::Resuming) {
            drop(phase);
            let text = "one resume at a time, and not at once after a refused one";
            return self.refuse_resume(
                wanted.session,
                &Error::new(ErrorKind::RateLimited, text).after(PAUSE),
            );
        }
        if !matches!(*phase, Phase::Fresh | Phase::Stopped) {
            drop(phase);
            let error = Error::new(ErrorKind::Conflict, "this socket has a session: stop it first");
            return self.refuse_resume(wanted.session, &error);
        }
        *phase = Phase::Resuming;
        drop(phase);
        let client = self.clone();
        self.service.shutdown.spawn(async move {
            let hard = client.service.shutdown.hard().clone();
            hard.run_until_cancelled(Box::pin(client.go_on(wanted))).await;
        });
    }

    async fn go_on(&self, wanted: Wanted) {
        let taken = match self.may_begin() {
            Ok(()) => self.service.take_over(&self.caller.principal, &wanted).await,
            Err(error) => Err(error),
        };
        let made = taken.and_then(|taken| self.plan(&wanted, taken));
        let outcome = made.as_ref().err().map_or("resumed", |error| error.kind.code());
        self.service.metrics.resumes.add(1, &[label("outcome", outcome)]);
        match made {
            Ok((plan, event, missed)) => self.run_on(plan, event, &missed),
            Err(error) => {
                self.refuse_resume(wanted.session, &error);
                // Each attempt asks Redis and another replica.
                tokio::time::sleep(PAUSE).await;
                self.set_stopped();
            }
        }
    }

    /// Starts the session here, unless the client has gone meanwhile.
    fn run_on(&self, plan: Plan, event: Event, missed: &[Arc<Recorded>]) {
        let mut phase = self.lock();
        if !matches!(*phase, Phase::Resuming) {
            return;
        }
        let bound = intake::inbox_bound(plan.options.stream.format);
        let inbox = Arc::new(Inbox::new(bound, plan.beginning.stands.next_seq));
        self.outbox.push(event);
        for recorded in missed {
            match Retold::read(&recorded.text.body) {
                Some(told) => self.outbox.push(Event::Retold(told)),
                None => tracing::warn!(session = %plan.id, "a room keeps what no session said"),
            }
        }
        *phase = Phase::Running(plan.id, inbox.clone());
        self.spawn(plan, inbox);
    }

    fn set_stopped(&self) {
        let mut phase = self.lock();
        if matches!(*phase, Phase::Resuming) {
            *phase = Phase::Stopped;
        }
    }

    fn refuse_resume(&self, session: SessionId, error: &Error) {
        let mut failure = Failure::of(error, self.service.clock.timestamp());
        failure.session_id = Some(session.to_string());
        self.outbox.push(Event::Error(failure));
    }

    /// The session as it goes on, what its client is answered, and the finals that it missed.
    fn plan(
        &self,
        wanted: &Wanted,
        taken: Resumption,
    ) -> Result<(Plan, Event, Vec<Arc<Recorded>>), Error> {
        let Resumption { facts, claim, mut stands, finals } = taken;
        let gap = wanted.move_on(&mut stands)?;
        let language = Language::parse(&facts.language).unwrap_or(Language::ENGLISH);
        let unusable = |_| Error::new(ErrorKind::Conflict, "its options cannot be used here");
        let mut options =
            options::parse(&facts.given, language, &self.service.live).map_err(unusable)?;
        if let Some(raw) = stands.format {
            options.stream.format = AudioFormat::Raw(raw);
        }
        let missed: Vec<Arc<Recorded>> =
            finals.iter().filter(|said| said.text.label.n > wanted.last_n).cloned().collect();
        let expected = stands.n.saturating_sub(wanted.last_n);
        let recovered = missed.len() as u64 == expected;
        let stored = options.store && !recovered;
        let event = Event::SessionResumed(SessionResumed {
            session_id: facts.session.to_string(),
            room: facts.room.clone(),
            resume_token: self.token(&facts),
            next_seq: stands.next_seq,
            from_ms: stands.covered_ms,
            last_n: stands.n,
            recovered,
            transcript: stored.then(|| format!("/sessions/{}/transcript.json", facts.session)),
            provider: self.service.live.name(),
            model: self.service.live.model_for(&options.stream),
            language: options.stream.language.as_str(),
            timestamp: self.service.clock.timestamp(),
        });
        let room = claim.room.clone();
        let live_seq = Some(wanted.next_seq);
        let beginning = Beginning { stands, claim: Some(claim), finals, gap, live_seq };
        Ok((Plan { id: facts.session, room, options, beginning }, event, missed))
    }
}
