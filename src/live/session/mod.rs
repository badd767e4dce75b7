//! One live session: the only task that owns its stream, its cursors and its bill.

mod beginning;
mod cadence;
mod ending;
mod heard;
mod turns;
mod words;

use std::sync::Arc;

use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Interval},
};

pub use beginning::Beginning;
use heard::Heard;

use super::{
    LiveService,
    bookmark::Books,
    caller::Caller,
    herald::Herald,
    inbox::{Ending, Inbox},
    intake::{self, Intake},
    options::Options,
    outbox::Outbox,
    outcome::{Outcome, Receipt},
    owners::Ownership,
    place::Place,
    progress::Progress,
    splice::Edge,
    trace::SessionTrace,
    transcriber::Transcriber,
    upstream::{Origin, Spare, Upstream},
};
use crate::{
    model::{AudioChunk, AudioFormat, Error, SessionId},
    rooms::RoomName,
    usage::Meter,
};

/// What a session is made from.
pub struct Plan {
    /// Its id.
    pub id: SessionId,
    /// Where it publishes.
    pub room: RoomName,
    /// How it is to be transcribed.
    pub options: Options,
    /// Where it begins.
    pub beginning: Beginning,
}

/// Everything that one session owns.
pub struct Session {
    id: SessionId,
    room: RoomName,
    service: LiveService,
    caller: Arc<Caller>,
    options: Options,
    beginning: Beginning,
    inbox: Arc<Inbox>,
    place: Place,
    outbox: Arc<Outbox>,
    owned: Ownership,
    progress: Progress,
    trace: Option<SessionTrace>,
    transcriber: Arc<Transcriber>,
    meter: Option<Meter>,
    books: Option<Books>,
    heard: Heard,
    herald: Option<Herald>,
    received_at: Instant,
    finalize_asked_ms: u64,
    /// Up to where its client asked for finals, until it has them.
    finalize_wanted_ms: Option<u64>,
    checked_at: Instant,
    noted_ms: u64,
    /// The greatest number under which text was shown that may still change.
    shown_n: u64,
    /// Where the next owner goes on, if a word at the end was left to it.
    edge: Edge,
    acked_ms: u64,
    acked_at: Instant,
    /// Until when its client may be back, whose connection broke.
    back_until: Option<Instant>,
}

impl Session {
    /// A session that waits for its first audio.
    pub fn new(
        service: LiveService,
        caller: Arc<Caller>,
        plan: Plan,
        inbox: Arc<Inbox>,
        outbox: Arc<Outbox>,
    ) -> Self {
        let Plan { id, room, options, beginning } = plan;
        let place = Place::new(service.clone(), caller.clone(), id, inbox.clone(), outbox.clone());
        let stands = &beginning.stands;
        let heard = Heard::from(service.live.name(), stands.covered_ms);
        let (provider, _) = service.lineup.expected(&options.stream);
        let transcriber = Transcriber::new(provider, service.metrics.clone());
        // The owner before may have shown something.
        let shown_n = if beginning.is_fresh() { 0 } else { stands.n + 1 };
        Self {
            id,
            owned: service.owners.own(id, &room),
            room,
            service,
            caller,
            inbox,
            place,
            outbox,
            progress: Progress::from(stands, options.stream.format, 1),
            trace: None,
            transcriber: Arc::new(transcriber),
            meter: None,
            books: None,
            heard,
            herald: None,
            received_at: Instant::now(),
            finalize_asked_ms: 0,
            finalize_wanted_ms: None,
            checked_at: Instant::now(),
            noted_ms: stands.covered_ms,
            shown_n,
            edge: Edge::default(),
            acked_ms: stands.covered_ms,
            acked_at: Instant::now(),
            back_until: None,
            options,
            beginning,
        }
    }

    /// Who transcribes it, also once it has ended.
    pub fn transcriber(&self) -> Arc<Transcriber> {
        self.transcriber.clone()
    }

    /// Runs to the end: its last words are in the outbox and its usage is handed over.
    pub async fn run(mut self) -> (Outcome, Option<Receipt>) {
        let leaving = self.caller.leaving.clone();
        let asked = self.owned.asked().clone();
        let first = tokio::select! {
            biased;
            first = self.first() => first,
            // Without audio there is nothing to hand over.
            () = leaving.cancelled() => Ok(None),
            () = asked.cancelled() => {
                self.inbox.close(Ending::Released);
                Ok(None)
            }
        };
        match first {
            Err(error) => (Outcome::Failed(error), None),
            Ok(None) if self.beginning.is_fresh() => (self.unused(), None),
            Ok(None) => Box::pin(self.end_unused()).await,
            Ok(Some(intake)) => {
                // Taken with the first audio: a session that sends none holds nobody's place.
                let slot = match Box::pin(self.admit()).await {
                    Ok(slot) => slot,
                    Err(error) => return (Outcome::Refused(error), None),
                };
                self.options.stream.format = intake.format;
                self.inbox.set_bound(intake::inbox_bound(intake.format));
                let channels = self.options.stream.billed_channels();
                self.progress = Progress::from(&self.beginning.stands, intake.format, channels);
                self.open_trace();
                self.open_books();
                let counted = self.transcriber.count();
                let outcome = Box::pin(self.stream(intake.first)).await;
                drop((counted, slot));
                outcome
            }
        }
    }

    /// The first audio. What the audio is was found out before, if a chunk of it is done with.
    async fn first(&mut self) -> Result<Option<Intake>, Error> {
        let Some(format) = self.beginning.format() else {
            return intake::first(&self.inbox, &self.options).await;
        };
        let first = self.inbox.next().await;
        Ok(first.map(|first| Intake { format: AudioFormat::Raw(format), first }))
    }

    /// Takes a slot of this replica, a place among the live sessions of all, and the room.
    async fn admit(&mut self) -> Result<OwnedSemaphorePermit, Error> {
        let slot = self.service.admit()?;
        let hard = self.service.shutdown.hard().clone();
        let taken = hard.run_until_cancelled(self.place.take()).await;
        taken.unwrap_or_else(|| self.service.open())?;
        Box::pin(self.claim_room()).await?;
        Ok(slot)
    }

    async fn stream(mut self, first: AudioChunk) -> (Outcome, Option<Receipt>) {
        let (lineup, metrics) = (self.service.lineup.clone(), self.service.metrics.clone());
        let stands = &self.beginning.stands;
        let origin = Origin { ms: stands.covered_ms, speakers: stands.speakers };
        let options = self.options.stream.clone();
        let mut upstream = match self.beginning.live_seq {
            None => Upstream::open(self.id, lineup, options, metrics),
            Some(_) => Upstream::resume((self.id, lineup, metrics), options, origin),
        };
        let account = self.caller.principal.account();
        upstream.borrow_from(Spare { slots: self.service.upstream_slots.clone(), account });
        self.tell_client_gap();
        self.place.keep(first, self.service.lineup.takers(&self.options.stream));
        let outcome = self.turns(&mut upstream).await;
        let covered_ms = upstream.covered_ms();
        drop(upstream);
        Box::pin(self.end(outcome, covered_ms)).await
    }
}

fn ticker() -> Interval {
    use tokio::time::{MissedTickBehavior, interval};
    let mut tick = interval(cadence::TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.reset();
    tick
}
