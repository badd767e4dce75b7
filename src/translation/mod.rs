//! Text over REST: it goes in pieces through a provider and comes back whole, or as it comes; what
//! it took is one row of usage.

mod asked;
mod failure;
mod forward;
pub mod handlers;
mod sentences;
mod work;

use std::{pin::Pin, time::Duration};

use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

pub use self::{
    asked::{Asked, language},
    failure::absent,
    forward::Forwarding,
};
use self::{
    forward::Parcel,
    work::{Done, Limits},
};
use crate::{
    auth::Caller,
    idempotency::{Answer, Idempotency, Named},
    lifecycle::Shutdown,
    model::{Clock, Error},
    providers::{
        recorded::Tokens,
        translator::{Translator, Translators},
    },
    usage::{Act, TextPrice, Usage},
};

/// What waits for a client that reads slowly.
const WAITING: usize = 64;

/// What these routes need. Cheap to clone.
#[derive(Clone)]
pub struct Translations {
    /// Who translates.
    pub translators: Translators,
    /// Who receives what DeepSeek translated.
    pub forwarding: Forwarding,
    /// Who bills.
    pub usage: Usage,
    /// Who knows what was asked for before.
    pub idempotency: Idempotency,
    /// Who stops it.
    pub shutdown: Shutdown,
    /// How long one may take.
    pub total: Duration,
}

/// A text with all that is asked for it.
struct Job {
    asked: Asked,
    translator: Translator,
    caller: Caller,
    endpoint: &'static str,
    parcel: Option<Parcel>,
}

/// Makes an outcome the body of an answer.
type Write = Box<dyn FnOnce(&Outcome) -> Value + Send>;

/// What came of a text.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The translation.
    pub text: String,
    /// The language that it had, where the provider found out.
    pub source: Option<String>,
    /// The model that did it.
    pub model: String,
    /// Pieces that it was cut into.
    pub pieces: usize,
    /// Whether it is on its way to a webhook.
    pub forwarded: bool,
}

/// What a client hears of a text that is told as it comes.
#[derive(Debug)]
enum News {
    /// The next words.
    Words(String),
    /// The end of it.
    End(Result<Answer, Error>),
}

impl Translations {
    /// Translates for that caller and bills it; it is worked on to its end, whoever waits.
    pub async fn translate(
        &self,
        translator: &Translator,
        asked: Asked,
        caller: Caller,
        (endpoint, act): (&'static str, Uuid),
    ) -> Result<Outcome, Error> {
        let translator = translator.clone();
        let job = Job { asked, translator, caller, endpoint, parcel: None };
        let translations = self.clone();
        let work = async move { translations.work(job, act, None).await };
        self.to_its_end(Box::pin(work)).await
    }

    /// Translates what may have a name; asked for again under it, it is answered as before.
    async fn run(&self, job: Job, named: Option<Named>, write: Write) -> Result<Answer, Error> {
        let translations = self.clone();
        let work = async move { translations.once(job, named, write, None).await };
        self.to_its_end(Box::pin(work)).await
    }

    /// Works on though nobody waits any more.
    async fn to_its_end<T: Send + 'static>(
        &self,
        work: Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>,
    ) -> Result<T, Error> {
        let broken = |error| failure::internal().because(error);
        self.shutdown.spawn(work).await.map_err(broken)?
    }

    /// The same as it comes.
    fn tell(&self, job: Job, named: Option<Named>, write: Write) -> mpsc::Receiver<News> {
        let (say, heard) = mpsc::channel(WAITING);
        let translations = self.clone();
        self.shutdown.spawn(async move {
            let end = translations.once(job, named, write, Some(say.clone())).await;
            // Whoever asked may have gone.
            say.send(News::End(end)).await.ok();
        });
        heard
    }

    async fn once(
        &self,
        job: Job,
        named: Option<Named>,
        write: Write,
        say: Option<mpsc::Sender<News>>,
    ) -> Result<Answer, Error> {
        let work = |act| async move {
            let body = write(&self.work(job, act, say).await?);
            Ok(Answer::new("application/json", body.to_string()))
        };
        Box::pin(self.idempotency.once(named, work)).await
    }

    async fn work(
        &self,
        job: Job,
        act: Uuid,
        say: Option<mpsc::Sender<News>>,
    ) -> Result<Outcome, Error> {
        let Job { asked, translator, caller, endpoint, parcel } = job;
        let at = Clock.now();
        let limits = Limits::new(self.total);
        let done = match say {
            Some(say) => work::told(&translator, &asked, limits, say).await,
            None => work::whole(&translator, &asked, limits).await,
        };
        let done = done.map_err(|error| failure::of_provider(translator.name(), error))?;
        let price = TextPrice::of(translator.name(), &done.model, at);
        self.usage
            .charge(billed(&asked, &translator, &caller, (endpoint, act), (&done, price)))
            .await;
        let forwarded = match parcel {
            Some(parcel) => self.forwarding.send(parcel, &asked.text, &done.text),
            None => false,
        };
        let Done { text, source, model, pieces, .. } = done;
        Ok(Outcome { text, source, model, pieces, forwarded })
    }
}

fn billed(
    asked: &Asked,
    translator: &Translator,
    caller: &Caller,
    (endpoint, id): (&'static str, Uuid),
    (done, price): (&Done, TextPrice),
) -> Act {
    let characters = asked.text.chars().count() as u64;
    let (tokens, charged) = if translator.counts_characters() {
        (Tokens::default(), characters)
    } else {
        (done.tokens, 0)
    };
    let cost = price.cost(tokens, charged);
    let counted = tokens.input + tokens.output;
    Act {
        id,
        owner: caller.principal.owner.clone(),
        service: translator.name().into(),
        endpoint: endpoint.into(),
        model: done.model.clone(),
        language: Some(asked.wish.target.clone()),
        diarize: false,
        audio_ms: None,
        tokens: (counted > 0).then_some(counted),
        characters: Some(characters),
        cost,
        provider_cost: cost,
        cached: false,
        ip: caller.ip,
        user_agent: caller.user_agent.clone(),
    }
}
