//! A recording on its way: who is asked for it, what it costs, and how the answer is told.

use std::time::Instant;

use uuid::Uuid;

use super::{
    Job, Recordings,
    answer::{Attempt, Told},
    failure, pipeline,
    pipeline::{Failed, Heard},
};
use crate::{
    idempotency::Answer,
    model::{Error, ErrorKind, Micros},
    providers::{recorded::RecordedOptions, transcriber::Transcriber},
    usage::{Act, Price},
};

/// A recording that somebody heard.
pub struct Served {
    /// Who.
    pub provider: &'static str,
    /// How.
    pub options: RecordedOptions,
    /// What.
    pub heard: Heard,
    /// Who could not.
    pub attempts: Vec<Attempt>,
    /// Whether it was heard before.
    pub cached: bool,
}

impl Recordings {
    /// Has it transcribed and, where that is asked for, translated.
    pub(super) async fn work(&self, mut job: Job, act: Uuid) -> Result<Answer, Error> {
        let served = match self.duplicates.look(&job, &self.transcribers).await {
            Some(served) => served,
            None => self.hear(&mut job).await?,
        };
        let answer = match job.plan.take() {
            None => tell(&job, &served)?,
            Some(plan) => {
                let (heard, caller) = (&served.heard.transcription, job.caller.clone());
                plan.finish(&self.translations, heard, caller, (job.endpoint, act)).await?
            }
        };
        // Not before: what has failed as a whole is billed in no part, and done anew.
        self.bill(&job, &served, act).await;
        if !served.cached {
            self.duplicates.keep(&job, &served).await;
        }
        Ok(answer)
    }

    async fn hear(&self, job: &mut Job) -> Result<Served, Error> {
        let (begun, mut attempts) = (Instant::now(), Vec::new());
        let candidates = self.candidates(job);
        for (at, transcriber) in candidates.iter().enumerate() {
            let (own, provider) = (transcriber.name() == job.provider, transcriber.name());
            let options = if own { job.asked.options.clone() } else { job.asked.of_another() };
            let total = self.config.total.saturating_sub(begun.elapsed());
            let ground = (&self.files, &mut job.folder);
            let told = (total, job.telling.as_deref());
            let made = pipeline::transcribe(transcriber, &job.source, &options, ground, told).await;
            match made {
                Ok(heard) => {
                    return Ok(Served { provider, options, heard, attempts, cached: false });
                }
                Err(Failed::Here(error)) => return Err(error),
                Err(Failed::Provider(error)) => {
                    // What was read of one is not told again by another.
                    let stands = job.telling.as_ref().is_some_and(|telling| !telling.take_back());
                    let last = stands || at + 1 == candidates.len();
                    if last || failure::is_the_callers(error.class) {
                        return Err(failure::of_provider(provider, error));
                    }
                    let code = error.class.kind().code().to_owned();
                    attempts.push(Attempt { provider, code });
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

    async fn bill(&self, job: &Job, served: &Served, id: Uuid) {
        let Served { provider: service, options, heard, cached, .. } = served;
        let heard = &heard.transcription;
        let audio_ms = heard.duration_ms.unwrap_or(0);
        let language = options.language.as_deref().or(heard.language.as_deref());
        let spoken = language.unwrap_or_default();
        let price = Price::of_recording(service, &heard.model, spoken, options.diarize);
        let whole = price.between(0, audio_ms);
        let free = *cached && !self.duplicates.are_billed();
        let act = Act {
            id,
            owner: job.caller.principal.owner.clone(),
            service: (*service).into(),
            endpoint: job.endpoint.into(),
            model: heard.model.clone(),
            language: language.map(ToOwned::to_owned),
            diarize: options.diarize,
            audio_ms: Some(audio_ms),
            tokens: heard.tokens.map(|tokens| tokens.input + tokens.output),
            characters: None,
            cost: if free { Micros(0) } else { whole },
            provider_cost: if *cached { Micros(0) } else { whole },
            cached: *cached,
            ip: job.caller.ip,
            user_agent: job.caller.user_agent.clone(),
        };
        self.usage.charge(act).await;
    }
}

fn tell(job: &Job, served: &Served) -> Result<Answer, Error> {
    let heard = &served.heard.transcription;
    let told = Told {
        heard,
        provider: served.provider,
        options: &served.options,
        asked_language: &job.asked.language,
        asked_model: served.options.model.as_deref().unwrap_or(&heard.model),
        bytes: job.source.bytes,
        pieces: served.heard.pieces,
        attempts: &served.attempts,
    };
    Ok(Answer::new(job.asked.form.content_type(), told.write(job.asked.form)?))
}
