//! A client that goes on with a session which began on another socket.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Map, Value};

use super::{Client, Phase, past::End};
use crate::{
    live::{
        bookmark::{Bookmark, Resumable},
        inbox::Inbox,
        intake, options,
        options::Options,
        resumption::{Past, Resumption, Taken, Wanted},
        session::{Beginning, Plan},
        wire::{Event, Failure, Retold, SessionResumed},
    },
    model::{AudioFormat, Error, ErrorKind, Language, SessionId},
    rooms::Recorded,
    telemetry::metrics::label,
};

/// How long after a refusal another attempt is looked at: each asks Redis and another replica.
const PAUSE: Duration = Duration::from_millis(500);

/// When a socket was answered last that got no session to go on with.
#[derive(Debug, Default)]
pub struct Unresumed(Mutex<Option<Instant>>);

impl Unresumed {
    pub(super) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_recent(&self) -> bool {
        let at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at.is_some_and(|at| at.elapsed() < PAUSE)
    }
}

/// What a resume comes to.
enum Answer {
    /// The session goes on.
    GoesOn(Box<Plan>, Said),
    /// It was stopped, and there is only to tell how it ended.
    Ended(Box<End>, Said),
}

/// What the client is told first: the answer, and the finals that it missed.
pub(super) struct Said {
    pub(super) event: Event,
    pub(super) missed: Vec<Arc<Recorded>>,
}

impl Client {
    /// Goes on with a session, or tells why not. Answers beside the socket: the owner may have to be
    /// waited for.
    pub fn resume(&self, payload: &Map<String, Value>) {
        let wanted = match Wanted::read(payload) {
            Ok(wanted) => wanted,
            Err(error) => return self.fail(&error),
        };
        let mut phase = self.lock();
        if matches!(*phase, Phase::Resuming) || self.unresumed.is_recent() {
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
            Ok(()) => {
                let waits = || matches!(*self.lock(), Phase::Resuming);
                Box::pin(self.service.take_over(&self.caller.principal, &wanted, waits)).await
            }
            Err(error) => Err(error),
        };
        let answer = taken.and_then(|taken| self.answer(&wanted, taken));
        let outcome = match &answer {
            Ok(Answer::GoesOn(..)) => "resumed",
            Ok(Answer::Ended(..)) => "stopped",
            Err(error) => error.kind.code(),
        };
        self.service.metrics.resumes.add(1, &[label("outcome", outcome)]);
        match answer {
            Ok(Answer::GoesOn(plan, said)) => self.run_on(*plan, said),
            Ok(Answer::Ended(end, said)) => self.tell_end(*end, said).await,
            Err(error) => {
                self.unresumed.note();
                self.set_stopped();
                self.refuse_resume(wanted.session, &error);
            }
        }
    }

    /// Starts the session here, unless the client has gone meanwhile.
    fn run_on(&self, plan: Plan, said: Said) {
        let mut phase = self.lock();
        if !matches!(*phase, Phase::Resuming) {
            return;
        }
        let bound = intake::inbox_bound(plan.options.stream.format);
        let inbox = Arc::new(Inbox::new(bound, plan.beginning.stands.next_seq));
        self.tell_again(said);
        *phase = Phase::Running(plan.id, inbox.clone());
        self.spawn(plan, inbox);
    }

    pub(super) fn tell_again(&self, Said { event, missed }: Said) {
        self.outbox.push(event);
        for recorded in missed {
            match Retold::read(&recorded.text.body) {
                Some(told) => self.outbox.push(Event::Retold(told)),
                None => {
                    tracing::warn!(label = ?recorded.text.label, "a room keeps what no session said");
                }
            }
        }
    }

    /// A resume came to no session: another may be started. False if the client has gone meanwhile.
    pub(super) fn set_stopped(&self) -> bool {
        let mut phase = self.lock();
        let resuming = matches!(*phase, Phase::Resuming);
        if resuming {
            *phase = Phase::Stopped;
        }
        resuming
    }

    fn refuse_resume(&self, session: SessionId, error: &Error) {
        let mut failure = Failure::of(error, self.service.clock.timestamp());
        failure.session_id = Some(session.to_string());
        self.outbox.push(Event::Error(failure));
    }

    fn answer(&self, wanted: &Wanted, taken: Taken) -> Result<Answer, Error> {
        match taken {
            Taken::GoesOn(resumption) => self.plan(wanted, *resumption),
            Taken::Stopped(past) => {
                let Past { facts, stands, report, finals } = *past;
                let options = self.options(&facts, &stands)?;
                let last_n = stands.n.saturating_sub(1);
                let (answer, missed) = self.answered(wanted, (&facts, &options), last_n, &finals);
                let answer = SessionResumed {
                    next_seq: stands.next_seq,
                    from_ms: stands.covered_ms,
                    stopped: true,
                    ..answer
                };
                let end = End { id: facts.session, stands, report, stream: options.stream };
                let event = Event::SessionResumed(answer);
                Ok(Answer::Ended(Box::new(end), Said { event, missed }))
            }
        }
    }

    /// The session as it goes on.
    fn plan(&self, wanted: &Wanted, taken: Resumption) -> Result<Answer, Error> {
        let Resumption { facts, claim, mut stands, finals } = taken;
        let gap = wanted.move_on(&mut stands)?;
        let options = self.options(&facts, &stands)?;
        let (answer, missed) = self.answered(wanted, (&facts, &options), stands.n, &finals);
        let (next_seq, from_ms) = (stands.next_seq, stands.covered_ms);
        let event = Event::SessionResumed(SessionResumed { next_seq, from_ms, ..answer });
        let room = claim.room.clone();
        let live_seq = Some(wanted.next_seq);
        let beginning = Beginning { stands, claim: Some(claim), finals, gap, live_seq };
        let plan = Plan { id: facts.session, room, options, beginning };
        Ok(Answer::GoesOn(Box::new(plan), Said { event, missed }))
    }

    /// The options of a session, as they are here.
    fn options(&self, facts: &Resumable, stands: &Bookmark) -> Result<Options, Error> {
        let language = Language::parse(&facts.language).unwrap_or(Language::ENGLISH);
        let unusable = |_| Error::new(ErrorKind::Conflict, "its options cannot be used here");
        let mut options =
            options::parse(&facts.given, language, &self.service.live).map_err(unusable)?;
        if let Some(raw) = stands.format {
            options.stream.format = AudioFormat::Raw(raw);
        }
        Ok(options)
    }

    /// What the client is answered, from the session's beginning as far as its place is not told, and
    /// which of its finals up to `last_n` it missed.
    fn answered(
        &self,
        wanted: &Wanted,
        (facts, options): (&Resumable, &Options),
        last_n: u64,
        finals: &[Arc<Recorded>],
    ) -> (SessionResumed, Vec<Arc<Recorded>>) {
        let unseen = |said: &&Arc<Recorded>| said.text.label.n > wanted.last_n;
        let missed: Vec<_> = finals.iter().filter(unseen).cloned().collect();
        let recovered = missed.len() as u64 == last_n.saturating_sub(wanted.last_n);
        let stored = options.store && !recovered;
        let (provider, model) = self.service.lineup.expected(&options.stream);
        let answer = SessionResumed {
            session_id: facts.session.to_string(),
            room: facts.room.clone(),
            resume_token: self.token(facts),
            next_seq: 0,
            from_ms: 0,
            last_n,
            recovered,
            stopped: false,
            transcript: stored.then(|| format!("/sessions/{}/transcript.json", facts.session)),
            provider,
            model,
            language: options.stream.language.as_str(),
            timestamp: self.service.clock.timestamp(),
        };
        (answer, missed)
    }
}
