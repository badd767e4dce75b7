//! One live session: the only task that owns its stream, its cursors and its bill.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep_until},
};

use super::{
    LiveService,
    caller::Caller,
    inbox::Inbox,
    intake,
    options::Options,
    outbox::{Letter, Outbox},
    outcome::{Outcome, Receipt},
    place::Place,
    timeline::Timeline,
    trace::SessionTrace,
    upstream::{Upstream, Upstreamed},
    wire::{AudioAck, Event, SpeechStarted, Transcription, UtteranceEnd},
};
use crate::{
    model::{AudioChunk, Error, Segment, SessionId},
    telemetry::{log_patterns, metrics::label},
    transcripts::{self, Keeper},
    usage::{Meter, SessionStart},
};

/// How often cursors are looked at.
const TICK: Duration = Duration::from_secs(1);
/// A client that follows the protocol hears something every other tick, however late one is.
const HEARD: Duration = Duration::from_millis(1500);
/// Audio that waits this long for a final is asked for.
const FINALIZE_AFTER_MS: u64 = 20_000;
/// Without audio for this long, a final of what was said is asked for.
const WIND_UP_AFTER: Duration = Duration::from_millis(1500);
/// Less audio than this holds no word worth asking for.
const WIND_UP_MS: u64 = 100;
/// How long the last words may take once no more audio comes.
const FINISHING: Duration = Duration::from_secs(30);

/// Everything that one session owns.
pub struct Session {
    id: SessionId,
    service: LiveService,
    caller: Arc<Caller>,
    options: Options,
    inbox: Arc<Inbox>,
    place: Place,
    outbox: Arc<Outbox>,
    timeline: Timeline,
    trace: Option<SessionTrace>,
    meter: Option<Meter>,
    keeper: Option<Keeper>,
    next_n: u64,
    received_ms: u64,
    received_at: Instant,
    finalize_asked_ms: u64,
    metered_at: Instant,
    acked_ms: u64,
    acked_at: Instant,
}

impl Session {
    /// A session that waits for its first audio.
    pub fn new(
        service: LiveService,
        caller: Arc<Caller>,
        options: Options,
        inbox: Arc<Inbox>,
        outbox: Arc<Outbox>,
        id: SessionId,
    ) -> Self {
        let place = Place::new(service.clone(), caller.clone(), id, inbox.clone());
        Self {
            id,
            service,
            caller,
            options,
            inbox,
            place,
            outbox,
            timeline: Timeline::default(),
            trace: None,
            meter: None,
            keeper: None,
            next_n: 1,
            received_ms: 0,
            received_at: Instant::now(),
            finalize_asked_ms: 0,
            metered_at: Instant::now(),
            acked_ms: 0,
            acked_at: Instant::now(),
        }
    }

    /// Runs to the end: its last words are in the outbox and its usage is handed over.
    pub async fn run(mut self) -> (Outcome, Option<Receipt>) {
        let soft = self.service.shutdown.soft().clone();
        let first = tokio::select! {
            biased;
            first = intake::first(&self.inbox, &self.options) => first,
            // Without audio there is nothing to hand over.
            () = soft.cancelled() => Ok(None),
        };
        match first {
            Ok(None) => (Outcome::Silent, None),
            Err(error) => (Outcome::Failed(error), None),
            Ok(Some(intake)) => {
                // Taken with the first audio: a session that sends none holds nobody's place.
                let slot = match self.admit().await {
                    Ok(slot) => slot,
                    Err(error) => return (Outcome::Refused(error), None),
                };
                self.options.stream.format = intake.format;
                self.inbox.set_bound(intake::inbox_bound(intake.format));
                self.begin();
                let gauge = [label("provider", self.service.live.name())];
                let live_sessions = self.service.metrics.live_sessions.clone();
                live_sessions.add(1, &gauge);
                let outcome = Box::pin(self.stream(intake.first)).await;
                live_sessions.add(-1, &gauge);
                drop(slot);
                outcome
            }
        }
    }

    /// Takes a slot of this replica, and a place among the live sessions of all.
    async fn admit(&mut self) -> Result<OwnedSemaphorePermit, Error> {
        let slot = self.service.admit()?;
        let hard = self.service.shutdown.hard().clone();
        let taken = hard.run_until_cancelled(self.place.take()).await;
        taken.unwrap_or_else(|| self.service.open())?;
        Ok(slot)
    }

    fn begin(&mut self) {
        let sampled = self.service.tracer.clone().filter(crate::telemetry::Tracer::samples);
        self.options.stream.report_sent = sampled.is_some();
        self.trace = sampled.map(|tracer| {
            let provider =
                opentelemetry::KeyValue::new("transcribe.provider", self.service.live.name());
            SessionTrace::begin(tracer, self.id, vec![provider])
        });
        let stream = &self.options.stream;
        let kept = || transcripts::Start {
            session_id: self.id,
            owner: self.caller.principal.owner.clone(),
            language: stream.language.as_str().to_owned(),
            provider: self.service.live.name(),
        };
        self.keeper = self.options.store.then(|| self.service.transcripts.keep(kept()));
        self.meter = Some(self.service.usage.open(SessionStart {
            session_id: self.id,
            owner: self.caller.principal.owner.clone(),
            service: self.service.live.name().into(),
            model: self.service.live.model_for(stream),
            language: stream.language.as_str().to_owned(),
            diarize: stream.diarize,
            billed_channels: stream.billed_channels(),
            endpoint: super::PATH.into(),
            ip: self.caller.ip,
            user_agent: self.caller.user_agent.clone(),
            options: serde_json::json!({ "lang": stream.language.as_str() }),
        }));
    }

    async fn stream(mut self, first: AudioChunk) -> (Outcome, Option<Receipt>) {
        let (live, metrics) = (self.service.live.clone(), self.service.metrics.clone());
        let mut upstream = Upstream::open(self.id, live, self.options.stream.clone(), metrics);
        self.take(&mut upstream, first);
        let outcome = self.turns(&mut upstream).await;
        let receipt = self.end(&outcome, upstream.covered_ms());
        (outcome, receipt)
    }

    /// Takes whatever comes next, until the session is over.
    async fn turns(&mut self, upstream: &mut Upstream) -> Outcome {
        let shutdown = self.service.shutdown.clone();
        let (mut tick, mut deadline, mut draining) = (ticker(), None, false);
        loop {
            let finishing = deadline.is_some();
            let over = tokio::select! {
                chunk = self.place.next(), if !finishing && upstream.has_room() => match chunk {
                    Ok(Some(chunk)) => {
                        self.take(upstream, chunk);
                        None
                    }
                    Ok(None) => {
                        upstream.finish();
                        deadline = Some(Instant::now() + FINISHING);
                        None
                    }
                    Err(refusal) => Some(Outcome::Failed(refusal)),
                },
                learned = upstream.next() => self.learn(upstream, learned),
                _ = tick.tick() => self.tick(upstream),
                () = shutdown.soft().cancelled(), if !draining => {
                    draining = true;
                    self.inbox.close();
                    None
                }
                // Cut, but not without handing over what is to be billed.
                () = shutdown.hard().cancelled() => Some(Outcome::cut()),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if finishing => {
                    Some(Outcome::late())
                }
            };
            if let Some(outcome) = over {
                return outcome;
            }
        }
    }

    fn take(&mut self, upstream: &mut Upstream, chunk: AudioChunk) {
        if chunk.bytes.is_empty() {
            return;
        }
        let end_ms = upstream.push(chunk.clone());
        let end_ms = self.timeline.place(&chunk, end_ms);
        self.received_ms = self.received_ms.max(end_ms);
        self.received_at = Instant::now();
        if let Some(trace) = &mut self.trace {
            trace.queued(chunk.seq, chunk.bytes.len(), end_ms, chunk.received_at);
        }
    }

    fn learn(&mut self, upstream: &mut Upstream, learned: Upstreamed) -> Option<Outcome> {
        match learned {
            Upstreamed::Opened { model, request_id } => {
                tracing::debug!(session = %self.id, model, request_id, "upstream opened");
                self.finalize_asked_ms = 0;
                let language = self.options.stream.language;
                let provider = self.service.live.name();
                let user = &self.caller.principal.subject;
                log_patterns::stream_started(
                    self.id,
                    user,
                    language,
                    provider,
                    request_id.as_deref(),
                );
            }
            Upstreamed::Sent(seq, at) => {
                if let Some(waited) = self.trace.as_mut().and_then(|trace| trace.sent(seq, at)) {
                    let provider = label("provider", self.service.live.name());
                    let waited_ms = waited.as_secs_f64() * 1000.0;
                    self.service.metrics.send_latency_ms.record(waited_ms, &[provider]);
                }
            }
            Upstreamed::Text { segment, speakers_reset } => self.text(*segment, speakers_reset),
            Upstreamed::Covered(until_ms) => self.covered(until_ms),
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

    fn text(&mut self, segment: Segment, speakers_reset: bool) {
        let kind = if segment.is_final { "final" } else { "interim" };
        self.service.metrics.transcripts.add(1, &[label("kind", kind)]);
        let (is_final, end_ms, n) = (segment.is_final, segment.end_ms, self.next_n);
        let mut delivery = None;
        if is_final {
            self.next_n += 1;
            self.measure(end_ms);
            if let Some(keeper) = &self.keeper {
                keeper.keep(n, &segment);
            }
            delivery = self.trace.as_mut().and_then(|trace| trace.covered(end_ms, Some(n)));
        }
        let mut transcription = self.transcription(segment, n);
        transcription.speakers_reset = speakers_reset;
        let event = Event::Transcription(Box::new(transcription));
        self.outbox.post(Letter { event, delivery });
    }

    fn measure(&self, end_ms: u64) {
        if let Some(age) = self.timeline.age_of(end_ms) {
            let provider = label("provider", self.service.live.name());
            let age_ms = age.as_secs_f64() * 1000.0;
            self.service.metrics.final_latency_ms.record(age_ms, &[provider]);
        }
    }

    fn transcription(&self, segment: Segment, n: u64) -> Transcription {
        Transcription {
            transcript: segment.transcript,
            is_final: segment.is_final,
            confidence: segment.confidence,
            timestamp: self.service.clock.timestamp(),
            speech_final: segment.speech_final,
            session_id: self.id.to_string(),
            n,
            start_ms: segment.start_ms,
            end_ms: segment.end_ms,
            speaker: segment.words.first().and_then(|word| word.speaker),
            words: segment.words,
            speakers_reset: false,
            channel: (segment.channel.1 > 1).then_some(segment.channel.0),
            timing: segment.timing,
            provider: self.service.live.name(),
        }
    }

    /// Audio that only silence covered has no final to be delivered with.
    fn covered(&mut self, until_ms: u64) {
        if let Some(silence) = self.trace.as_mut().and_then(|trace| trace.covered(until_ms, None)) {
            silence.delivered();
        }
    }

    fn tick(&mut self, upstream: &mut Upstream) -> Option<Outcome> {
        let covered_ms = upstream.covered_ms();
        if let Some(meter) = &mut self.meter {
            if self.metered_at.elapsed() >= self.service.checkpoint {
                meter.checkpoint(covered_ms);
                self.metered_at = Instant::now();
            }
            let durable_ms = *meter.durable_ms().borrow();
            self.acknowledge(durable_ms);
        }
        self.hurry(upstream, covered_ms);
        if let Err(refusal) = self.place.look(self.received_at.elapsed()) {
            return Some(Outcome::Failed(refusal));
        }
        upstream.leave_if_mute().and_then(|left| self.learn(upstream, left))
    }

    /// Asks for the final of audio that has waited long, or that nothing follows; lets a connection
    /// go that nobody has spoken through for a while.
    fn hurry(&mut self, upstream: &mut Upstream, covered_ms: u64) {
        let waiting_ms = self.received_ms.saturating_sub(covered_ms.max(self.finalize_asked_ms));
        let idle = self.received_at.elapsed();
        let asked = if waiting_ms >= FINALIZE_AFTER_MS {
            upstream.finalize()
        } else {
            idle >= WIND_UP_AFTER && waiting_ms >= WIND_UP_MS && upstream.wind_up()
        };
        if asked {
            self.finalize_asked_ms = self.received_ms;
        }
        if idle >= self.service.idle {
            upstream.rest();
        }
    }

    /// Tells how far audio is durable when that moved, and otherwise often enough to be alive.
    fn acknowledge(&mut self, acked_ms: u64) {
        if acked_ms == self.acked_ms && self.acked_at.elapsed() < HEARD {
            return;
        }
        (self.acked_ms, self.acked_at) = (acked_ms, Instant::now());
        let ack = self.ack(acked_ms);
        self.outbox.push(Event::AudioAck(ack));
    }

    fn ack(&mut self, acked_ms: u64) -> AudioAck {
        AudioAck {
            session_id: self.id.to_string(),
            acked_seq: self.timeline.acknowledge(acked_ms),
            acked_ms,
            timestamp: self.service.clock.timestamp(),
        }
    }

    fn end(&mut self, outcome: &Outcome, covered_ms: u64) -> Option<Receipt> {
        self.inbox.close();
        if let Some(keeper) = self.keeper.take() {
            keeper.finish(outcome.name(), self.next_n - 1, covered_ms);
        }
        let meter = self.meter.take()?;
        let durable_ms = meter.durable_ms();
        meter.finish(covered_ms);
        Some(Receipt::new(durable_ms, self.ack(covered_ms)))
    }
}

fn ticker() -> Interval {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.reset();
    tick
}
