//! The routes under `/transcriptions`.

use axum::{
    extract::{FromRequestParts, Request, State},
    response::{IntoResponse, Response},
};

use super::{Act, Recordings};
use crate::{auth::Caller, web::error::Failure};

/// `POST /transcriptions/deepgram`.
pub async fn deepgram(State(recordings): State<Recordings>, request: Request) -> Response {
    answer(&recordings, Act::Transcribe("deepgram"), "/transcriptions/deepgram", request).await
}

/// `POST /transcriptions/whisper`.
pub async fn whisper(State(recordings): State<Recordings>, request: Request) -> Response {
    answer(&recordings, Act::Transcribe("whisper"), "/transcriptions/whisper", request).await
}

/// `POST /transcriptions/assemblyai`.
pub async fn assemblyai(State(recordings): State<Recordings>, request: Request) -> Response {
    answer(&recordings, Act::Transcribe("assemblyai"), "/transcriptions/assemblyai", request).await
}

/// `POST /transcriptions/local`: the embedded engine.
pub async fn local(State(recordings): State<Recordings>, request: Request) -> Response {
    answer(&recordings, Act::Transcribe("local"), "/transcriptions/local", request).await
}

/// `POST /transcriptions/auto`: whoever can.
pub async fn auto(State(recordings): State<Recordings>, request: Request) -> Response {
    answer(&recordings, Act::Transcribe("auto"), "/transcriptions/auto", request).await
}

/// `POST /transcriptions/transcribe-and-translate`.
pub async fn translated(State(recordings): State<Recordings>, request: Request) -> Response {
    let endpoint = "/transcriptions/transcribe-and-translate";
    answer(&recordings, Act::Translate, endpoint, request).await
}

async fn answer(
    recordings: &Recordings,
    act: Act,
    endpoint: &'static str,
    request: Request,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let caller = match Caller::from_request_parts(&mut parts, &()).await {
        Ok(caller) => caller,
        Err(failure) => return failure.into_response(),
    };
    let request = Request::from_parts(parts, body);
    let verdict = recordings.counted(&caller.principal).await;
    let mut response = match verdict.map(crate::limits::Verdict::into_result) {
        Some(Err(refusal)) => Failure(refusal).into_response(),
        _ => match recordings.answer(act, endpoint, caller, request).await {
            Ok(answer) => answer.into_response(),
            Err(error) => Failure(error).into_response(),
        },
    };
    if let Some(verdict) = verdict {
        verdict.tell(response.headers_mut());
    }
    response
}
