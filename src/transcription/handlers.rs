//! The routes under `/transcriptions`.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRequestParts, Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;

use super::{
    Recordings,
    answer::{Form, delta, last_event},
    asked::Asked,
    order::Order,
    scratch::Folder,
    telling::{News, Telling},
    translated::{self, Plan},
};
use crate::{
    auth::Caller,
    idempotency::Key,
    model::Error,
    web::{Dialect, body::drain, error::Failure},
};

/// `POST /transcriptions/deepgram`.
pub async fn deepgram(State(recordings): State<Recordings>, request: Request) -> Response {
    transcribe(&recordings, "deepgram", "/transcriptions/deepgram", request).await
}

/// `POST /transcriptions/whisper`.
pub async fn whisper(State(recordings): State<Recordings>, request: Request) -> Response {
    transcribe(&recordings, "whisper", "/transcriptions/whisper", request).await
}

/// `POST /transcriptions/assemblyai`.
pub async fn assemblyai(State(recordings): State<Recordings>, request: Request) -> Response {
    transcribe(&recordings, "assemblyai", "/transcriptions/assemblyai", request).await
}

/// `POST /transcriptions/local`: the embedded engine.
pub async fn local(State(recordings): State<Recordings>, request: Request) -> Response {
    transcribe(&recordings, "local", "/transcriptions/local", request).await
}

/// `POST /transcriptions/auto`: whoever can.
pub async fn auto(State(recordings): State<Recordings>, request: Request) -> Response {
    transcribe(&recordings, "auto", "/transcriptions/auto", request).await
}

/// `POST /transcriptions/transcribe-and-translate`.
pub async fn translated(State(recordings): State<Recordings>, request: Request) -> Response {
    let endpoint = "/transcriptions/transcribe-and-translate";
    answer(&recordings, endpoint, request, async |request, digest, mut folder| {
        let (form, saved) = recordings.receive((request, "audio"), digest, &mut folder).await?;
        let provider = translated::transcriber(&form);
        let plan = Plan::read(&form, &recordings.translations)?;
        let asked = Asked::read(&form, provider)?;
        Ok(Order { asked, provider, plan, fields: form.fields, saved, folder })
    })
    .await
}

async fn transcribe(
    recordings: &Recordings,
    provider: &'static str,
    endpoint: &'static str,
    request: Request,
) -> Response {
    answer(recordings, endpoint, request, async |request, digest, mut folder| {
        // Whoever is not there is told of before anything is kept.
        if let Err(absent) = recordings.is_there(provider) {
            drain(request.into_body().into_data_stream()).await;
            return Err(absent);
        }
        let (form, saved) = recordings.receive((request, "audio"), digest, &mut folder).await?;
        let (asked, plan) = (Asked::read(&form, provider)?, None);
        Ok(Order { asked, provider, plan, fields: form.fields, saved, folder })
    })
    .await
}

/// Counts the act, takes what comes, and has it done. `take` is told whether files are to be told
/// apart, and where they go.
pub(super) async fn answer(
    recordings: &Recordings,
    endpoint: &'static str,
    request: Request,
    take: impl AsyncFnOnce(Request, bool, Folder) -> Result<Order, Error>,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let caller = match Caller::from_request_parts(&mut parts, &()).await {
        Ok(caller) => caller,
        Err(failure) => return failure.into_response(),
    };
    let request = Request::from_parts(parts, body);
    let verdict = recordings.counted(&caller.principal).await;
    let done = async {
        let key = verdict.map_or(Ok(()), |verdict| verdict.into_result().map(drop));
        let key = match key.and_then(|()| Key::read(request.headers())) {
            Ok(key) => key,
            Err(refusal) => {
                drain(request.into_body().into_data_stream()).await;
                return Err(refusal);
            }
        };
        let digest = key.is_some() || recordings.duplicates.are_kept();
        let order = take(request, digest, recordings.scratch.folder().await?).await?;
        if order.asked.form == Form::Events {
            let telling = recordings.tell(order, key, endpoint, caller).await?;
            return Ok(stream(telling).await);
        }
        let answer = recordings.fulfil(order, key, endpoint, caller).await?;
        Ok(answer.into_response())
    };
    let mut response = done.await.unwrap_or_else(|error| Failure(error).into_response());
    if let Some(verdict) = verdict {
        verdict.tell(response.headers_mut());
    }
    response
}

/// Tells words as they are heard; what fails before the first of them has a status of its own.
async fn stream(telling: Arc<Telling>) -> Response {
    let first = match telling.next().await {
        News::End(Ok(answer), false) => return answer.into_response(),
        News::End(Err(error), false) => return Failure(error).into_response(),
        first => first,
    };
    let news = stream::unfold(Some((Some(first), telling)), |told| async {
        let (first, telling) = told?;
        let news = match first {
            Some(first) => first,
            None => telling.next().await,
        };
        let (event, rest) = match news {
            News::Words(words) => (delta(&words), Some((None, telling))),
            News::End(Ok(answer), _) => (last_event(&answer.body).to_owned(), None),
            News::End(Err(error), _) => {
                (format!("data: {}\n\n", Dialect::OpenAi.body(&error)), None)
            }
        };
        Some((Ok::<_, Infallible>(event), rest))
    });
    let headers =
        [(header::CONTENT_TYPE, Form::Events.content_type()), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(news)).into_response()
}
