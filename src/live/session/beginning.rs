//! How a session begins: at its start, or where its last owner left it.

use std::sync::Arc;

use super::Session;
use crate::{
    live::{
        LiveService,
        bookmark::{Bookmark, Books},
        caller::Caller,
        herald::{self, Herald},
        trace::SessionTrace,
    },
    model::{Error, ErrorKind, RawFormat, SessionId},
    providers::StreamOptions,
    rooms::{Claim, Publisher, Recorded},
    telemetry::Tracer,
    transcripts,
    usage::{Meter, SessionStart, Taken},
};

/// Where a session begins.
#[derive(Debug, Default)]
pub struct Beginning {
    /// Where it stands; the default is its start.
    pub stands: Bookmark,
    /// The right to tell its room, where it was taken over.
    pub claim: Option<Claim>,
    /// What it said before, in order.
    pub finals: Vec<Arc<Recorded>>,
    /// Audio that its client no longer has, in milliseconds of session audio.
    pub gap: Option<(u64, u64)>,
    /// The first chunk that its client says anew, where a session is gone on with.
    pub live_seq: Option<u64>,
}

impl Beginning {
    /// Whether nobody owned the session before.
    pub const fn is_fresh(&self) -> bool {
        self.claim.is_none()
    }

    /// What the audio is, where its first bytes do not come again.
    pub(super) fn format(&self) -> Option<RawFormat> {
        self.stands.format.filter(|_| self.stands.next_seq > 0)
    }
}

impl LiveService {
    /// What the usage of a session says about it.
    pub fn billed(
        &self,
        session_id: SessionId,
        caller: &Caller,
        stream: &StreamOptions,
    ) -> SessionStart {
        SessionStart {
            session_id,
            owner: caller.principal.owner.clone(),
            service: self.live.name().into(),
            model: self.live.model_for(stream),
            language: stream.language.as_str().to_owned(),
            diarize: stream.diarize,
            billed_channels: stream.billed_channels(),
            endpoint: caller.endpoint().into(),
            ip: caller.ip,
            user_agent: caller.user_agent.clone(),
            options: serde_json::json!({ "lang": stream.language.as_str() }),
        }
    }
}

impl Session {
    /// Makes the room the account's. While Redis is away, the room is told later.
    pub(super) async fn claim_room(&mut self) -> Result<(), Error> {
        if self.beginning.claim.is_some() {
            return Ok(());
        }
        let account = self.caller.principal.names();
        let claimed = self.service.rooms.history().claim(&self.room, &account, self.id, 0).await;
        let claim = match claimed {
            Ok((claim, _)) => {
                self.service.lapses.own(self.id, &self.room).await;
                claim
            }
            Err(error) if error.kind == ErrorKind::Forbidden => return Err(error),
            Err(error) => {
                tracing::debug!(session_id = %self.id, ?error, "a room is claimed later");
                let fence = self.service.clock.now().timestamp_millis().unsigned_abs();
                Claim { room: self.room.clone(), account, session: self.id, fence, base: None }
            }
        };
        self.beginning.claim = Some(claim);
        Ok(())
    }

    pub(super) fn open_trace(&mut self) {
        let sampled = self.service.tracer.clone().filter(Tracer::samples);
        self.options.stream.report_sent = sampled.is_some();
        self.trace = sampled.map(|tracer| {
            let provider =
                opentelemetry::KeyValue::new("transcribe.provider", self.service.live.name());
            SessionTrace::begin(tracer, self.id, vec![provider])
        });
    }

    /// Opens what keeps account of the session: its meter, its herald, its transcript.
    pub(super) fn open_books(&mut self) {
        let stream = &self.options.stream;
        let owner = &self.caller.principal.owner;
        let start = self.service.billed(self.id, &self.caller, stream);
        let kept = transcripts::Start {
            session_id: self.id,
            owner: owner.clone(),
            language: stream.language.as_str().to_owned(),
            provider: self.service.live.name().into(),
        };
        let keeper = self.options.store.then(|| self.service.transcripts.keep(kept));
        if let Some(keeper) = &keeper {
            keeper.recall(self.beginning.finals.iter().map(|said| said.text.body.as_str()));
        }
        self.open_meter(start);
        let Some(publisher) = self.publisher() else { return };
        let ground = herald::Ground {
            session: self.id,
            from: self.beginning.stands.clone(),
            publisher,
            keeper,
            secrets: self.service.secrets.clone(),
            metrics: self.service.metrics.clone(),
        };
        let herald = Herald::send(ground, &self.service.shutdown);
        // From its first audio on, others find the session.
        herald.note(self.bookmark(self.beginning.stands.covered_ms));
        self.herald = Some(herald);
    }

    /// Opens the meter. What owners before have left to be billed it bills, up to where a gap begins.
    fn open_meter(&mut self, start: SessionStart) {
        let Beginning { stands, claim, gap, .. } = &self.beginning;
        let taken = Taken {
            fence: claim.as_ref().map_or(0, |claim| claim.fence),
            course: stands.course.clone(),
            covered_ms: gap.map_or(stands.covered_ms, |(from_ms, _)| from_ms),
        };
        let books = Books {
            room: self.room.to_string(),
            account: claim.as_ref().map_or_else(String::new, |claim| claim.account.clone()),
            store: self.options.store,
            start: start.clone(),
        };
        let meter = self.service.usage.open(start, taken);
        if let Some((from_ms, to_ms)) = *gap {
            meter.skip(from_ms, to_ms);
        }
        (self.meter, self.books) = (Some(meter), Some(books));
    }

    /// Tells what its client lost before it went on with the session, whether audio follows or not.
    pub(super) fn tell_client_gap(&mut self) {
        if let Some((from_ms, to_ms)) = self.beginning.gap.take() {
            self.gap(from_ms, to_ms, "client_buffer");
        }
    }

    /// The way into the room, with what was said before in mind.
    fn publisher(&mut self) -> Option<Publisher> {
        let claim = self.beginning.claim.clone()?;
        let said = std::mem::take(&mut self.beginning.finals);
        let publisher = self.service.rooms.publisher(claim);
        Some(publisher.after(&said, self.beginning.stands.n))
    }

    /// Where the session stands once everything up to `covered_ms` is told.
    pub(super) fn bookmark(&self, covered_ms: u64) -> Bookmark {
        Bookmark {
            fence: self.beginning.claim.as_ref().map_or(0, |claim| claim.fence),
            course: self.meter.as_ref().map(Meter::course).unwrap_or_default(),
            books: self.books.clone(),
            ..self.progress.bookmark(self.service.owners.replica(), covered_ms)
        }
    }
}
