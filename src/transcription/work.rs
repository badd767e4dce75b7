//! A recording on its way: who is asked for it, what it costs, and how the answer is told.

use std::time::Instant;

use uuid::Uuid;

use super::{
    Answer, Job, Recordings,
    answer::{Attempt, Told},
    failure, pipeline,
    pipeline::{Failed, Heard},
};
use crate::{
    model::{Error, ErrorKind},
    providers::{recorded::RecordedOptions, transcriber::Transcriber},
    usage::{Act, Price},
};

/// A recording that somebody heard.
pub struct Served {
    provider: &'static str,
    options: RecordedOptions,
    heard: Heard,
    attempts: Vec<Attempt>,
}

impl Recordings {
    /// Has it transcribed and, where that is asked for, translated.
    pub(super) async fn work(&self, mut job: Job) -> Result<Answer, Error> {
        let served = self.hear(&mut job).await?;
        match job.plan.take() {
            None => tell(&job, &served),
            Some(plan) => {
                let heard = &served.heard.transcription;
                plan.finish(&self.translations, heard, job.caller, job.endpoint).await
            }
        }
    }

    async fn hear(&self, job: &mut Job) -> Result<Served, Error> {
        let (begun, mut attempts) = (Instant::now(), Vec::new());
        let candidates = self.candidates(job);
        for (at, transcriber) in candidates.iter().enumerate() {
            let (own, provider) = (transcriber.name() == job.provider, transcriber.name());
            let options = if own { job.asked.options.clone() } else { job.asked.of_another() };
            let total = self.config.total.saturating_sub(begun.elapsed());
            let ground = (&self.files, &mut job.folder);
            let made =
                pipeline::transcribe(transcriber, &job.source, &options, ground, total).await;
            match made {
                Ok(heard) => {
                    self.bill(job, provider, &options, &heard).await;
                    return Ok(Served { provider, options, heard, attempts });
                }
                Err(Failed::Here(error)) => return Err(error),
                Err(Failed::Provider(error)) => {
                    let last = at + 1 == candidates.len();
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
            audio_ms: Some(audio_ms),
            tokens: heard.tokens.map(|tokens| tokens.input + tokens.output),
            characters: None,
            cost: price.between(0, audio_ms),
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
    Ok((job.asked.form.content_type(), told.write(job.asked.form)?))
}
