//! Recorded audio over REST: an upload goes to disk, through a provider, and comes back as the
//! contract's object or as subtitles; what it took is one row of usage.

mod answer;
mod asked;
mod failure;
pub mod handlers;
mod join;
mod pipeline;
mod scratch;
mod upload;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::extract::Request;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use uuid::Uuid;

use self::{
    answer::{Attempt, Told},
    asked::Asked,
    handlers::Caller,
    pipeline::{Failed, Heard, Source},
    scratch::{Folder, Scratch},
    upload::{Bounds, Saved},
};
use crate::{
    auth::Principal,
    config::RecordedConfig,
    lifecycle::Shutdown,
    limits::{LimitedAction, Limits, Verdict},
    media::{Files, Kind},
    model::{Error, ErrorKind},
    providers::{
        recorded::RecordedOptions,
        transcriber::{Transcriber, Transcribers},
    },
    usage::{Act, Price, Usage},
};

/// How long a recording waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// What these routes need. Cheap to clone.
#[derive(Clone)]
pub struct Recordings {
    limits: Limits,
    transcribers: Transcribers,
    files: Files,
    usage: Usage,
    scratch: Scratch,
    config: Arc<RecordedConfig>,
    places: Arc<Semaphore>,
    shutdown: Shutdown,
}

/// What [`Recordings`] stands on.
pub struct Ground {
    /// Who counts what users do.
    pub limits: Limits,
    /// Who transcribes.
    pub transcribers: Transcribers,
    /// Who decodes.
    pub files: Files,
    /// Who bills.
    pub usage: Usage,
    /// Who stops it.
    pub shutdown: Shutdown,
}

/// A recording with all that is asked for it.
struct Job {
    asked: Asked,
    source: Source,
    folder: Folder,
    caller: Caller,
    provider: &'static str,
    endpoint: &'static str,
}

/// An answer's media type and body.
type Answer = (&'static str, String);

impl Recordings {
    /// Makes its folder, and removes what a killed process left there.
    pub fn new(ground: Ground, config: RecordedConfig) -> Self {
        let Ground { limits, transcribers, files, usage, shutdown } = ground;
        let (scratch, places) = (Scratch::new(&config), Arc::new(Semaphore::new(config.parallel)));
        let config = Arc::new(config);
        Self { limits, transcribers, files, usage, scratch, config, places, shutdown }
    }

    /// Counts a transcription of that caller.
    async fn counted(&self, principal: &Principal) -> Option<Verdict> {
        let account = principal.account();
        self.limits.check(LimitedAction::Transcription, &account, principal.plan).await
    }

    /// Takes the upload and has it transcribed. Once it has come it is worked on to its end, whether
    /// or not somebody waits for it: what it costs is billed.
    async fn answer(
        &self,
        provider: &'static str,
        endpoint: &'static str,
        caller: Caller,
        request: Request,
    ) -> Result<Answer, Error> {
        if let Some(why) = self.transcribers.get(provider).and_then(Transcriber::absent) {
            return Err(failure::of_absent(provider, why));
        }
        let mut folder = self.scratch.folder().await?;
        let (asked, saved) = self.receive(provider, request, &mut folder).await?;
        let Some(kind) = Kind::sniff(&saved.head) else {
            let shown = "the file is no audio that can be decoded";
            return Err(Error::invalid(format!(
                "{} transcription failed: {shown}",
                failure::title(provider)
            )));
        };
        let source = Source { path: saved.path, bytes: saved.bytes, kind };
        let place = self.place().await?;
        let job = Job { asked, source, folder, caller, provider, endpoint };
        let recordings = self.clone();
        let work = self.shutdown.spawn(async move {
            let done = recordings.work(job).await;
            drop(place);
            done
        });
        let broken =
            |error| Error::new(ErrorKind::Internal, "Internal server error").because(error);
        work.await.map_err(broken)?
    }

    /// A place among those that are worked on; taken late, so that slow uploads hold none.
    async fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        let busy =
            || Error::new(ErrorKind::Overloaded, "too many recordings are being transcribed");
        let place = timeout(PATIENCE, self.places.clone().acquire_owned()).await;
        // Nobody closes it.
        place.map_err(|_| busy())?.map_err(|_| busy())
    }

    async fn receive(
        &self,
        provider: &str,
        request: Request,
        folder: &mut Folder,
    ) -> Result<(Asked, Saved), Error> {
        let (file_bytes, total) = (self.config.max_upload_bytes, self.config.upload_time);
        let mut form =
            upload::receive(request, "audio", Bounds { file_bytes, total }, folder).await?;
        let missing =
            if form.unnamed { "No audio file selected" } else { "No audio file provided" };
        let saved = form.file.take().ok_or_else(|| Error::invalid(missing))?;
        Ok((Asked::read(&form, provider)?, saved))
    }

    async fn work(&self, mut job: Job) -> Result<Answer, Error> {
        let (begun, mut attempts) = (Instant::now(), Vec::new());
        let candidates = self.candidates(&job);
        for (at, transcriber) in candidates.iter().enumerate() {
            let own = transcriber.name() == job.provider;
            let options = if own { job.asked.options.clone() } else { job.asked.of_another() };
            let total = self.config.total.saturating_sub(begun.elapsed());
            let ground = (&self.files, &mut job.folder);
            let made =
                pipeline::transcribe(transcriber, &job.source, &options, ground, total).await;
            match made {
                Ok(heard) => {
                    self.bill(&job, transcriber.name(), &options, &heard).await;
                    return tell(&job, transcriber.name(), &options, &heard, &attempts);
                }
                Err(Failed::Here(error)) => return Err(error),
                Err(Failed::Provider(error)) => {
                    let last = at + 1 == candidates.len();
                    if last || failure::is_the_callers(error.class) {
                        return Err(failure::of_provider(transcriber.name(), error));
                    }
                    let code = error.class.kind().code().to_owned();
                    attempts.push(Attempt { provider: transcriber.name(), code });
                }
            }
        }
        Err(Error::new(ErrorKind::ProviderUnavailable, "no provider of recordings is configured"))
    }

    /// Who is asked, in order: the route's own, then, where the caller leaves it to us, the others.
    fn candidates(&self, job: &Job) -> Vec<&Transcriber> {
        let others = if job.asked.auto { self.config.order.as_slice() } else { &[] };
        let own = std::iter::once(&job.provider);
        let mut names: Vec<&str> = Vec::new();
        for name in own.chain(others) {
            if !names.contains(name) {
                names.push(name);
            }
        }
        let known = names.into_iter().filter_map(|name| self.transcribers.get(name));
        known.filter(|transcriber| transcriber.absent().is_none()).collect()
    }

    async fn bill(
        &self,
        job: &Job,
        service: &'static str,
        options: &RecordedOptions,
        heard: &Heard,
    ) {
        let heard = &heard.transcription;
        let audio_ms = heard.duration_ms.unwrap_or(0);
        let language = options.language.as_deref().or(heard.language.as_deref());
        let price = Price::of_recording(
            service,
            &heard.model,
            language.unwrap_or_default(),
            options.diarize,
        );
        let act = Act {
            id: Uuid::now_v7(),
            owner: job.caller.principal.owner.clone(),
            service,
            endpoint: job.endpoint,
            model: heard.model.clone(),
            language: language.map(ToOwned::to_owned),
            diarize: options.diarize,
            audio_ms,
            cost: price.between(0, audio_ms),
            ip: job.caller.ip,
            user_agent: job.caller.user_agent.clone(),
        };
        self.usage.charge(act).await;
    }
}

fn tell(
    job: &Job,
    provider: &'static str,
    options: &RecordedOptions,
    heard: &Heard,
    attempts: &[Attempt],
) -> Result<Answer, Error> {
    let told = Told {
        heard: &heard.transcription,
        provider,
        options,
        asked_language: &job.asked.language,
        asked_model: options.model.as_deref().unwrap_or(&heard.transcription.model),
        bytes: job.source.bytes,
        pieces: heard.pieces,
        attempts,
    };
    Ok((job.asked.form.content_type(), told.write(job.asked.form)?))
}
