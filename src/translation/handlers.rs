//! The routes under `/translations`.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Asked, Job, News, Outcome, Translations, forward::Parcel};
use crate::{
    auth::Caller,
    idempotency::{Fingerprint, Key, Named},
    model::{Error, ErrorKind},
    providers::translator::Translator,
    web::{
        Form, JsonObject,
        body::Unreadable,
        error::{self, Failure},
        request_id::RequestId,
    },
};

/// How often a comment says that the service is there.
const BEAT: Duration = Duration::from_secs(15);

/// Makes an outcome the body of an answer.
type Body = fn(&Wished, &Outcome) -> Value;

/// What the caller said of the languages.
struct Wished {
    source: String,
    target: String,
    /// Whether it is to be forwarded.
    forward: bool,
}

/// `POST /translations/openai`.
pub async fn openai(
    State(translations): State<Translations>,
    caller: Caller,
    head: Head,
    body: Result<JsonObject, Unreadable>,
) -> Response {
    let translator = translations.translators.openai.clone();
    let job = of_json(body, translator, caller, "/translations/openai");
    answer(&translations, head, job, |wished, outcome| {
        let mut body = json!({
            "translated_text": outcome.text, "source_language": wished.source,
            "target_language": wished.target, "model_used": outcome.model,
            "service": "openai_gpt" });
        if outcome.pieces > 1 {
            body["chunks_processed"] = outcome.pieces.into();
            body["total_chunks"] = outcome.pieces.into();
        }
        body
    })
    .await
}

/// `POST /translations/google`.
pub async fn google(
    State(translations): State<Translations>,
    caller: Caller,
    head: Head,
    body: Result<JsonObject, Unreadable>,
) -> Response {
    let translator = translations.translators.google.clone();
    let job = of_json(body, translator, caller, "/translations/google");
    answer(&translations, head, job, |wished, outcome| {
        json!({
            "translated_text": outcome.text,
            "source_language": outcome.source.as_deref().unwrap_or(&wished.source),
            "target_language": wished.target, "service": "google_cloud" })
    })
    .await
}

/// `POST /translations/deepseek`.
pub async fn deepseek(
    State(translations): State<Translations>,
    caller: Caller,
    head: Head,
    form: Form,
) -> Response {
    let translator = translations.translators.deepseek.clone();
    let job = Asked::of_form(&form).map(|asked| Job {
        asked,
        translator,
        caller,
        endpoint: "/translations/deepseek",
        parcel: Parcel::of_form(&form),
    });
    answer(&translations, head, job, |wished, outcome| {
        let mut body = json!({ "translated_text": outcome.text });
        if wished.forward {
            body["forwarded"] = outcome.forwarded.into();
        }
        if outcome.forwarded {
            body["message"] = "Request sent to external service".into();
        }
        body
    })
    .await
}

/// What is read of a request beside its body.
pub struct Head {
    streams: bool,
    key: Result<Option<Key>, Error>,
    id: Option<RequestId>,
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Head {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, Infallible> {
        let id = parts.extensions.get::<RequestId>().cloned();
        let (streams, key) = (asks_for_events(&parts.headers), Key::read(&parts.headers));
        Ok(Self { streams, key, id })
    }
}

fn asks_for_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    accepted.is_some_and(|accepted| accepted.starts_with("text/event-stream"))
}

fn of_json(
    body: Result<JsonObject, Unreadable>,
    translator: Translator,
    caller: Caller,
    endpoint: &'static str,
) -> Result<Job, Error> {
    let body = body.map_err(|Unreadable(error)| match error.kind {
        ErrorKind::UnsupportedMedia => Error::invalid("Request must be JSON"),
        _ => error,
    })?;
    Ok(Job { asked: Asked::of_json(&body)?, translator, caller, endpoint, parcel: None })
}

async fn answer(
    translations: &Translations,
    head: Head,
    job: Result<Job, Error>,
    body: Body,
) -> Response {
    let job = job.and_then(|job| match job.translator.absent() {
        Some(why) => Err(super::absent(job.translator.name(), why)),
        None => Ok(job),
    });
    let (job, key) = match job.and_then(|job| Ok((job, head.key?))) {
        Ok(read) => read,
        Err(error) => return Failure(error).into_response(),
    };
    let named = key.map(|key| named(key, &job));
    let wished = Wished {
        source: job.asked.source.clone(),
        target: job.asked.wish.target.clone(),
        forward: job.parcel.is_some(),
    };
    let streams = head.streams || job.asked.stream;
    let write = Box::new(move |outcome: &Outcome| body(&wished, outcome));
    if streams {
        return stream(translations.tell(job, named, write), head.id).await;
    }
    match translations.run(job, named, write).await {
        Ok(answer) => answer.into_response(),
        Err(error) => Failure(error).into_response(),
    }
}

/// What was asked for under a name.
fn named(key: Key, job: &Job) -> Named {
    let Asked { text, wish, source, stream: _ } = &job.asked;
    let print = Fingerprint::new().with(text).with(source).with(&wish.target);
    let terms = |print: Fingerprint, (term, meant): &(String, String)| print.with(term).with(meant);
    let mut fingerprint = wish.glossary.iter().fold(print, terms);
    if let Some(parcel) = &job.parcel {
        fingerprint = fingerprint.with(format!("{parcel:?}"));
    }
    Named { account: job.caller.principal.account(), endpoint: job.endpoint, key, fingerprint }
}

/// Tells it as server-sent events; what fails before the first words has a status of its own.
async fn stream(mut heard: mpsc::Receiver<News>, id: Option<RequestId>) -> Response {
    let first = match heard.recv().await {
        Some(News::End(Err(error))) => return Failure(error).into_response(),
        None => return Failure(super::failure::internal()).into_response(),
        Some(first) => first,
    };
    let told = move |news| match news {
        News::Words(words) => Event::default().event("delta").json_data(json!({ "text": words })),
        News::End(Ok(answer)) => Ok(Event::default().event("done").data(answer.body)),
        News::End(Err(error)) => {
            Event::default().event("error").json_data(error::body(&error, id.as_ref()))
        }
    };
    let news = stream::unfold((Some(first), heard), |(first, mut heard)| async {
        let news = match first {
            Some(first) => first,
            None => heard.recv().await?,
        };
        Some((news, (None, heard)))
    });
    let events = futures_util::StreamExt::map(news, told);
    Sse::new(events).keep_alive(KeepAlive::new().interval(BEAT)).into_response()
}
