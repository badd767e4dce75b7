//! A connected client: turns what a doorway hears into sessions, and keeps at most one at a time.

mod beginning;
mod parting;
mod past;
mod resuming;
mod turned_away;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{
    LiveService,
    allowance::Allowance,
    audience::Audience,
    caller::Caller,
    inbox::{Ending, Inbox, Refused},
    options,
    outbox::Outbox,
    payload::Payload,
    standing::Standing,
    wire::{Connected, Event, Failure, not_ready},
};
use resuming::Unresumed;
use turned_away::TurnedAway;

use crate::{
    lifecycle::Shutdown,
    model::{Error, ErrorKind, SessionId},
    telemetry::{log_patterns, metrics::label},
};

/// One client behind one doorway. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    service: LiveService,
    caller: Arc<Caller>,
    outbox: Arc<Outbox>,
    phase: Arc<Mutex<Phase>>,
    standing: Arc<Standing>,
    audience: Arc<Audience>,
    /// Whether the client knows that its audio is being refused.
    told_overloaded: Arc<AtomicBool>,
    /// Whether the client knows that it has no session.
    told_not_ready: Arc<AtomicBool>,
    turned_away: Arc<TurnedAway>,
    starts: Arc<Mutex<Allowance>>,
    unresumed: Arc<Unresumed>,
    /// What the log knows of: empty, undecodable, unasked audio; a session that was refused; a stop
    /// of nothing; a language that nobody knows.
    complained: Arc<[AtomicBool; 6]>,
}

enum Phase {
    /// Nothing has begun: the first audio starts a session by itself.
    Fresh,
    Running(SessionId, Arc<Inbox>),
    /// A session is being taken over; no audio is taken before that is answered.
    Resuming,
    /// Stopped, its last words still on their way.
    Stopping(SessionId),
    /// Only `start_streaming` begins again: a late chunk must not open a billed stream.
    Stopped,
}

/// What became of a chunk.
#[derive(Debug)]
pub enum Taken {
    /// It is in the inbox, or there was nothing in it.
    Accepted,
    /// It was refused, and the client was told.
    Refused,
    /// There is no room: it may be offered again once the inbox has some.
    Full(Bytes, Arc<Inbox>),
}

impl Client {
    /// A client that has just been admitted.
    pub fn new(service: LiveService, caller: Caller, standing: Standing) -> Self {
        let outbox = Arc::new(Outbox::new(service.metrics.clone()));
        service.metrics.sockets.add(1, &[label("door", caller.door)]);
        let phase = Arc::new(Mutex::new(Phase::Fresh));
        let (caller, standing) = (Arc::new(caller), Arc::new(standing));
        Self {
            service,
            caller,
            outbox,
            phase,
            standing,
            audience: Arc::default(),
            told_overloaded: Arc::default(),
            told_not_ready: Arc::default(),
            turned_away: Arc::default(),
            starts: Arc::default(),
            unresumed: Arc::default(),
            complained: Arc::default(),
        }
    }

    /// Events for this client.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// What it needs.
    pub fn service(&self) -> &LiveService {
        &self.service
    }

    /// What its right to be here stands on.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Who is on the socket.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The rooms that it watches.
    pub fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Greets, and says at once if its language cannot be heard here.
    pub fn greet(&self) {
        let (principal, language) = (&self.caller.principal, self.caller.language);
        log_patterns::websocket_connected(&principal.subject, principal.auth_type.as_str());
        log_patterns::language_set(&principal.subject, language);
        self.outbox.push(Event::Connected(Connected {
            message: Connected::MESSAGE,
            user_id: principal.subject.clone(),
            auth_type: principal.auth_type.as_str(),
            language: language.as_str(),
            timestamp: self.service.clock.timestamp(),
        }));
        if let Err(refusal) = options::heard(language, None, &self.service.live) {
            let failure = refusal.failure(self.service.clock.timestamp());
            self.outbox.push(Event::Error(failure));
        }
    }

    /// Takes audio in. Never waits; what it returns is for doors with back-pressure.
    pub fn audio(&self, payload: Payload, seq: Option<u64>, received_at: Instant) -> Taken {
        match payload.decode() {
            Ok(Some(bytes)) => self.offer(bytes, seq, received_at),
            Ok(None) => {
                self.complain(0, log_patterns::empty_chunk);
                Taken::Accepted
            }
            Err(error) => {
                self.complain(1, || log_patterns::undecodable_chunk(&error.detail));
                self.refuse(&error, "invalid")
            }
        }
    }

    /// Offers decoded audio, with its number where the client counts.
    pub fn offer(&self, bytes: Bytes, seq: Option<u64>, received_at: Instant) -> Taken {
        if self.standing.parting().is_some() {
            self.count_dropped("closed");
            return Taken::Refused;
        }
        let inbox = match self.inbox() {
            Ok(inbox) => inbox,
            Err(None) => return Taken::Refused,
            Err(Some(error)) => {
                return self.refuse_once(&self.told_not_ready, &error, "no_session");
            }
        };
        let length = bytes.len() as u64;
        match inbox.push(bytes.clone(), seq, received_at) {
            Ok(_seq) => {
                self.told_overloaded.store(false, Ordering::Relaxed);
                let door = [label("door", self.caller.door)];
                self.service.metrics.audio_chunks.add(1, &door);
                self.service.metrics.audio_bytes.add(length, &door);
                Taken::Accepted
            }
            Err(Refused::Full) => Taken::Full(bytes, inbox),
            Err(Refused::Known) => {
                self.count_dropped("duplicate");
                Taken::Accepted
            }
            Err(Refused::Ahead(next_seq)) => {
                let text = format!("chunk {next_seq} is to come first");
                let error = Error::new(ErrorKind::Conflict, text);
                self.refuse_once(&self.told_overloaded, &error, "out_of_order")
            }
            // The session is ending by itself and says why in a moment: no word before that.
            Err(Refused::Closed) => {
                self.count_dropped("closed");
                Taken::Refused
            }
        }
    }

    /// Drops audio because the session is behind. The client is told once, until it is heard again:
    /// an answer to each chunk would fill the queue of its events.
    pub fn overloaded(&self) -> Taken {
        let text = "audio arrives faster than it can be transcribed";
        let error = Error::new(ErrorKind::Overloaded, text);
        self.refuse_once(&self.told_overloaded, &error, "overloaded")
    }

    /// Starts a session with these options.
    pub fn start(&self, given: &Map<String, Value>) {
        self.start_as(SessionId::mint(), given);
    }

    /// Starts the session of that id.
    pub fn start_as(&self, id: SessionId, given: &Map<String, Value>) {
        let mut phase = self.lock();
        self.told_not_ready.store(false, Ordering::Relaxed);
        if matches!(*phase, Phase::Running(..) | Phase::Resuming) {
            drop(phase);
            self.fail(&Error::new(ErrorKind::Conflict, "a session is running: stop it first"));
            return;
        }
        if let Some(inbox) = self.begin(id, given) {
            *phase = Phase::Running(id, inbox);
        } else if matches!(*phase, Phase::Fresh) {
            // Audio that was meant for the refused options must not start another session.
            *phase = Phase::Stopped;
        }
    }

    /// Stops the running session; `streaming_stopped` follows its last words.
    pub fn stop(&self) {
        let mut phase = self.lock();
        match &*phase {
            Phase::Running(id, inbox) => {
                inbox.close(Ending::Stopped);
                *phase = Phase::Stopping(*id);
            }
            Phase::Stopping(_) | Phase::Resuming => {}
            Phase::Fresh | Phase::Stopped => {
                *phase = Phase::Stopped;
                let user = &self.caller.principal.subject;
                self.complain(4, || log_patterns::stop_without_session(user));
                self.outbox.push(self.stopped(None, None));
            }
        }
    }

    /// Asks for finals of all audio so far; the event that ends them follows.
    pub fn finalize(&self) {
        if let Phase::Running(_, inbox) = &*self.lock() {
            inbox.finalize();
        }
    }

    /// The client is gone for good: what it sent is transcribed to its end.
    pub fn hang_up(&self) {
        if let Phase::Running(_, inbox) = &*self.lock() {
            inbox.close(Ending::Stopped);
        }
    }

    /// The client takes its leave: it is not expected back in a moment.
    pub fn leave_taken(&self) {
        if let Phase::Running(_, inbox) = &*self.lock() {
            inbox.close(Ending::Parked);
        }
    }

    /// The client is gone: its session is closed in order, so that its usage is counted, and can be
    /// gone on with elsewhere.
    pub fn gone(&self) {
        self.retire();
        if let Phase::Running(_, inbox) = std::mem::replace(&mut *self.lock(), Phase::Stopped) {
            inbox.close(Ending::Lost);
        }
        log_patterns::websocket_disconnected(&self.caller.principal.subject);
    }

    /// Nothing more is kept for this client, and it watches nothing.
    pub fn retire(&self) {
        self.outbox.abandon();
        self.audience.close();
        self.standing.leave();
        self.service.metrics.sockets.add(-1, &[label("door", self.caller.door)]);
    }

    /// Tells the client of an error.
    pub fn fail(&self, error: &Error) {
        self.outbox.push(Event::Error(Failure::of(error, self.service.clock.timestamp())));
    }

    /// The running session's inbox, started by this very audio where nothing has begun yet.
    /// An error without text means that the client has been told already.
    fn inbox(&self) -> Result<Arc<Inbox>, Option<Error>> {
        let mut phase = self.lock();
        match &*phase {
            Phase::Running(_, inbox) => Ok(inbox.clone()),
            Phase::Stopping(_) | Phase::Stopped | Phase::Resuming => {
                self.complain(2, log_patterns::stream_not_open);
                Err(Some(not_ready()))
            }
            Phase::Fresh => {
                let id = SessionId::mint();
                let Some(inbox) = self.begin(id, &Map::new()) else {
                    *phase = Phase::Stopped;
                    return Err(None);
                };
                *phase = Phase::Running(id, inbox.clone());
                Ok(inbox)
            }
        }
    }

    /// Refuses, and tells the client unless it knows already.
    fn refuse_once(&self, told: &AtomicBool, error: &Error, reason: &'static str) -> Taken {
        if told.swap(true, Ordering::Relaxed) {
            self.count_dropped(reason);
            return Taken::Refused;
        }
        self.refuse(error, reason)
    }

    fn refuse(&self, error: &Error, reason: &'static str) -> Taken {
        self.count_dropped(reason);
        self.fail(error);
        Taken::Refused
    }

    /// Logs a fault of the client's once: what comes with each chunk must not flood the log.
    fn complain(&self, fault: usize, log: impl FnOnce()) {
        if !self.complained[fault].swap(true, Ordering::Relaxed) {
            log();
        }
    }

    fn count_dropped(&self, reason: &'static str) {
        self.service.metrics.audio_dropped.add(1, &[label("reason", reason)]);
    }

    /// Who waits for this client's tasks.
    pub fn shutdown(&self) -> &Shutdown {
        &self.service.shutdown
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
