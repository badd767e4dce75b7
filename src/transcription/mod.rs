//! Recorded audio over REST: an upload goes to disk, through a provider, and comes back as the
//! contract's object or as subtitles; what it took is one row of usage.

mod answer;
mod asked;
pub mod doors;
pub mod duplicates;
mod failure;
mod fetched;
pub mod handlers;
mod join;
mod order;
mod pipeline;
mod scratch;
mod telling;
mod translated;
mod upload;
mod work;

use std::{sync::Arc, time::Duration};

use axum::extract::Request;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinHandle},
    time::timeout,
};

use self::{
    asked::Asked,
    duplicates::Duplicates,
    order::Order,
    pipeline::Source,
    scratch::{Folder, Scratch},
    telling::Telling,
    translated::Plan,
    upload::{Bounds, Form, Saved},
};
use crate::{
    auth::{Caller, Principal},
    config::RecordedConfig,
    idempotency::{Answer, Idempotency, Key},
    lifecycle::Shutdown,
    limits::{LimitedAction, Limits, Verdict},
    media::{Files, Kind},
    model::{Error, ErrorKind},
    outbound::vetted::{Rules, Vetted},
    providers::transcriber::{Transcriber, Transcribers},
    translation::Translations,
    usage::Usage,
};

/// How long a recording waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// What these routes need. Cheap to clone.
#[derive(Clone)]
pub struct Recordings {
    limits: Limits,
    transcribers: Transcribers,
    files: Files,
    translations: Translations,
    usage: Usage,
    idempotency: Idempotency,
    duplicates: Duplicates,
    vetted: Vetted,
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
    /// Who translates.
    pub translations: Translations,
    /// Who bills.
    pub usage: Usage,
    /// Who knows what was asked for before.
    pub idempotency: Idempotency,
    /// Who knows what was heard before.
    pub duplicates: Duplicates,
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
    plan: Option<Plan>,
    /// Who wants it as it is heard.
    telling: Option<Arc<Telling>>,
}

impl Recordings {
    /// Makes its folder, and removes what a killed process left there.
    pub fn new(ground: Ground, config: RecordedConfig) -> Self {
        let Ground {
            limits,
            transcribers,
            files,
            translations,
            usage,
            idempotency,
            duplicates,
            shutdown,
        } = ground;
        let (scratch, places) = (Scratch::new(&config), Arc::new(Semaphore::new(config.parallel)));
        let (ports, allowed) = (config.url_ports.clone(), config.url_allowed.clone());
        let vetted = Vetted::new(Rules { ports, allowed });
        let config = Arc::new(config);
        Self {
            limits,
            transcribers,
            files,
            translations,
            usage,
            idempotency,
            duplicates,
            vetted,
            scratch,
            config,
            places,
            shutdown,
        }
    }

    /// Counts a transcription of that caller.
    async fn counted(&self, principal: &Principal) -> Option<Verdict> {
        let account = principal.account();
        self.limits.check(LimitedAction::Transcription, &account, principal.plan).await
    }

    /// Has what has come transcribed. It is worked on to its end, whether or not somebody waits for
    /// it: what it costs is billed.
    async fn fulfil(
        &self,
        order: Order,
        key: Option<Key>,
        endpoint: &'static str,
        caller: Caller,
    ) -> Result<Answer, Error> {
        let work = self.begin(order, key, (endpoint, caller), None).await?;
        work.await.map_err(broken)?
    }

    /// The same, told while it is heard.
    async fn tell(
        &self,
        order: Order,
        key: Option<Key>,
        endpoint: &'static str,
        caller: Caller,
    ) -> Result<Arc<Telling>, Error> {
        let telling = Arc::new(Telling::default());
        let work = self.begin(order, key, (endpoint, caller), Some(telling.clone())).await?;
        let told = telling.clone();
        self.shutdown.spawn(async move {
            told.end(work.await.map_err(broken).and_then(|done| done));
        });
        Ok(telling)
    }

    async fn begin(
        &self,
        order: Order,
        key: Option<Key>,
        (endpoint, caller): (&'static str, Caller),
        telling: Option<Arc<Telling>>,
    ) -> Result<JoinHandle<Result<Answer, Error>>, Error> {
        let named = key.map(|key| order.named(key, endpoint, &caller));
        let Order { asked, provider, plan, saved, folder, .. } = order;
        self.is_there(provider)?;
        let Some(kind) = Kind::sniff(&saved.head) else {
            let shown = "the file is no audio that can be decoded";
            return Err(Error::invalid(format!(
                "{} transcription failed: {shown}",
                failure::title(provider)
            )));
        };
        let source = Source { path: saved.path, bytes: saved.bytes, kind, digest: saved.digest };
        let place = self.place().await?;
        let job = Job { asked, source, folder, caller, provider, endpoint, plan, telling };
        let recordings = self.clone();
        Ok(self.shutdown.spawn(async move {
            let work = |act| Box::pin(recordings.work(job, act));
            let done = recordings.idempotency.once(named, work).await;
            drop(place);
            done
        }))
    }

    /// A place among those that are worked on; taken late, so that slow uploads hold none.
    async fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        let busy =
            || Error::new(ErrorKind::Overloaded, "too many recordings are being transcribed");
        let place = timeout(PATIENCE, self.places.clone().acquire_owned()).await;
        // Nobody closes it.
        place.map_err(|_| busy())?.map_err(|_| busy())
    }

    fn is_there(&self, provider: &str) -> Result<(), Error> {
        match self.transcribers.get(provider).and_then(Transcriber::absent) {
            Some(why) => Err(failure::of_absent(provider, why)),
            None => Ok(()),
        }
    }

    /// A form with a file in the field of that name.
    async fn receive(
        &self,
        (request, name): (Request, &str),
        digest: bool,
        folder: &mut Folder,
    ) -> Result<(Form, Saved), Error> {
        let bounds = self.bounds(digest);
        let mut form = upload::receive(request, name, bounds, folder).await?;
        let missing =
            if form.unnamed { "No audio file selected" } else { "No audio file provided" };
        let saved = match (form.file.take(), form.text("audio_url").filter(|url| !url.is_empty())) {
            (Some(saved), None) => saved,
            (Some(_), Some(_)) => return Err(Error::invalid("send the audio or its address")),
            (None, Some(url)) => self.fetch(url, digest, folder).await?,
            (None, None) => return Err(Error::invalid(missing)),
        };
        Ok((form, saved))
    }

    /// A file that is the whole body.
    async fn receive_bare(
        &self,
        request: Request,
        digest: bool,
        folder: &mut Folder,
    ) -> Result<Saved, Error> {
        upload::receive_bare(request, self.bounds(digest), folder).await
    }

    fn bounds(&self, digest: bool) -> Bounds {
        let (file_bytes, total) = (self.config.max_upload_bytes, self.config.upload_time);
        Bounds { file_bytes, total, digest }
    }
}

/// A task that did not come to its end.
fn broken(error: JoinError) -> Error {
    Error::new(ErrorKind::Internal, "Internal server error").because(error)
}
